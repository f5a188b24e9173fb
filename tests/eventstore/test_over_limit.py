"""What is too large for Postgres is nobody's outage: whoever wrote it is told, and everybody else goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from random import randbytes

import psycopg
import pytest

from eventstore import (
    Append,
    Batcher,
    Connection,
    Fence,
    LogUnavailable,
    NewEvent,
    OverLimit,
    Poisoned,
    Position,
    PostgresStore,
    Rebuild,
    Recorded,
    Version,
    table_of,
)
from eventstore.connection import Link
from nats3.dev.postgres_server import PostgresServer
from tests.eventstore.test_projection import projecting, rows, until_stalled


@pytest.fixture
async def names(log_url: str) -> AsyncIterator[Link]:
    """A connection to a database with a table whose index holds some 2,700 bytes of a row."""
    link = Link(log_url, "names")
    async with link.lend() as connection:
        await connection.execute("CREATE TABLE names (name text PRIMARY KEY)")
    yield link
    await link.drop()


async def test_what_no_index_can_hold_is_a_fault_of_what_is_written_and_not_of_the_way(names: Link) -> None:
    """Whoever waited for it to pass would wait for ever."""
    write = "INSERT INTO names VALUES (%s) RETURNING name"
    with pytest.raises(OverLimit, match="index row"):
        await names.call(write, (randbytes(8000).hex(),))
    assert await names.call(write, ("short",)) == [("short",)]
    assert names.opened == 1


async def test_a_limit_that_the_server_itself_has_reached_passes(fresh_postgres: PostgresServer) -> None:
    """Somebody listens in a transaction that does not end, until there is no room for notifications: the same code."""
    async with await psycopg.AsyncConnection.connect(fresh_postgres.url, autocommit=True) as connection:
        await connection.execute("ALTER SYSTEM SET max_notify_queue_pages = 64")
    await fresh_postgres.stop()
    await fresh_postgres.start()
    link = Link(fresh_postgres.url, "notifying")
    async with await psycopg.AsyncConnection.connect(fresh_postgres.url) as staying:
        await staying.execute("LISTEN es_log")
        await staying.commit()
        await staying.execute("SELECT 1")
        with pytest.raises(LogUnavailable, match="too many notifications"):
            await notified(link, 200)
    async with asyncio.timeout(10):
        while not await passes(link):
            continue
    await link.drop()


async def notified(link: Link, count: int) -> None:
    for number in range(count):
        await link.call("SELECT pg_notify('es_log', %s)", (f"{number:07900d}",))


async def passes(link: Link) -> bool:
    """Postgres makes room when it is asked how much of it is used."""
    await link.call("SELECT pg_notification_queue_usage()")
    try:
        await notified(link, 1)
    except LogUnavailable:
        return False
    return True


async def test_an_append_is_refused_to_its_writer_alone(store: PostgresStore) -> None:
    endless = NewEvent(randbytes(8000).hex(), {})
    async with asyncio.timeout(10), Batcher(store) as batcher, asyncio.TaskGroup() as tasks:
        good = tasks.create_task(batcher.append(Append("run/b", Version(0), Fence(0), (NewEvent("named", {}),))))
        with pytest.raises(OverLimit):
            await batcher.append(Append("run/a", Version(0), Fence(0), (endless,)))
    assert good.result().version == 1


@dataclass
class Names:
    """What its events are called."""

    name: str = "names"
    version: int = 1
    types: frozenset[str] = frozenset({"named"})
    indexed: bool = True

    async def create(self, connection: Connection) -> None:
        await connection.execute(f"CREATE TABLE IF NOT EXISTS {table_of(self)} (called text)")

    async def index(self, connection: Connection) -> None:
        if self.indexed:
            await connection.execute(f"CREATE INDEX IF NOT EXISTS {table_of(self)}_called ON {table_of(self)} (called)")

    async def apply(self, connection: Connection, events: Sequence[Recorded]) -> None:
        called = [event.data["called"] for event in events]
        await connection.execute(f"INSERT INTO {table_of(self)} SELECT unnest(%s::text[])", (called,))


async def named(store: PostgresStore) -> None:
    events = tuple(NewEvent("named", {"called": called}) for called in ("a", randbytes(8000).hex(), "b"))
    await store.append([Append("run/a", Version(0), Fence(0), events)])


async def test_a_view_stops_at_what_its_index_cannot_hold_and_says_so(store: PostgresStore, log_url: str) -> None:
    await named(store)
    async with projecting(log_url, store, Names()) as projector:
        status = await until_stalled(projector, "names")
    assert (status.position, status.error and status.error["position"]) == (1, 2)
    assert "index row" in str(status.error)
    assert await rows(log_url, "SELECT called FROM names") == [("a",)]


async def test_a_rebuild_finds_the_event_though_its_index_comes_last(store: PostgresStore, log_url: str) -> None:
    await named(store)
    async with projecting(log_url, store, Names(indexed=False)) as projector:
        assert await projector.wait_for("names", Position(3), 10)
    with pytest.raises(Poisoned, match=r"position 2 .*index row"):
        await Rebuild(log_url, store, Names()).run()
