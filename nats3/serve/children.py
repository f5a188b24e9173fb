"""The nodes of `nats3 serve --workers N`, each a process: started, heard, started again when they die, ended together."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from eventstore.backoff import Backoff
from nats3.config import Config
from nats3.telemetry.signals import Telemetry
from nats3.telemetry.summed import Summed

STOP_S = 26.0
"""How long a node may settle what it holds before it is killed."""

_LINE = 1 << 26
_LEAST_MEMORY = 16 << 20


class Children:
    """`count` nodes, each a process. They share the memory that the settings grant; their metrics come every 2 s."""

    def __init__(self, count: int, config: Config, telemetry: Telemetry, config_file: Path | None) -> None:
        self._count = count
        self._config = config
        self._telemetry = telemetry
        self._command = [sys.executable, "-m", "nats3.serve.child", *([str(config_file)] if config_file else [])]
        self._summed = Summed(telemetry.metrics.registry)
        self._at_work: set[asyncio.subprocess.Process] = set()

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """The metrics of all as one answer."""
        return self._summed.exposition(accept)

    def reload(self) -> None:
        """Let every node take up its settings anew; one that is just starting does when it has started."""
        for process in self._at_work:
            if process.stdin is not None:
                process.stdin.write(b"reload\n")

    async def run(self) -> None:
        """Keep all at work until cancelled; then end them and return once they have ended."""
        async with asyncio.TaskGroup() as tasks:
            for number in range(1, self._count + 1):
                tasks.create_task(self._keep(number), name=f"child node {number}")

    async def _keep(self, number: int) -> None:
        backoff = Backoff(first=0.5, ceiling=10.0)
        while True:
            process = await self._start(number)
            self._at_work.add(process)
            try:
                async for line in _lines(process):
                    backoff.reset()
                    self._summed.tell(number, json.loads(line))
                self._telemetry.child_ended(number, await process.wait())
            finally:
                self._at_work.discard(process)
                await _end(process)
                self._summed.end(number)
            await asyncio.sleep(backoff.next())

    async def _start(self, number: int) -> asyncio.subprocess.Process:
        """Its stdin is a leash: when it closes, whatever became of us, the node ends."""
        return await asyncio.create_subprocess_exec(
            *self._command,
            env=os.environ | self._settings(number),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LINE,
        )

    def _settings(self, number: int) -> dict[str, str]:
        share = max(_LEAST_MEMORY, self._config.limits.memory // self._count)
        context = self._config.nats.context
        return {
            **({"NATS3_NATS_CONTEXT": context} if context else {}),
            "NATS3_NODE_NAME": f"{self._config.node_name}-{number}",
            "NATS3_LIMITS_MEMORY": str(share),
            # It never listens there: our address makes its name that of one process on this machine.
            "NATS3_SERVER_ADDR": str(self._config.server.addr),
            "NATS3_SERVER_INSECURE_BIND": "true",
            "NATS3_POSTGRES_MIGRATE": "false",
        }


def _lines(process: asyncio.subprocess.Process) -> asyncio.StreamReader:
    assert process.stdout is not None
    return process.stdout


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(STOP_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
