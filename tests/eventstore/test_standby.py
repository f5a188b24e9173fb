"""A node whose views are kept by another one says little, and takes over soon."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg.sql import Composed

from eventstore import (
    Claims,
    NodeId,
    Position,
    PostgresStore,
    Projector,
    Rebuild,
    Tail,
    migrate,
    projection,
)
from eventstore import standby as standby_module
from eventstore.connection import Link, Row
from eventstore.standby import Standby
from nats3.dev.postgres_server import PostgresServer
from tests.eventstore.test_projection import Sums, an_append, projecting, rows

ASKED = re.compile(rb"<(eventstore [a-z ]+)> LOG:  (?:statement|execute [^:]*): ")
OWNER = "SELECT owner FROM es.projection WHERE active"


@pytest.fixture
async def one(log_url: str) -> AsyncIterator[Claims]:
    claims = Claims(log_url)
    await claims.register("one", lease=60)
    yield claims
    await claims.close()


@pytest.fixture
async def two(log_url: str) -> AsyncIterator[Claims]:
    claims = Claims(log_url)
    await claims.register("two", lease=60)
    yield claims
    await claims.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who stands by looks a hundred times a second."""
    monkeypatch.setattr(standby_module, "LEAST", 0.01)
    monkeypatch.setattr(standby_module, "MOST", 0.01)


async def until_owned(url: str, node: NodeId) -> None:
    async with asyncio.timeout(10):
        while await rows(url, OWNER) != [(node,)]:
            continue


@pytest.mark.usefixtures("quick")
async def test_who_stands_by_asks_one_question_for_all_views(fresh_postgres: PostgresServer) -> None:
    url, log = fresh_postgres.url, fresh_postgres.log
    await asyncio.to_thread(migrate.migrate, url)
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("ALTER SYSTEM SET log_statement = 'all'")
        await connection.execute("ALTER SYSTEM SET log_line_prefix = '<%a> '")
        await connection.execute("SELECT pg_reload_conf()")
    views = [Sums(name=f"sums{number}") for number in range(6)]
    async with AsyncExitStack() as stack:
        for name in ("one", "two"):
            claims, store = Claims(url), PostgresStore(url)
            stack.push_async_callback(claims.close)
            stack.push_async_callback(store.close)
            await claims.register(name, lease=60)
            tail = await stack.enter_async_context(Tail(store, interval=3600.0))
            projector = await stack.enter_async_context(Projector(url, store, tail, views, node=claims.node))
            for view in views:
                assert await projector.wait_for(view.name, Position(0), 10)
        quiet = await read_on(log, log.stat().st_size, 5)
        said = await read_on(log, quiet, 10)
    with log.open("rb") as file:
        file.seek(quiet)
        asked = ASKED.findall(file.read(said - quiet))
    assert set(asked) == {b"eventstore projections"}


async def read_on(log: Path, offset: int, count: int) -> int:
    """Where the log is when so many questions more were asked."""
    async with asyncio.timeout(10):
        while True:
            with log.open("rb") as file:
                file.seek(offset)
                found = file.read()
            if found.count(b"<eventstore projections> LOG:  execute") >= count:
                return offset + len(found)
            await asyncio.sleep(0.01)


@pytest.mark.usefixtures("quick")
async def test_what_an_owner_gives_back_is_taken_over(
    store: PostgresStore, log_url: str, one: Claims, two: Claims
) -> None:
    async with projecting(log_url, store, Sums(), node=one.node) as first:
        assert await first.wait_for("sums", Position(0), 10)
        async with projecting(log_url, store, Sums(), node=two.node) as second:
            assert await second.wait_for("sums", Position(0), 10)
            await one.leave()
            await until_owned(log_url, two.node)
            (outcome,) = await store.append([an_append("run/a")])
            assert await second.wait_for("sums", outcome.last, 10)
    assert await rows(log_url) == [("run/a", 1, 1)]


class Counted(Link):
    """Knows how often it was asked."""

    asked = 0

    async def fetch(self, query: LiteralString | Composed, values: Sequence[Any] = ()) -> list[Row]:
        self.asked += 1
        return await super().fetch(query, values)


@pytest.mark.usefixtures("quick")
async def test_all_who_wait_are_told_by_one_answer(log_url: str, one: Claims, two: Claims) -> None:
    views = [Sums(name=f"sums{number}") for number in range(6)]
    link = Counted(log_url, "test")
    for view in views:
        assert await projection.take(link, view, one.node, 1)
    await one.leave()
    waiting = Standby(link, two.node, Random(1))
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        for view in views:
            tasks.create_task(waiting.until_free(view.name, 1))
    assert link.asked == 1
    await link.drop()


async def test_what_a_newer_program_made_is_not_free_for_an_older_one(log_url: str, one: Claims, two: Claims) -> None:
    link, newer = Link(log_url, "test"), Sums(version=2)
    assert await projection.take(link, newer, one.node, 2)
    await one.leave()
    waiting = Standby(link, two.node, Random(1))
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        older = tasks.create_task(waiting.until_free("sums", 1))
        await waiting.until_free("sums", 2)
        assert not older.done()
        older.cancel()
    await link.drop()


async def test_the_death_of_an_owner_is_noticed_when_its_lease_ends(
    store: PostgresStore, log_url: str, two: Claims
) -> None:
    dead = Claims(log_url)
    await dead.register("dead", lease=1.5)
    async with projecting(log_url, store, Sums(), node=dead.node) as first:
        assert await first.wait_for("sums", Position(0), 10)
    await dead.close()
    async with asyncio.timeout(5), projecting(log_url, store, Sums(), node=two.node):
        await until_owned(log_url, two.node)


async def test_a_view_that_was_made_anew_elsewhere_goes_on_with_the_next_event(
    store: PostgresStore, log_url: str, one: Claims, two: Claims
) -> None:
    """The node that made it does not keep it: who kept the one before goes on."""
    await store.append([an_append("run/a")])
    async with projecting(log_url, store, Sums(), node=one.node) as projector:
        assert await projector.wait_for("sums", Position(1), 10)
        await Rebuild(log_url, store, Sums(), node=two.node).run()
        (outcome,) = await store.append([an_append("run/a", 1)])
        assert await projector.wait_for("sums", outcome.last, 10)
    assert await rows(log_url, "SELECT version, active FROM es.projection ORDER BY 1") == [(1, False), (2, True)]
