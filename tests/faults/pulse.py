"""`python -m tests.faults.pulse PORT PID`: asks /health of a node again and again over one connection until its input ends,
then says how long the slowest answer took, without and with the time for which the machine gave node and asker no core.

A program of its own, so that what a row does beside it is not measured with it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from threading import Event, Thread
from time import perf_counter, sleep

_PAUSE_S = 0.005


@dataclass
class Pulse:
    """Seconds of the slowest answers, and how many there were; known when the watch is over."""

    worst: float = 0.0
    with_waiting: float = 0.0
    count: int = 0


@asynccontextmanager
async def watched(port: int, pid: int) -> AsyncGenerator[Pulse]:
    """While the block runs, /health is asked. Raises ValueError when it once did not answer 200."""
    asked = (sys.executable, "-m", "tests.faults.pulse", str(port), str(pid))
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*asked, stdin=pipe, stdout=pipe, cwd=Path(__file__).parents[2])
    assert process.stdout is not None
    pulse = Pulse()
    await process.stdout.readline()
    try:
        yield pulse
    finally:
        said, _ = await process.communicate(b"")
    worst, with_waiting, count = said.split()
    pulse.worst, pulse.with_waiting, pulse.count = float(worst), float(with_waiting), int(count)


def _waited(*pids: int) -> float:
    """Seconds for which the main threads of these could run and had no core, as Linux counts them."""
    return sum(int(Path(f"/proc/{pid}/schedstat").read_text("ascii").split()[1]) for pid in pids) / 1e9


def measure(port: int, pid: int, over: Event) -> Pulse:
    pulse = Pulse()
    line = HTTPConnection("127.0.0.1", port, timeout=60)
    while not over.is_set():
        waited, began = _waited(pid, os.getpid()), perf_counter()
        line.request("GET", "/health")
        answer = line.getresponse()
        answer.read()
        took = perf_counter() - began
        if answer.status != HTTPStatus.OK:
            raise ValueError(answer.status)
        if pulse.count == 0:
            print("watching", flush=True)
        pulse.worst = max(pulse.worst, took - (_waited(pid, os.getpid()) - waited))
        pulse.with_waiting = max(pulse.with_waiting, took)
        pulse.count += 1
        sleep(_PAUSE_S)
    line.close()
    return pulse


def main() -> None:
    over = Event()

    def wait() -> None:
        sys.stdin.read()
        over.set()

    Thread(target=wait, daemon=True).start()
    told = measure(int(sys.argv[1]), int(sys.argv[2]), over)
    print(told.worst, told.with_waiting, told.count)


if __name__ == "__main__":
    main()
