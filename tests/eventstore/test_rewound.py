"""An older copy of the log takes its place, and grows past what was read of it before anybody looks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing

import psycopg
import pytest

from eventstore import (
    Append,
    Fence,
    Listener,
    LogRewound,
    NewEvent,
    Position,
    PostgresStore,
    Projector,
    Tail,
    Version,
)
from tests.eventstore.test_projection import Sums, an_append, rows

NEVER = 3600.0
Until = Callable[[Callable[[], object]], Awaitable[None]]


@pytest.fixture
async def reader(log_url: str) -> AsyncIterator[PostgresStore]:
    """The log through connections that nothing else uses."""
    reader = PostgresStore(log_url)
    yield reader
    await reader.close()


async def put_back(url: str, to: int, *also: str) -> None:
    """Make of Postgres what a copy from when the log ended at `to` would be: all sessions end, the next ones meet it."""
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute("LOCK TABLE es.event, es.entity, es.projection")
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await connection.execute("SET LOCAL session_replication_role = replica")  # no guard refuses
        await connection.execute("DELETE FROM es.event WHERE position > %s", (to,))
        await connection.execute(
            "UPDATE es.entity n SET version = e.version, hash = e.hash FROM es.event e"
            " WHERE e.position = %s AND e.entity_id = n.entity_id",
            (to,),
        )
        await connection.execute("SELECT setval('es.position', %s)", (to,))
        for statement in also:
            await connection.execute(statement.encode())


def six(n: int) -> Append:
    return Append("run/b", Version(0), Fence(0), tuple(NewEvent("counted", {"n": n}) for _ in range(6)))


async def test_a_view_of_a_log_that_was_put_back_holds_the_fold_of_what_there_is(
    reader: PostgresStore, log_url: str, until: Until
) -> None:
    """Neither what was rolled back, which the tail still has, nor without what took its place."""
    async with (
        Tail(reader, listener=Listener(log_url)) as tail,
        Projector(log_url, reader, tail, [Sums()]) as projector,
    ):
        await reader.append([an_append("run/a", count=5)])
        assert await projector.wait_for("sums", Position(5), 10)
        await reader.append([an_append("run/a", 5, count=5)])
        assert await projector.wait_for("sums", Position(10), 10)
        checkpoint = "UPDATE es.projection SET position = 7"
        await put_back(log_url, 7, checkpoint, "UPDATE sums__v1 SET total = 28, times = 7")
        fresh = PostgresStore(log_url)
        await fresh.append([six(100)])
        async with asyncio.timeout(10):
            while (await rows(log_url, "SELECT position FROM es.projection")) != [(13,)]:
                pass
        await fresh.close()
    assert await rows(log_url) == [("run/a", 28, 7), ("run/b", 600, 6)]


async def test_a_follower_is_told_that_the_log_was_put_back_though_it_has_grown_past_what_was_read(
    reader: PostgresStore, log_url: str
) -> None:
    await reader.append([an_append("run/a", count=10)])
    async with (
        Tail(reader, interval=NEVER) as tail,
        aclosing(tail.follow(Position(0))) as pages,
        asyncio.timeout(10),
    ):
        assert (await anext(pages))[-1].position == 10
        await put_back(log_url, 7)
        fresh = PostgresStore(log_url)
        await fresh.append([six(100)])
        await fresh.close()
        tail.wake.set()
        with pytest.raises(LogRewound, match="ends at 13, and what stands at 10 is not what was read there"):
            await anext(pages)
