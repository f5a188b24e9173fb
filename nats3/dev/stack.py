"""The embedded stack: NATS, Postgres and S3 as real servers that live and die with us."""

from __future__ import annotations

import asyncio
import fcntl
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from nats3.dev.errors import DirectoryInUse, StartFailed
from nats3.dev.nats3_server import Nats3Server, environment
from nats3.dev.nats_server import NatsServer
from nats3.dev.postgres_server import PostgresServer
from nats3.dev.s3_server import S3Access, S3Server
from nats3.dev.server import Server

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0

Say = Callable[[str], None]


def _silent(_: str) -> None:
    pass


class Stack:
    """All servers below `directory`, which holds their data and logs; on loopback, each on a free port.

    `async with Stack(directory) as stack` returns once all of them answer, and ends them. One that dies meanwhile is
    started again at its old port, which `say` tells. `durable=False` makes Postgres faster and forgetful of power cuts.
    Raises DirectoryInUse, StartFailed, BinaryMissing, Unreachable.
    """

    def __init__(self, directory: Path, *, durable: bool = True, say: Say = _silent) -> None:
        self.directory = directory.absolute()
        self.nats = NatsServer(self.directory / "nats")
        self.postgres = PostgresServer(self.directory / "postgres", durable=durable)
        self.s3_server = S3Server(self.directory / "s3")
        self._say = say
        self._lifetime: AbstractAsyncContextManager[None] | None = None

    @property
    def servers(self) -> Sequence[Server]:
        return (self.nats, self.postgres, self.s3_server)

    @property
    def nats_url(self) -> str:
        return self.nats.url

    @property
    def postgres_url(self) -> str:
        return self.postgres.url

    @property
    def s3(self) -> S3Access:
        return self.s3_server.access

    def nats3(self, *, at_usual_port: bool = False) -> Nats3Server:
        """`nats3 serve` over this stack: to be started, or put under `watched`, by the caller."""
        return Nats3Server(
            self.directory / "nats3",
            environment("", self.nats_url, self.postgres_url, self.s3),
            at_usual_port=at_usual_port,
        )

    async def __aenter__(self) -> Self:
        self._lifetime = self._running()
        await self._lifetime.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._lifetime is not None, "entered before"
        await self._lifetime.__aexit__(kind, error, trace)

    @asynccontextmanager
    async def _running(self) -> AsyncGenerator[None]:
        with _owned(self.directory):
            async with watched(self.servers, self._say):
                yield


@asynccontextmanager
async def watched(servers: Sequence[Server], say: Say = _silent) -> AsyncGenerator[None]:
    """Start `servers` side by side, start again each that dies, end them all politely."""
    failure: Exception | None = None
    try:
        await _each(servers, Server.start)
        async with asyncio.TaskGroup() as watchers:
            tasks = [watchers.create_task(_watch(server, say)) for server in servers]
            try:
                yield
            except Exception as error:  # noqa: BLE001 - raised below: within the group it would come out wrapped
                failure = error
            for task in tasks:
                task.cancel()
    finally:
        await _each(servers, Server.stop)
    if failure is not None:
        raise failure


async def _watch(server: Server, say: Say) -> None:
    while True:
        await server.wanted.wait()
        status = await server.ended()
        if server.wanted.is_set():
            say(f"{server.name} ended ({status}), starting it again; its log: {server.log}")
            await _start_again(server, say)


async def _start_again(server: Server, say: Say) -> None:
    pause = FIRST_PAUSE_S
    while True:
        try:
            return await server.start()
        except StartFailed as error:
            say(str(error))
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)


async def _each(servers: Sequence[Server], action: Callable[[Server], Coroutine[None, None, None]]) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            for server in servers:
                group.create_task(action(server))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from errors


@contextmanager
def _owned(directory: Path) -> Generator[None]:
    """Hold the lock of `directory`, which the kernel frees when we die, however we do."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DirectoryInUse(directory) from None
        yield
