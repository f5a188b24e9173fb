"""`python -m nats3.serve.child [FILE]`: a node without an API, started by `nats3 serve --workers N` and ending with it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import uvloop

from nats3.config import Config, load
from nats3.serve.process import collect_rarely, keep_memory
from nats3.serve.reload import Reload
from nats3.serve.telling import telemetry_of
from nats3.telemetry.logs import start_logging
from nats3.telemetry.signals import Telemetry
from nats3.wiring import running

TELL_S = 2.0
"""How often it tells its metrics."""


def main() -> int:
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    read = partial(load, os.environ, file=file)
    config = read()
    log = start_logging(config.log.level, config.log.format, sys.stderr, config.secrets())
    collect_rarely()
    keep_memory()
    with telemetry_of(config, log) as telemetry:
        uvloop.run(_until_told(config, telemetry, Reload(read, config, telemetry, None)))
    return 0


async def _until_told(config: Config, telemetry: Telemetry, reload: Reload) -> None:
    """Work until a signal comes or the parent lets go of the leash."""
    told = asyncio.Event()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # for the parent, which tells us; it would end us
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    async with asyncio.TaskGroup() as tasks:
        leash = tasks.create_task(_hold(reload, told))
        work = tasks.create_task(_work(config, telemetry, told, began := asyncio.Event()))
        watch = tasks.create_task(told.wait())
        await asyncio.wait([work, watch], return_when=asyncio.FIRST_COMPLETED)
        watch.cancel()
        leash.cancel()
        if not began.is_set():
            work.cancel()


async def _work(config: Config, telemetry: Telemetry, told: asyncio.Event, began: asyncio.Event) -> None:
    async with running(config, telemetry):
        began.set()
        telemetry.node_started(config.node_name, "")
        while not told.is_set():
            await asyncio.to_thread(_tell, telemetry)
            with suppress(TimeoutError):
                async with asyncio.timeout(TELL_S):
                    await told.wait()
    telemetry.node_stopped(config.node_name)


def _tell(telemetry: Telemetry) -> None:
    body, _ = telemetry.exposition()
    sys.stdout.write(json.dumps(body.decode()) + "\n")
    sys.stdout.flush()


async def _hold(reload: Callable[[], object], told: asyncio.Event) -> None:
    """The leash: every line on it says that settings changed, its end that the parent is gone."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async for _ in reader:
        reload()
    told.set()


if __name__ == "__main__":
    sys.exit(main())
