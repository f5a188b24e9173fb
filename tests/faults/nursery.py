"""Nodes without the second that Python takes to import them: a program that has imported `nats3 serve` and forks on order.

    python -m tests.faults.nursery

reads one JSON object a line, `{"directory", "log", "environment"}`, forks a node that becomes what `nats3 serve` becomes
in that environment, and says `{"pid"}`; when a node ends, `{"ended": pid, "status"}`, minus the signal when one ended it.
A node is a process of its own: a SIGKILL of it is as good as any. The nodes die with the nursery, and it with its owner.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import json
import os
import select
import signal
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PR_SET_PDEATHSIG = 1
ROOT = Path(__file__).parents[2]


# --- the program


def main() -> None:
    _die_with_parent()
    from nats3.serve import serve  # noqa: PLC0415 - the owner imports this module too, and nothing of the product

    gc.collect()
    gc.freeze()
    woken, wake = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    orders = os.fdopen(0, "rb", buffering=0)
    rest = b""
    while True:
        ready, _, _ = select.select([orders, woken], [], [])
        if woken in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(woken, 4096)
            _reap()
        if orders in ready:
            piece = orders.read(1 << 16)
            if not piece:
                return
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                _say({"pid": _fork(json.loads(line), serve)})


def _fork(order: dict[str, Any], serve: Any) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        _die_with_parent()
        log = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        for number in (1, 2):
            os.dup2(log, number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.chdir(order["directory"])
        os.environ.clear()
        os.environ.update(order["environment"])
        code = serve()
    finally:
        os._exit(code)


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            _say({"ended": ended[0], "status": os.waitstatus_to_exitcode(ended[1])})


def _say(words: dict[str, int]) -> None:
    os.write(1, json.dumps(words).encode() + b"\n")


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


# --- its owner


class Nursery:
    """An async context manager; `fork` gives a process."""

    def __init__(self) -> None:
        self._born: asyncio.Queue[int] = asyncio.Queue()
        self._ended: dict[int, asyncio.Future[int]] = {}
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> Self:
        self._program = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.faults.nursery"),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        self._tasks = asyncio.TaskGroup()
        await self._tasks.__aenter__()
        self._reading = self._tasks.create_task(self._read())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._program.kill()
        await self._program.wait()
        self._reading.cancel()
        await self._tasks.__aexit__(None, None, None)

    async def fork(self, directory: Path, log: Path, environment: dict[str, str]) -> Forked:
        order = {"directory": str(directory), "log": str(log), "environment": {"PATH": os.defpath, **environment}}
        async with self._lock:
            assert self._program.stdin is not None
            self._program.stdin.write(json.dumps(order).encode() + b"\n")
            await self._program.stdin.drain()
            pid = await self._born.get()
        return Forked(pid, self._end_of(pid))

    def _end_of(self, pid: int) -> asyncio.Future[int]:
        return self._ended.setdefault(pid, asyncio.get_running_loop().create_future())

    async def _read(self) -> None:
        assert self._program.stdout is not None
        while line := await self._program.stdout.readline():
            said = json.loads(line)
            if "pid" in said:
                self._ended.pop(said["pid"], None)  # of another one, which had the same number long before
                self._born.put_nowait(said["pid"])
            else:
                self._end_of(said["ended"]).set_result(said["status"])


class Forked:
    """One process of the nursery, with the face of asyncio's own."""

    def __init__(self, pid: int, ended: asyncio.Future[int]) -> None:
        self.pid = pid
        self._ended = ended

    @property
    def returncode(self) -> int | None:
        return self._ended.result() if self._ended.done() else None

    async def wait(self) -> int:
        return await asyncio.shield(self._ended)

    def send(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            if self.returncode is None:
                os.kill(self.pid, number)

    @property
    def frozen(self) -> bool:
        with contextlib.suppress(OSError):
            return Path(f"/proc/{self.pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0] == "T"
        return False


if __name__ == "__main__":
    main()
