"""The log has events of a newer nats3: what they stand behind is left to that one, nothing is written there, all else goes on."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from itertools import count
from uuid import uuid4

import pytest

from actors.testing import MemoryLog
from eventstore import (
    Append,
    Batcher,
    Fence,
    MemoryClaims,
    MemorySnapshots,
    MemoryStore,
    NewEvent,
    Position,
    Recorded,
    Tail,
    Version,
)
from nats3.jetstream.memory import MemoryJetStream
from nats3.job.history import HISTORY
from nats3.job.order import LoadOrder, Order, StoreOrder, kind_of
from nats3.job.ordering import JobCreated, JobPaused
from nats3.job.running import RunActivated
from nats3.job.surveying import SurveyAsked
from nats3.objects import memory as bucket
from nats3.work.history_writer import Runs
from nats3.work.journal import Log, Unreadable
from nats3.work.kept import StateKeeper
from nats3.work.memory import MemoryIndex
from nats3.work.office import Runnable
from nats3.work.run import Claimed
from nats3.work.staff import Workers
from nats3.work.surveyor import Surveyor
from nats3.work.tools import Habits
from tests.sim.node import tools_over

ORDERS: list[Order] = [
    StoreOrder(name="a", stream="S", subject="a.>", bucket="b"),
    LoadOrder(name="a", read_stream="S", bucket="b", write_subject="t"),
]
NEWER = [
    NewEvent("chunk_flushed", {"x": 1}, schema_version=99),
    NewEvent("chunk_melted", {"x": 1}),
    NewEvent("chunk_flushed", {"of this version": "and yet it does not fit"}),
]
OTHER_ORDER = NewEvent("job_changed", {"x": 1}, schema_version=99)


@dataclass
class World:
    """One node's parts, in memory; `left` is what it told that it leaves to others."""

    batcher: Batcher
    store: MemoryStore
    snapshots: MemorySnapshots = field(default_factory=MemorySnapshots)
    job: str = field(default_factory=lambda: str(uuid4()))
    left: list[str] = field(default_factory=list)
    habits: Habits = field(default_factory=Habits)

    def __post_init__(self) -> None:
        self.rng, self.log, self.run = random.Random(1), MemoryLog(), f"run/{self.job}"
        self.jet, self.objects, self.index = MemoryJetStream(), bucket.MemoryStore("b"), MemoryIndex(list)
        self.claims = MemoryClaims(self.store)

    def of(self, name: str) -> MemoryJetStream:
        assert name == "main"
        return self.jet

    def runs(self) -> Log:
        return Log(self.store, self.batcher, HISTORY, self.snapshots)

    def staff(self) -> Workers:
        return Workers(self.runs(), replace(tools_over(self), signals=Told(self.left)), self)

    async def say(self, entity_id: str, *events: object) -> None:
        new = tuple(event if isinstance(event, NewEvent) else HISTORY.encode(event) for event in events)
        before = self.store.entities.get(entity_id)
        version, fence = (Version(before.version), before.fence) if before else (Version(0), Fence(0))
        await self.store.append([Append(entity_id, version, fence, new)])

    async def events(self, entity_id: str) -> list[Recorded]:
        return await self.store.read(entity_id, Version(0), 100)

    async def types(self, entity_id: str) -> list[str]:
        return [event.type for event in await self.events(entity_id)]

    async def claim(self) -> Claimed:
        await self.claims.register("node")
        return Claimed(self.job, "a", (await self.claims.claim(self.run)).fence, count(1))


class Told:
    """Signals of which one is heard."""

    def __init__(self, told: list[str]) -> None:
        self._told = told

    def left(self, what: str, reason: str) -> None:
        self._told.append(f"{what}: {reason}")


@pytest.fixture
async def world() -> AsyncIterator[World]:
    store = MemoryStore()
    async with Batcher(store) as batcher:
        yield World(batcher, store)


async def refusal(world: World, claimed: Claimed, order: Order) -> Unreadable:
    """Why the worker that the staff makes does not begin."""
    worker = world.staff().actor(Runnable(world.job, "a", order, 1, 1), claimed)()
    with pytest.raises(Unreadable) as raised:
        await worker.recover()  # type: ignore[attr-defined] - both workers are durable actors
    return raised.value


