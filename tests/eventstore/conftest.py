"""A migrated database, and a way to it that can be cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from eventstore import PostgresStore, migrate


@pytest.fixture
def log_url(postgres_url: str) -> str:
    """URL of a database of this test with the schema of the log."""
    migrate.migrate(postgres_url)
    return postgres_url


@pytest.fixture
async def store(log_url: str) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(log_url)
    yield store
    await store.close()


async def _until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is waited for is the product's own state
            await asyncio.sleep(0.001)


@pytest.fixture
def until() -> Callable[[Callable[[], object]], Awaitable[None]]:
    """Waits, for at most 10 s, until a condition holds."""
    return _until


class Way:
    """A TCP proxy before Postgres. `swallow` loses an answer, and all connections with it."""

    def __init__(self, url: str) -> None:
        self._target = conninfo_to_dict(url)
        self.url = ""
        self.open = True
        self.swallowing = asyncio.Event()
        self.spared = 0
        self.swallowed = 0
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = make_conninfo("", **{**self._target, "host": "127.0.0.1", "port": port})

    def swallow(self, spared: int = 0) -> None:
        """The next answer of the server behind `spared` is received and thrown away; what it answers to is done."""
        self.spared = spared
        self.swallowing.set()

    def cut(self) -> None:
        """End every connection and take no new one."""
        self.open = False
        for writer in self._writers:
            writer.transport.abort()

    def mend(self) -> None:
        self.open = True

    async def stop(self) -> None:
        self.cut()
        self._server.close()
        await self._server.wait_closed()

    def _swallows(self) -> bool:
        if not self.swallowing.is_set():
            return False
        self.spared -= 1
        if self.spared >= 0:
            return False
        self.swallowing.clear()
        self.swallowed += 1
        for open_ in self._writers:
            open_.transport.abort()
        return True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.open:
            writer.transport.abort()
            return
        there_reader, there_writer = await asyncio.open_connection(self._target["host"], int(self._target["port"]))
        self._writers |= {writer, there_writer}
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._pump(reader, there_writer, answers=False))
            tasks.create_task(self._pump(there_reader, writer, answers=True))
        self._writers -= {writer, there_writer}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool) -> None:
        try:
            while data := await reader.read(1 << 16):
                if answers and self._swallows():
                    return
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.transport.abort()


@pytest.fixture
async def way(log_url: str) -> AsyncIterator[Way]:
    way = Way(log_url)
    await way.start()
    yield way
    await way.stop()
