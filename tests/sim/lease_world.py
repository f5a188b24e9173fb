"""Three nodes and their offices over one log in memory: leases that run out, answers that get lost, one writer per run."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from actors.actor import Actor
from actors.system import ActorSystem
from actors.testing import Recorder, run_seeded
from eventstore import Append, Claim, Fence, LogUnavailable, NewEvent, Tail, Version
from eventstore.memory import MemoryClaims, MemoryStore
from nats3.job.order import ChunkLimits, StoreOrder
from nats3.work.lease import NodeLease
from nats3.work.office import Office, Runnable
from nats3.work.run import Claimed
from tests.sim.store_world import Tell

JOBS = ("a", "b", "c")
NODES = 3
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
QUIET_S = 30.0
"""After the last fault: longer than a lease, a renewal and a few looks for work."""


class Away(MemoryClaims):
    """Claims of a node that Postgres is away from, now and then, before or after it has done what was asked."""

    def __init__(self, world: World) -> None:
        super().__init__(world.store)
        self._world = world
        self.away = False

    async def _through(self, work: Callable[[], object]) -> object:
        await asyncio.sleep(self._world.rng.choice([0, 0.01, 0.5]))
        if self.away and self._world.rng.random() < 0.7:
            raise LogUnavailable("request lost")
        answer = await work()  # type: ignore[misc]
        if self.away:
            raise LogUnavailable("answer lost")
        await asyncio.sleep(self._world.rng.choice([0, 0, 0.3]))
        return answer

    async def renew(self) -> bool:
        return await self._through(super().renew)  # type: ignore[return-value]

    async def take(self, wanted: Sequence[str], limit: int) -> list[Claim]:
        return await self._through(lambda: super(Away, self).take(wanted, limit))  # type: ignore[return-value]

    async def release(self, entity_id: str, fence: Fence) -> bool:
        return await self._through(lambda: super(Away, self).release(entity_id, fence))  # type: ignore[return-value]


class Writer(Actor):
    """Writes as long as it lives and its fence is good; says so to the world, which watches who believes to own what."""

    def __init__(self, node: Node, claimed: Claimed) -> None:
        self._node = node
        self._claimed = claimed

    async def on_start(self) -> None:
        self.context.spawn(self._write, "write")

    async def receive(self, message: object) -> None:
        del message

    async def _write(self) -> None:
        world, entity = self._node.world, f"run/{self._claimed.job_id}"
        while True:
            await asyncio.sleep(world.rng.choice([0.2, 1.0]))
            if not self._node.lease.valid():
                continue
            now = asyncio.get_running_loop().time()
            world.believed(self._claimed.job_id, self._node.number, now)
            version = Version(len(world.store.entities[entity].events))
            with suppress(LogUnavailable):
                event = NewEvent("said", {"node": self._node.number})
                await world.store.append([Append(entity, version, Fence(self._claimed.fence), (event,))])


class Desk:
    async def runnable(self) -> list[Runnable]:
        order = StoreOrder("job", "S", ">", "b", limits=ChunkLimits())
        return [Runnable(job, job, order, 1, 1) for job in JOBS]

    async def wanted(self, _: str) -> None:
        return None

    async def reached(self, _: int) -> None:
        return None

    async def caught_up(self) -> int:
        return 0


class Node:
    """One node; also its staff."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.number = number
        self.claims = Away(world)
        self.lease = NodeLease(asyncio.get_running_loop().time)

    def actor(self, runnable: Runnable, claimed: Claimed) -> Callable[[], Writer]:
        del runnable
        return lambda: Writer(self, claimed)

    async def failed(self, claimed: Claimed, reason: str) -> None:
        self.world.wrong.append(f"GIVEN UP {claimed.job_id}: {reason}")

    async def forget(self, _: str) -> None:
        return None

    async def live(self) -> None:
        monotonic = asyncio.get_running_loop().time
        async with ActorSystem(chance=self.world.rng.random) as system, Tail(self.world.store, interval=60.0) as tail:
            parts = (self.claims, Desk(), self, system, tail, self.lease, monotonic, Recorder())
            office = Office(f"node {self.number}", *parts)
            system.observer = office
            async with office:
                await asyncio.Event().wait()


@dataclass
class World:
    seed: int
    rng: random.Random = field(init=False)
    wrong: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    owners: dict[str, tuple[int, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rng = random.Random(f"lease/{self.seed}")
        self.store = MemoryStore(lambda: BEGAN + timedelta(seconds=asyncio.get_running_loop().time()))

    def believed(self, job: str, node: int, now: float) -> None:
        """A node believes that it may write: nobody else may have believed so after it took over."""
        entity = self.store.entities.get(f"run/{job}")
        owner = next((each for each in self.nodes if entity is not None and each.claims.node == entity.owner), None)
        if owner is not None and owner.number != node:
            self.wrong.append(f"TWO OWNERS of {job} at {now:.2f}: {node} acts, {owner.number} has the claim")
        self.owners[job] = (node, now)

    async def live(self) -> list[str]:
        self.nodes = [Node(self, number) for number in range(NODES)]
        running: list[asyncio.Task[None] | None] = []
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(node.live()) for node in self.nodes]
            for _ in range(self.rng.randint(3, 12)):
                await asyncio.sleep(self.rng.choice([0.2, 1.0, 3.0, 9.0]))
                self._hurt(tasks, running)
            for node in self.nodes:
                node.claims.away = False
            await asyncio.sleep(QUIET_S)
            self._judge(asyncio.get_running_loop().time())
            for task in running:
                task.cancel()
        return sorted(set(self.wrong))

    def _hurt(self, tasks: asyncio.TaskGroup, running: list[asyncio.Task[None]]) -> None:
        number = self.rng.randrange(NODES)
        node = self.nodes[number]
        if self.rng.random() < 0.3:
            self.told.append(f"{asyncio.get_running_loop().time():.2f} node {number} ends and comes back")
            running[number].cancel()
            self.nodes[number] = Node(self, number)
            running[number] = tasks.create_task(self.nodes[number].live())
        else:
            node.claims.away = not node.claims.away
            self.told.append(
                f"{asyncio.get_running_loop().time():.2f} Postgres is away from {number}: {node.claims.away}"
            )

    def _judge(self, now: float) -> None:
        for job in JOBS:
            node, last = self.owners.get(job, (-1, -1.0))
            if now - last > 5.0:
                self.wrong.append(f"NOBODY RUNS {job}: last was {node} at {last:.2f}, now {now:.2f}")
            fences = [event.fence for event in self.store.entities[f"run/{job}"].events]
            if fences != sorted(fences):
                self.wrong.append(f"AN OLD FENCE WROTE to {job}")


def history(seed: int, tell: Tell | None = None) -> list[str]:
    worlds: list[World] = []

    async def lived() -> list[str]:
        worlds.append(World(seed))
        return await worlds[0].live()

    try:
        return run_seeded(seed, lived)
    finally:
        if tell is not None and worlds:
            tell(*worlds[0].told)
