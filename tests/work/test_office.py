"""Several offices on one log in memory, in a time that jumps: who runs what, when nodes come, go, freeze and are cut off."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from actors.actor import Actor
from actors.system import ActorSystem
from actors.testing import Recorder, run_seeded
from eventstore import (
    Append,
    Fence,
    LogUnavailable,
    MemoryClaims,
    MemoryStore,
    NewEvent,
    Recorded,
    Tail,
    UnknownType,
    Version,
)
from nats3.job.history import HISTORY
from nats3.work.journal import Unreadable
from nats3.work.lease import NodeLease
from nats3.work.messages import Ending
from nats3.work.office import STOP_S, Office, Runnable
from nats3.work.run import Claimed
from nats3.work.share import HAND_OVER_S

START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class World:
    """What runs where: `spans` are (job, node, from, to) of runs that ended, `now` those that go on."""

    jobs: list[str]
    deaf: bool = False
    store: MemoryStore = field(init=False)
    now: dict[tuple[str, str], float] = field(default_factory=dict)
    spans: list[tuple[str, str, float, float]] = field(default_factory=list)
    endings: list[tuple[str, str, float]] = field(default_factory=list)
    left: list[tuple[str, str]] = field(default_factory=list)
    old: set[str] | None = None
    """The nodes that cannot read what a newer program says; None: all."""

    def __post_init__(self) -> None:
        self.store = MemoryStore(clock=lambda: START + timedelta(seconds=self.time()))

    def time(self) -> float:
        return asyncio.get_running_loop().time()

    async def say(self, entity_id: str, event: NewEvent) -> None:
        version = Version(len(await self.store.read(entity_id, Version(0), 100)))
        await self.store.append([Append(entity_id, version, Fence(0), (event,))])

    def on(self, node: str) -> list[str]:
        return sorted(job for job, where in self.now if where == node)

    def together(self) -> float:
        """For how many seconds at most one job ran on two nodes."""
        spans = [*self.spans, *((*key, since, self.time()) for key, since in self.now.items())]
        pairs = [(a, b) for a in spans for b in spans if a[0] == b[0] and a[1] < b[1]]
        return max((min(a[3], b[3]) - max(a[2], b[2]) for a, b in pairs), default=0.0)


class Runs(Actor):
    """Says that it runs until it is made to stop; a deaf one settles for ever."""

    def __init__(self, world: World, job: str, node: str) -> None:
        self.world, self.job, self.node = world, job, node

    async def on_start(self) -> None:
        events: list[Recorded] = await self.world.store.read(f"job/{self.job}", Version(0), 100)
        for event in events:
            if not HISTORY.reads(event) and (self.world.old is None or self.node in self.world.old):
                raise Unreadable(event.entity_id, UnknownType(event.type, event.schema_version))
        self.context.spawn(self._be_there, "there")

    async def receive(self, message: object) -> None:
        if isinstance(message, Ending):
            self.world.endings.append((self.job, message.why, self.world.time()))

    async def on_stop(self) -> None:
        if self.world.deaf:
            await asyncio.sleep(10**6)

    async def _be_there(self) -> None:
        key, began = (self.job, self.node), self.world.time()
        self.world.now[key] = began
        try:
            await asyncio.sleep(10**6)
        finally:
            del self.world.now[key]
            self.world.spans.append((*key, began, self.world.time()))


@dataclass
class Desk:
    world: World

    async def runnable(self) -> list[Runnable]:
        return [Runnable(job, job, None, 1, 1) for job in self.world.jobs]

    async def wanted(self, job_id: str) -> str | None:
        return "active" if job_id in self.world.jobs else "deleted"

    async def reached(self, position: int) -> None:
        return

    async def caught_up(self) -> int:
        return 0


@dataclass
class Staff:
    world: World
    node: str

    def actor(self, runnable: Runnable, claimed: object) -> Callable[[], Actor]:
        return lambda: Runs(self.world, runnable.job_id, self.node)

    async def failed(self, claimed: object, reason: str) -> None: ...

    async def left(self, claimed: Claimed, why: Unreadable) -> None:
        assert why.entity_id == f"job/{claimed.job_id}"
        self.world.left.append((claimed.job_id, self.node))

    async def forget(self, job_id: str) -> None: ...


class Reached(MemoryClaims):
    """Claims over a network that can be cut; a call that meets a cut fails after its deadline."""

    cut = False

    async def renew(self) -> bool:
        await self._pass()
        return await super().renew()

    async def take(self, wanted, limit):
        await self._pass()
        return await super().take(wanted, limit)

    async def release(self, entity_id, fence):
        await self._pass()
        return await super().release(entity_id, fence)

    async def leave(self) -> None:
        await self._pass()
        await super().leave()

    async def _pass(self) -> None:
        if self.cut:
            await asyncio.sleep(5)
            raise LogUnavailable("cut")


class Node:
    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.claims = Reached(world.store)
        self.lease = NodeLease(world.time)
        self.stack = AsyncExitStack()
        self.tasks = asyncio.TaskGroup()

    async def start(self) -> None:
        tail = await self.stack.enter_async_context(Tail(self.world.store))
        self.system = await self.stack.enter_async_context(ActorSystem())
        desk, staff = Desk(self.world), Staff(self.world, self.name)
        self.office = Office(
            self.name, self.claims, desk, staff, self.system, tail, self.lease, self.world.time, Recorder()
        )
        self.system.observer = self.office
        await self.tasks.__aenter__()
        self.task = self.tasks.create_task(self.office.run())

    async def die(self) -> None:
        """As after kill -9: nothing is said to anybody."""
        self.task.cancel()
        await self.tasks.__aexit__(None, None, None)
        await self.system.stop_all(0)

    async def terminate(self) -> None:
        """As after SIGTERM."""
        await self.office.close()
        await self.die()


@asynccontextmanager
async def nodes(world: World, *names: str):
    made = [Node(world, name) for name in names]
    try:
        yield made
    finally:
        for node in made:
            if hasattr(node, "task"):
                node.claims.cut = False
                world.deaf = False
                await node.die()
                await node.stack.aclose()


async def until(world: World, holds: Callable[[], object], within: float) -> float:
    """How long it took, in seconds."""
    began = world.time()
    async with asyncio.timeout(within):
        while not holds():  # noqa: ASYNC110 - what is waited for is what several offices make together
            await asyncio.sleep(0.05)
    return world.time() - began


def everywhere(seeds: int, story: Callable[[], Coroutine[object, object, None]]) -> None:
    for seed in range(seeds):
        run_seeded(seed, story)


def test_a_node_that_is_cut_off_stops_its_runs_before_anybody_else_may_begin_them() -> None:
    async def story() -> None:
        world = World(["a", "b"])
        async with nodes(world, "one", "two") as (one, two):
            await one.start()
            await until(world, lambda: world.on("one") == ["a", "b"], 5)
            one.claims.cut = True
            await two.start()
            await until(world, lambda: world.on("two") == ["a", "b"], 13)
            assert world.on("one") == []
            assert world.together() <= 0

    everywhere(20, story)


def test_a_node_whose_lease_was_ended_stops_its_runs_when_it_hears_of_it() -> None:
    """Its own clock says that the lease lasts; the database says that others may have taken what it runs."""

    async def story() -> None:
        world = World(["a", "b"])
        async with nodes(world, "one", "two") as (one, two):
            await one.start()
            await until(world, lambda: world.on("one") == ["a", "b"], 5)
            await two.start()
            await MemoryClaims.leave(one.claims)
            await until(world, lambda: world.on("two"), 3)
            await until(world, lambda: not set(world.on("one")) & set(world.on("two")), 4)
            assert one.lease.valid()
            assert world.together() <= 3.1
            await until(world, lambda: sorted(world.on("one") + world.on("two")) == ["a", "b"], 5)

    everywhere(20, story)


@pytest.mark.parametrize(("end", "within"), [("die", 13.0), ("terminate", 2.1)])
def test_what_a_node_ran_goes_on_elsewhere(end: str, within: float) -> None:
    async def story() -> None:
        world = World(["a", "b", "c"])
        async with nodes(world, "one", "two") as (one, two):
            await one.start()
            await until(world, lambda: len(world.on("one")) == 3, 5)
            await two.start()
            await asyncio.sleep(world.time() % 3.3)
            await getattr(one, end)()
            await until(world, lambda: world.on("two") == ["a", "b", "c"], within)
            assert world.together() <= 0

    everywhere(20, story)


def test_a_node_that_came_later_gets_its_share_one_run_in_ten_seconds() -> None:
    async def story() -> None:
        world = World([f"job-{n}" for n in range(8)])
        async with nodes(world, "one", "two") as (one, two):
            await one.start()
            await until(world, lambda: len(world.on("one")) == 8, 5)
            await two.start()
            await until(world, lambda: len(world.on("one")) == 5, 60)
            await asyncio.sleep(30)
            assert (len(world.on("one")), len(world.on("two"))) == (5, 3)
            times = [time for _, why, time in world.endings if why == "handed_over"]
            assert len(times) == len(world.endings) == 3
            assert all(later - sooner >= HAND_OVER_S for sooner, later in pairwise(times))
            assert world.together() <= 0

    everywhere(10, story)


def test_a_node_that_is_told_to_end_ends_within_25_s_whatever_its_runs_do() -> None:
    async def story() -> None:
        world = World(["a", "b"], deaf=True)
        async with nodes(world, "one") as (one,):
            await one.start()
            await until(world, lambda: len(world.on("one")) == 2, 5)
            began = world.time()
            await one.office.close()
            assert STOP_S <= world.time() - began <= 25
            assert world.on("one") == []
            assert await one.claims.nodes() == []

    everywhere(5, story)
