"""Random lives of a view on a real Postgres: written, rebuilt, verified, returned, while nodes die and lose their way.

A failing seed is named; replay it alone with `LIVES=seed python -m pytest tests/eventstore/test_rebuild_lives.py`.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from random import Random

import psycopg
import pytest
from psycopg.errors import UndefinedTable

from eventstore import (
    Append,
    Appended,
    Claims,
    Connection,
    Fence,
    Listener,
    LogUnavailable,
    NewEvent,
    NothingBefore,
    NothingUnderWay,
    Occupied,
    Position,
    PostgresStore,
    Projector,
    Recorded,
    Tail,
    Upkeep,
    Version,
    table_of,
    upkeep,
)
from tests.eventstore.conftest import Way

LIVES = 3
STEPS = 40
LEASE_S = 1.0


@dataclass
class Seen:
    """The positions of all events of its type: one row each, and no row twice."""

    name: str
    version: int = 1

    @property
    def types(self) -> frozenset[str]:
        return frozenset({self.name})

    async def create(self, connection: Connection) -> None:
        await connection.execute(f"CREATE TABLE IF NOT EXISTS {table_of(self)} (position bigint PRIMARY KEY)")

    async def apply(self, connection: Connection, events: Sequence[Recorded]) -> None:
        rows = ([event.position for event in events],)
        await connection.execute(f"INSERT INTO {table_of(self)} SELECT unnest(%s::bigint[])", rows)


@dataclass
class Life:
    """`written` are the positions of all events of the view; `url` is a way to Postgres that nobody cuts."""

    seed: int
    url: str
    view: Seen = field(init=False)
    chance: Random = field(init=False)
    written: list[int] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.view = Seen(f"seen_{self.seed}")
        self.chance = Random(self.seed)

    async def write(self, store: PostgresStore) -> None:
        said = tuple(NewEvent(self.view.name, {}) for _ in range(self.chance.randint(1, 200)))
        version = len(self.written)
        (done,) = await store.append([Append(f"life/{self.seed}", Version(version), Fence(0), said)])
        assert isinstance(done, Appended)
        self.written += range(done.last - len(said) + 1, done.last + 1)

    async def look(self) -> int:
        """How far readers see; what they see is all up to there."""
        async with await psycopg.AsyncConnection.connect(self.url, autocommit=True) as connection:
            try:
                found = await connection.execute(f"SELECT position FROM {self.view.name} ORDER BY 1")
            except UndefinedTable:
                return 0
            rows = [position for (position,) in await found.fetchall()]
        assert rows == self.written[: len(rows)], "readers see a hole, or what is not there"
        return rows[-1] if rows else 0


@dataclass
class Node:
    """What a process has to do with projections, on a way of its own."""

    way: Way
    upkeep: Upkeep
    projector: Projector
    claims: Claims


@asynccontextmanager
async def node(life: Life) -> AsyncGenerator[Node]:
    """Ends without a word, as a process that dies: its lease runs out."""
    way = Way(life.url)
    await way.start()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(way.stop)
        claims = Claims(way.url)
        stack.push_async_callback(claims.close)
        await claims.register("node", LEASE_S)
        store = PostgresStore(way.url, claims.node)
        stack.push_async_callback(store.close)
        chance = Random(life.chance.random())
        tail = await stack.enter_async_context(Tail(store, listener=Listener(way.url), interval=0.1))
        views = [life.view]
        projector = Projector(way.url, store, tail, views, node=claims.node, chance=chance)
        done = Upkeep(way.url, store, tail, views, node=claims.node, chance=chance)
        await stack.enter_async_context(projector)
        await stack.enter_async_context(done)
        renewing = await stack.enter_async_context(asyncio.TaskGroup())
        beats = renewing.create_task(renew(claims))
        yield Node(way, done, projector, claims)
        beats.cancel()


async def renew(claims: Claims) -> None:
    while True:
        with suppress(LogUnavailable):
            await claims.renew()
        await asyncio.sleep(LEASE_S / 4)


async def act(life: Life, one: Node) -> str:
    """Whatever an operator, or bad luck, does next; what came of it."""
    match life.chance.randrange(9):
        case 0 | 1 | 2:
            await one.upkeep.ask(life.view.name, "rebuild", "a test")
            return "rebuild"
        case 3:
            await one.upkeep.ask(life.view.name, "verify", "a test")
            return "verify"
        case 4:
            await one.upkeep.cancel(life.view.name, "a test")
            return "cancel"
        case 5:
            await one.upkeep.return_to_before(life.view.name, "a test")
            return "return"
        case 6:
            one.way.swallow()
            return "swallow"
        case _:
            one.way.cut()
            await asyncio.sleep(life.chance.choice((0.01, 0.1, 0.5)))
            one.way.mend()
            return "cut"


async def lived(life: Life) -> None:
    """Two nodes, one of which dies and comes back as another; readers look all the while."""
    async with AsyncExitStack() as stack:
        store = PostgresStore(life.url)
        stack.push_async_callback(store.close)
        staying = await stack.enter_async_context(node(life))
        left = STEPS
        while left > 0:
            async with node(life) as mortal:
                for _ in range(life.chance.randint(3, 12)):
                    left -= 1
                    await life.write(store)
                    with suppress(Occupied, NothingUnderWay, NothingBefore, LogUnavailable):
                        life.outcomes[await act(life, life.chance.choice((staying, mortal)))] += 1
                        if life.chance.random() < 0.1:
                            await mortal.claims.leave()  # it works on as if it had its lease
                            life.outcomes["lapse"] += 1
                    await life.look()
                    await asyncio.sleep(life.chance.choice((0.0, 0.01, 0.05)))
            life.outcomes["death"] += 1
        await settled(life, staying)


async def settled(life: Life, last: Node) -> None:
    """Left alone, readers come to see all, every operation ends, and what they see is what a fresh fold makes."""
    last.way.swallowing.clear()
    async with asyncio.timeout(30):
        while await life.look() < life.written[-1]:
            continue
        await idle(life, last)
        await verify(life, last)
        await idle(life, last)
    found = (await last.upkeep.operations(life.view.name))[-1]
    assert (found.kind, found.state, found.differ) == ("verify", "done", ())
    active = [each for each in await last.projector.status() if each.name == life.view.name and each.active]
    assert len(active) == 1
    assert await last.projector.wait_for(life.view.name, Position(life.written[-1]), 5)


async def verify(life: Life, one: Node) -> None:
    """Asked once, whatever becomes of the answer."""
    while True:
        with suppress(LogUnavailable):
            with suppress(Occupied):  # the answer was lost, and not the question
                await one.upkeep.ask(life.view.name, "verify", "a test")
            return


async def idle(life: Life, one: Node) -> None:
    """Until nothing is under way."""
    while upkeep.open_one(await one.upkeep.operations(life.view.name)) is not None:
        continue


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_no_random_life_shows_readers_a_hole_or_loses_a_view(
    log_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "STANDBY", 0.2)
    outcomes = Counter[str]()
    for seed in [int(os.environ["LIVES"])] if "LIVES" in os.environ else range(LIVES):
        life = Life(seed, log_url)
        try:
            await lived(life)
        except BaseException as fault:
            fault.add_note(f"seed {seed}: {dict(life.outcomes)}")
            raise
        outcomes += life.outcomes
    for what in ("rebuild", "verify", "cut", "death", "lapse"):
        assert outcomes[what] or "LIVES" in os.environ, f"these lives say little: {dict(outcomes)}"
