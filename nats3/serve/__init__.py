"""`nats3 serve`: one node, from its settings to its end. SIGTERM and SIGINT settle what is held, then exit 0.

With `--workers N` this process answers requests and runs no job; N processes of its own are nodes that do.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import uvicorn
import uvloop
from prometheus_client import CollectorRegistry
from typing_extensions import override

from eventstore import SchemaMissing, SchemaNewer
from nats3.api.app import build
from nats3.config import Config, Misconfigured, load
from nats3.config.values import Address
from nats3.serve.children import Children
from nats3.serve.micro import micro_service
from nats3.telemetry.logs import start_logging
from nats3.telemetry.signals import Telemetry
from nats3.wiring import running, services
from nats3.work.endure import sole

USAGE = 2
_ANSWER_S = 3
"""How long requests under way may take once the end has come."""


def serve(
    config_file: Path | None = None,
    addr: str | None = None,
    *,
    context: str | None = None,
    insecure_bind: bool = False,
    workers: int = 0,
) -> int:
    """Run until a signal ends it. Returns the exit code: 0 ended in order, 1 cannot run, 2 misconfigured."""
    options = {"server.addr": addr, "nats.context": context, "server.insecure_bind": "true" if insecure_bind else None}
    try:
        config = load(os.environ, file=config_file, options=options)
    except Misconfigured as fault:
        sys.stderr.write(f"nats3: {fault}\n")
        return USAGE
    log = start_logging(config.log.level, config.log.format, sys.stderr, config.secrets())
    try:
        listener = _listen(config.server.addr)
        telemetry = Telemetry(log, CollectorRegistry())
        children = Children(workers, config, telemetry, config_file) if workers else None
        uvloop.run(_until_told(config, telemetry, listener, children))
    except (SchemaMissing, SchemaNewer, OSError) as fault:
        sys.stderr.write(f"nats3: {fault}\n")
        return 1
    return 0


def _listen(addr: Address) -> socket.socket:
    """Taken before anything else is begun, so that a port in use stops the start at once. Raises OSError."""
    family = socket.AF_INET6 if ":" in addr.host else socket.AF_INET
    try:
        return socket.create_server((addr.host, addr.port), family=family, backlog=2048)
    except OSError as fault:
        raise OSError(f"cannot listen on {addr}: {fault.strerror}; set NATS3_SERVER_ADDR to a free address") from fault


async def _until_told(config: Config, telemetry: Telemetry, listener: socket.socket, children: Children | None) -> None:
    """Work until a signal comes. One that comes before the node works, while Postgres is awaited, just ends it."""
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    node = _Program(config, telemetry, listener, told, children)
    try:
        async with asyncio.TaskGroup() as tasks:
            work = tasks.create_task(node.run())
            watch = tasks.create_task(told.wait())
            await asyncio.wait([work, watch], return_when=asyncio.FIRST_COMPLETED)
            watch.cancel()
            if not node.works:
                work.cancel()
    except BaseExceptionGroup as group:
        raise sole(group) from group


class _Program:
    """The node and its API."""

    def __init__(
        self,
        config: Config,
        telemetry: Telemetry,
        listener: socket.socket,
        told: asyncio.Event,
        children: Children | None,
    ) -> None:
        self._config = config
        self._telemetry = telemetry
        self._listener = listener
        self._told = told
        self._children = children
        self.works = False

    async def run(self) -> None:
        """Answer requests while the node works; then take no more, settle, and close."""
        children = self._children
        async with running(self._config, self._telemetry, works=children is None) as node:
            self.works = True
            given = services(node)
            if children is not None:
                given = replace(given, exposition=children.exposition)
            app = build(given)
            server = _Server(_uvicorn(self._config, app))
            service = micro_service(node, app, datetime.now(UTC))  # noqa: TID251 - told to people only
            self._telemetry.node_started(self._config.node_name, str(self._config.server.addr))
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(server.serve(sockets=[self._listener]))
                beside = [tasks.create_task(each.run()) for each in (children, service) if each is not None]
                await self._told.wait()
                server.should_exit = True
                for each in beside:
                    each.cancel()
        self._telemetry.node_stopped(self._config.node_name)


class _Server(uvicorn.Server):
    """Leaves signals to the program: it ends after the API, not with it."""

    @contextmanager
    @override
    def capture_signals(self) -> Generator[None]:
        yield


def _uvicorn(config: Config, app: object) -> uvicorn.Config:
    del config
    return uvicorn.Config(
        app,  # pyright: ignore[reportArgumentType] - an ASGI application of Starlette
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        date_header=True,
        h11_max_incomplete_event_size=16 * 1024,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=_ANSWER_S,
        ws="none",
    )
