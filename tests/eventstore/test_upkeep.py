"""Rebuild and verify as operators ask for them: recorded, cancellable, done once, taken over from a node that died."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import psycopg
import pytest

from eventstore import (
    Append,
    Claims,
    Connection,
    Fence,
    Listener,
    NewEvent,
    NothingUnderWay,
    Occupied,
    Operation,
    Position,
    PostgresStore,
    Projector,
    Recorded,
    Tail,
    UnknownProjection,
    Upkeep,
    Version,
    table_of,
    upkeep,
)


@dataclass
class Sums:
    """Fresh tables wait at the gate before they take events."""

    name: str = "sums"
    version: int = 1
    types: frozenset[str] = frozenset({"counted"})
    poison: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def create(self, connection: Connection) -> None:
        await connection.execute(f"CREATE TABLE IF NOT EXISTS {table_of(self)} (position bigint PRIMARY KEY, n bigint)")

    async def apply(self, connection: Connection, events: Sequence[Recorded]) -> None:
        if self.version > 1:
            await self.gate.wait()
            if any(event.data["n"] == self.poison for event in events):
                raise ValueError("poison")
        rows = [event.position for event in events], [event.data["n"] for event in events]
        await connection.execute(f"INSERT INTO {table_of(self)} SELECT * FROM unnest(%s::bigint[], %s::bigint[])", rows)


@dataclass
class Node:
    """What a node has to do with projections."""

    upkeep: Upkeep
    projector: Projector
    claims: Claims


@asynccontextmanager
async def node(url: str, view: Sums, *, works: bool = True) -> AsyncIterator[Node]:
    async with AsyncExitStack() as stack:
        claims = Claims(url)
        stack.push_async_callback(claims.close)
        await claims.register("node", 60)
        store = PostgresStore(url, claims.node)
        stack.push_async_callback(store.close)
        tail = await stack.enter_async_context(Tail(store, listener=Listener(url)))
        projector = await stack.enter_async_context(Projector(url, store, tail, [view], node=claims.node))
        done = Upkeep(url, store, tail, [view], node=claims.node)
        stack.push_async_callback(done.close)
        if works:
            await stack.enter_async_context(done)
        yield Node(done, projector, claims)


@pytest.fixture
async def filled(store: PostgresStore, log_url: str) -> str:
    """A log of ten events."""
    events = tuple(NewEvent("counted", {"n": n}) for n in range(1, 11))
    await store.append([Append("run/a", Version(0), Fence(0), events)])
    return log_url


@pytest.fixture
def open_gate() -> asyncio.Event:
    gate = asyncio.Event()
    gate.set()
    return gate


async def ended(done: Upkeep) -> Operation:
    """The last operation once it has ended."""
    async with asyncio.timeout(10):
        while (last := (await done.operations("sums"))[-1]).state in upkeep.OPEN:
            pass
    return last


async def fetch(url: str, query: str) -> list[tuple]:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        return await (await connection.execute(query)).fetchall()


async def versions(url: str) -> list[tuple]:
    return await fetch(url, "SELECT version, status, active FROM es.projection ORDER BY version")


async def begun(url: str) -> None:
    """The fresh tables are there: the operation waits at the gate."""
    async with asyncio.timeout(10):
        while await fetch(url, "SELECT to_regclass('sums__v2')") == [(None,)]:
            pass


async def test_a_rebuild_is_asked_for_done_and_told(filled: str, open_gate: asyncio.Event) -> None:
    async with node(filled, Sums(gate=open_gate)) as one:
        assert await one.projector.wait_for("sums", Position(10), 10)
        asked = await one.upkeep.ask("sums", "rebuild", "user:ann")
        assert (asked.operation_id, asked.kind, asked.state, asked.actor) == (11, "rebuild", "running", "user:ann")
        done = await ended(one.upkeep)
        assert (done.operation_id, done.state, done.version) == (11, "done", 2)
        assert done.position in (10, 11)
        assert await one.projector.wait_for("sums", Position(10), 10)
        assert await one.upkeep.return_to_before("sums", "user:ann") == 1
    assert await versions(filled) == [(1, "live", True), (2, "retired", False)]


async def test_a_verification_names_the_tables_that_differ(filled: str, open_gate: asyncio.Event) -> None:
    async with node(filled, Sums(gate=open_gate)) as one:
        assert await one.projector.wait_for("sums", Position(10), 10)
        await one.upkeep.ask("sums", "verify", "")
        assert (await ended(one.upkeep)).differ == ()
        await fetch(filled, "UPDATE sums__v1 SET n = 0 WHERE n = 3 RETURNING 1")
        await one.upkeep.ask("sums", "verify", "")
        assert (await ended(one.upkeep)).differ == ("sums",)
    assert await versions(filled) == [(1, "live", True)]


async def test_one_at_a_time_and_a_cancelled_one_leaves_nothing(filled: str) -> None:
    async with node(filled, Sums()) as one:
        assert await one.projector.wait_for("sums", Position(10), 10)
        with pytest.raises(NothingUnderWay):
            await one.upkeep.cancel("sums", "")
        first = await one.upkeep.ask("sums", "rebuild", "")
        await begun(filled)
        with pytest.raises(Occupied) as occupied:
            await one.upkeep.ask("sums", "verify", "")
        assert occupied.value.operation.operation_id == first.operation_id
        with pytest.raises(Occupied):
            await one.upkeep.return_to_before("sums", "")
        assert (await one.upkeep.cancel("sums", "")).state == "cancelling"
        assert (await ended(one.upkeep)).state == "cancelled"
    assert await versions(filled) == [(1, "live", True)]
    assert await fetch(filled, "SELECT to_regclass('sums__v2')") == [(None,)]


async def test_an_event_that_cannot_be_folded_ends_a_rebuild_with_its_position(
    filled: str, open_gate: asyncio.Event
) -> None:
    async with node(filled, Sums(poison=4, gate=open_gate)) as one:
        assert await one.projector.wait_for("sums", Position(10), 10)
        await one.upkeep.ask("sums", "rebuild", "")
        failed = await ended(one.upkeep)
    assert failed.state == "failed"
    assert "position 4 (counted of run/a): poison" in failed.reason
    assert await versions(filled) == [(1, "live", True), (2, "stalled", False)]


async def test_what_a_dead_node_was_asked_another_goes_on_with(
    filled: str, open_gate: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = asyncio.Event()

    async def pause(_upkeep: Upkeep) -> None:
        left.set()
        await asyncio.sleep(0.05)

    monkeypatch.setattr(Upkeep, "_pause", pause)
    async with node(filled, Sums(gate=open_gate), works=False) as asked, node(filled, Sums(gate=open_gate)) as other:
        assert await other.projector.wait_for("sums", Position(10), 10)
        operation = await asked.upkeep.ask("sums", "rebuild", "")
        async with asyncio.timeout(10):  # the other has seen it, and leaves it to the one that was asked
            await left.wait()
        assert await versions(filled) == [(1, "live", True)]
        await asked.claims.leave()
        done = await ended(other.upkeep)
    assert (done.operation_id, done.state, done.version) == (operation.operation_id, "done", 2)


async def test_a_view_that_is_not_there_is_named(filled: str) -> None:
    async with node(filled, Sums()) as one:
        assert await one.projector.wait_for("sums", Position(10), 10)
        for call in (
            one.upkeep.ask("none", "rebuild", ""),
            one.upkeep.cancel("none", ""),
            one.upkeep.operations("none"),
        ):
            with pytest.raises(UnknownProjection):
                await call
