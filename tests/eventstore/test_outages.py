"""Postgres killed and frozen under writers, a tail and a view: nothing is lost, doubled or out of order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import psycopg
import pytest

from eventstore import (
    Append,
    Appended,
    Batcher,
    Claims,
    Connection,
    Fence,
    Fenced,
    Listener,
    LogUnavailable,
    NewEvent,
    Position,
    PostgresStore,
    Projector,
    Recorded,
    Refused,
    Tail,
    Version,
    migrate,
    table_of,
    verify,
)
from eventstore.connection import Link
from nats3.dev.postgres_server import PostgresServer


@dataclass
class Sums:
    name: str = "sums"
    version: int = 1
    types: frozenset[str] = frozenset({"counted"})

    async def create(self, connection: Connection) -> None:
        await connection.execute(
            f"CREATE TABLE IF NOT EXISTS {table_of(self)} (entity_id text PRIMARY KEY, total bigint)"
        )

    async def apply(self, connection: Connection, events: Sequence[Recorded]) -> None:
        await connection.execute(
            f"INSERT INTO {table_of(self)} AS t SELECT e, sum(n) FROM unnest(%s::text[], %s::bigint[]) u (e, n)"
            " GROUP BY e ON CONFLICT (entity_id) DO UPDATE SET total = t.total + excluded.total",
            ([event.entity_id for event in events], [event.data["n"] for event in events]),
        )


def an_append(entity_id: str, expected: int, fence: int = 0) -> Append:
    return Append(entity_id, Version(expected), Fence(fence), (NewEvent("counted", {"n": expected + 1}),))


@pytest.fixture
async def server(fresh_postgres: PostgresServer) -> AsyncIterator[PostgresServer]:
    await asyncio.to_thread(migrate.migrate, fresh_postgres.url)
    yield fresh_postgres
    fresh_postgres.resume()


@pytest.mark.timeout(60)
async def test_a_kill_under_load_loses_and_doubles_nothing(server: PostgresServer) -> None:
    """Claimed entities are fenced by the restart, claim again and go on; unclaimed ones just wait."""
    store, claims, wake = PostgresStore(server.url), Claims(server.url), asyncio.Event()
    await claims.register("one", lease=60)
    fenced: list[str] = []
    async with (
        Batcher(store, wake=wake) as batcher,
        Tail(store, wake, Listener(server.url)) as tail,
        Projector(server.url, store, tail, [Sums()]) as projector,
    ):
        half = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for number in range(4):
                tasks.create_task(_run(batcher, claims, f"run/{number}", fenced, half))
                tasks.create_task(_job(batcher, f"job/{number}"))
            await half.wait()
            await server.kill()
            await server.start()
        assert await projector.wait_for("sums", await store.head(), 20)
    assert set(fenced) == {f"run/{number}" for number in range(4)}
    log = await store.read_log(Position(0), 10_000)
    assert len(log) == 8 * COUNT
    assert len({event.event_id for event in log}) == 8 * COUNT
    assert (await verify(server.url)).broken is None
    async with await psycopg.AsyncConnection.connect(server.url) as connection:
        totals = await (await connection.execute("SELECT DISTINCT total, count(*) FROM sums GROUP BY 1")).fetchall()
    assert totals == [(COUNT * (COUNT + 1) // 2, 8)]
    await store.close()
    await claims.close()


async def test_a_claim_made_before_a_restart_of_postgres_is_refused_after_it(server: PostgresServer) -> None:
    store, claims = PostgresStore(server.url), Claims(server.url)
    claim = await claims.claim("run/a")
    assert isinstance((await store.append([an_append("run/a", 0, claim.fence)]))[0], Appended)
    await server.kill()
    with pytest.raises(LogUnavailable):
        await store.append([an_append("run/a", 1, claim.fence)])
    await server.start()
    assert await store.append([an_append("run/a", 1, claim.fence)]) == [Refused("run/a", claim.fence)]
    assert len(await store.read("run/a", Version(0), 10)) == 1
    await store.close()
    await claims.close()


async def test_a_frozen_postgres_is_unavailable_after_the_deadline(server: PostgresServer) -> None:
    link = Link(server.url, "test", deadline=0.2)
    await link.fetch("SELECT 1")
    server.pause()
    with pytest.raises(LogUnavailable):
        await link.call("SELECT 1")
    server.resume()
    assert await link.fetch("SELECT 1") == [(1,)]
    await link.drop()


COUNT = 60


async def _run(batcher: Batcher, claims: Claims, entity_id: str, fenced: list[str], half: asyncio.Event) -> None:
    claim = await claims.claim(entity_id)
    version = 0
    while version < COUNT:
        if version == COUNT // 2:
            half.set()
        try:
            version = (await batcher.append(an_append(entity_id, version, claim.fence))).version
        except Fenced:
            fenced.append(entity_id)
            claim = await _claim_again(claims, entity_id)
            version = claim.version


async def _claim_again(claims: Claims, entity_id: str):
    while True:
        try:
            return await claims.claim(entity_id)
        except LogUnavailable:
            continue


async def _job(batcher: Batcher, entity_id: str) -> None:
    for version in range(COUNT):
        await batcher.append(an_append(entity_id, version))
