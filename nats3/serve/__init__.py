"""`nats3 serve`: one node, from its settings to its end. SIGTERM and SIGINT settle what is held, then exit 0.

With `--workers N` this process answers requests and runs no job; N processes of its own are nodes that do.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Protocol

import uvicorn
import uvloop
from typing_extensions import override

from eventstore import SchemaMissing, SchemaNewer
from nats3.api.app import build
from nats3.api.waiting import AtTheGate, Front
from nats3.config import Config, Misconfigured, load
from nats3.serve.children import Children
from nats3.serve.listening import listen, server_of, tls_of
from nats3.serve.micro import micro_service
from nats3.serve.process import collect_rarely, keep_memory, raise_limits
from nats3.serve.reload import Api, Reload
from nats3.serve.services import rules_of, services
from nats3.serve.telling import telemetry_of
from nats3.telemetry.listeners import HttpListener
from nats3.telemetry.logs import start_logging
from nats3.telemetry.signals import Telemetry
from nats3.telemetry.traces import NoOtel
from nats3.wiring import Node, running
from nats3.work.endure import sole

USAGE = 2


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
    read = partial(load, os.environ, file=config_file, options=options)
    try:
        config = read()
    except Misconfigured as fault:
        sys.stderr.write(f"nats3: {fault}\n")
        return USAGE
    log = start_logging(config.log.level, config.log.format, sys.stderr, config.secrets())
    try:
        raise_limits()
        collect_rarely()
        keep_memory()
        listener = listen(config.server.addr)
        tls = tls_of(config.server)
        with telemetry_of(config, log) as telemetry:
            children = Children(workers, config, telemetry, config_file) if workers else None
            uvloop.run(_until_told(_Program(config, telemetry, listener, tls, children, read)))
    except (Misconfigured, NoOtel, SchemaMissing, SchemaNewer, OSError) as fault:
        sys.stderr.write(f"nats3: {fault}\n")
        return 1
    return 0


async def _until_told(node: _Program) -> None:
    """Work until a signal comes. One that comes before the node works, while Postgres is awaited, just ends it."""
    told = node.told
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    loop.add_signal_handler(signal.SIGHUP, node.reload)
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
        tls: ssl.SSLContext | None,
        children: Children | None,
        read: Callable[[], Config],
    ) -> None:
        self._config = config
        self._telemetry = telemetry
        self._listener = listener
        self._tls = tls
        self._children = children
        self._read = read
        self._reload: Reload | None = None
        self.told = asyncio.Event()
        self.works = False

    def reload(self) -> None:
        """Take up settings anew; before the node works there is nothing to change yet."""
        if self._reload is not None and self._reload() and self._children is not None:
            self._children.reload()

    async def run(self) -> None:
        """Answer requests from the first moment on, and in full while the node works; then take no more, settle, and close."""
        telemetry = self._telemetry
        front = Front(AtTheGate(rules_of(self._config.server), HttpListener(telemetry), telemetry.exposition))
        server = _Server(server_of(self._config, front, self._tls))
        async with asyncio.TaskGroup() as tasks:
            answering = tasks.create_task(server.serve(sockets=[self._listener]))
            async with running(self._config, telemetry, works=self._children is None) as node:
                self.works = True
                async with asyncio.TaskGroup() as beside:
                    running_beside = [beside.create_task(each.run()) for each in self._open(front, node)]
                    await self.told.wait()
                    server.should_exit = True
                    await asyncio.wait([answering])
                    for each in running_beside:
                        each.cancel()
        telemetry.node_stopped(self._config.node_name)

    def _open(self, front: Front, node: Node) -> list[Beside]:
        """Let requests in to this node. What else is to run while it does."""
        given = services(node)
        if self._children is not None:
            given = replace(given, exposition=self._children.exposition)
        app = build(given)
        front.let_in(app)
        service = micro_service(node, app, datetime.now(UTC))  # noqa: TID251 - told to people only
        self._reload = Reload(self._read, self._config, self._telemetry, Api(given.rules, given.entrance, self._tls))
        self._telemetry.node_started(self._config.node_name, str(self._config.server.addr))
        return [each for each in (self._children, service) if each is not None]


class Beside(Protocol):
    """What runs until it is cancelled."""

    async def run(self) -> None: ...


class _Server(uvicorn.Server):
    """Leaves signals to the program: it ends after the API, not with it."""

    @contextmanager
    @override
    def capture_signals(self) -> Generator[None]:
        yield