@pytest.mark.parametrize("event", NEWER, ids=["version", "type", "data"])
@pytest.mark.parametrize("order", ORDERS, ids=["store", "load"])
async def test_a_run_that_cannot_be_read_is_not_run_and_nothing_is_written_into_it(
    world: World, order: Order, event: NewEvent
) -> None:
    await world.say(f"job/{world.job}", JobCreated(kind_of(order), order))
    await world.say(world.run, RunActivated(1, "newer"), event)
    claimed, before = await world.claim(), await world.events(world.run)
    why = await refusal(world, claimed, order)
    await world.staff().left(claimed, why)
    await world.staff().failed(claimed, "a bug as well")
    assert await world.events(world.run) == before
    (told,) = world.left
    assert told.startswith(f"a: {world.run} has an event that this nats3 cannot read (")
    assert told.endswith("): run the version that wrote it")


@pytest.mark.parametrize("order", ORDERS, ids=["store", "load"])
async def test_a_run_whose_order_cannot_be_read_is_not_run_and_says_so_once(world: World, order: Order) -> None:
    """The view that knows the job has not got the other order: to run it would be to run what nobody wants."""
    await world.say(f"job/{world.job}", JobCreated(kind_of(order), order), OTHER_ORDER, JobPaused())
    await world.say(world.run, RunActivated(1, "newer"))
    claimed = await world.claim()
    why = await refusal(world, claimed, order)
    for _ in range(2):
        await world.staff().left(claimed, why)
    activated, blocked = await world.events(world.run)
    assert (activated.type, blocked.type, blocked.data["code"]) == ("run_activated", "run_blocked", "newer_event")
    assert blocked.data["reason"] == (
        f"job/{world.job} has an event that this nats3 cannot read"
        " (no event type job_changed of version 99 is known): run the version that wrote it"
    )


@pytest.mark.parametrize("entity", ["job", "run"])
async def test_no_snapshot_is_kept_of_what_cannot_be_read(world: World, entity: str) -> None:
    """So its old events stay in the database, where the newer program finds them."""
    await world.say(f"job/{world.job}", JobCreated("store", ORDERS[0]))
    await world.say(world.run, RunActivated(1, "newer"))
    await world.say(f"{entity}/{world.job}", NEWER[1])
    await StateKeeper(world.runs(), world.snapshots).keep(f"{entity}/{world.job}")
    assert await world.snapshots.load(f"{entity}/{world.job}") is None


async def test_a_rebuild_leaves_a_job_alone_whose_order_cannot_be_read(world: World) -> None:
    await world.say(f"job/{world.job}", JobCreated("store", ORDERS[0]), OTHER_ORDER)
    runs = Runs(world.claims, world.store, world.batcher, world.snapshots, node="node")
    async with runs.claimed(world.job) as writer:
        assert writer is None


class Nothing:
    """An index in which nothing is recorded."""

    async def fresh(self) -> int:
        return 0

    async def chunks(self, *_: object) -> list[object]:
        return []

    async def total(self, _: object) -> int:
        return 0

    async def places(self, _: object) -> list[object]:
        return []

    async def known(self, *_: object) -> set[str]:
        return set()


class SurveysTold(Told):
    def walked(self, task: str, outcome: str, reason: str) -> None:
        self._told.append(f"{task} {outcome} {reason}".strip())


ASKED = HISTORY.encode(SurveyAsked("verify", "b"))
ASKED_NEWER = NewEvent("survey_asked", {"x": 1}, schema_version=99)


@pytest.mark.parametrize(
    ("asked", "walked", "written"),
    [
        ([ASKED_NEWER], [], ["walk_begun", "walk_waits"]),
        ([ASKED, NewEvent("survey_slowed", {})], [], ["walk_begun", "walk_waits"]),
        ([ASKED], [NewEvent("walk_begun", {}, schema_version=99)], ["walk_begun"]),
        ([ASKED], [NewEvent("walk_rested", {})], ["walk_rested"]),
    ],
    ids=["question", "its entity", "walk", "its type"],
)
async def test_a_survey_that_cannot_be_read_is_left_and_others_are_walked(
    world: World, asked: list[NewEvent], walked: list[NewEvent], written: list[str]
) -> None:
    await world.say("survey/0", *asked)
    if walked:
        await world.say("walk/0", *walked)
    await world.say("survey/1", ASKED)
    await world.claims.register("node")
    async with Tail(world.store) as tail:
        parts = (world.store, world.batcher, world.snapshots, world.claims, tail, tools_over(world))
        async with Surveyor(*parts, Nothing(), world.objects, SurveysTold(world.left)), asyncio.timeout(10):
            async for page in tail.follow(Position(0)):
                if any((event.entity_id, event.type) == ("walk/1", "walk_ended") for event in page):
                    break
    assert await world.types("walk/0") == written
    left, ended = world.left
    assert left.startswith("0: ")
    assert "cannot read" in left
    assert ended == "verify done"
    assert await world.claims.owned() == []
