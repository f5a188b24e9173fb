"""Several store jobs on one stream that is restored from older copies again and again, and a load of all that they archived.

The real workers of both kinds share one log, one bucket and one JetStream. A job may be away while the stream is restored, and may be
ordered after it: what each of them can know of the stream's past is different.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from itertools import count

from actors.testing import MemoryLog, run_seeded
from nats3.chunk.decode import decode
from nats3.jetstream.memory import MemoryJetStream
from nats3.job.loading import LoadCompleted
from nats3.job.order import ChunkLimits, LoadOrder, StoreOrder
from nats3.job.storing import ChunkFlushed, Storing, evolve
from nats3.objects.memory import MemoryStore
from nats3.work.load_worker import LoadWorker
from nats3.work.memory import MemoryIndex
from nats3.work.store_worker import StoreWorker
from nats3.work.tools import Habits
from tests.sim.node import Node
from tests.sim.store_world import BUCKET, STREAM, Tell

JOBS = tuple(f"{letter * 8}-0000-0000-0000-000000000000" for letter in "abc")
LOAD = "99999999-2222-3333-4444-555555555555"


@dataclass
class Seat:
    """The world as one run has it."""

    world: World
    run: str

    def __getattr__(self, name):
        return getattr(self.world, name)


@dataclass
class World:
    seed: int
    polls: bool = False
    rng: random.Random = field(init=False)
    habits: Habits = field(init=False)
    told: list = field(default_factory=list)
    said: list = field(default_factory=list)
    """Everybody's events as (job, [event]), in the order of the log."""
    nodes: dict = field(default_factory=dict)
    ordered: list = field(default_factory=list)
    ended: list = field(default_factory=list)

    def __post_init__(self):
        self.rng = random.Random(f"restored/{self.polls}/{self.seed}")
        self.log = MemoryLog()
        self.objects = MemoryStore(BUCKET)
        self.jet = MemoryJetStream()
        self.jet.make_stream(STREAM, ["s.>"])
        self.jet.make_stream("T", ["t.>"])
        self.index = MemoryIndex(self.histories)
        self.habits = Habits(self.rng.choice([0.1, 3.0]), self.rng.choice([2.0, 6.0]), 0.01)
        self.uids = count(1)
        self.orders = {
            job: StoreOrder(
                f"job-{job[0]}",
                STREAM,
                ">",
                BUCKET,
                limits=ChunkLimits(max_bytes=10_000, max_count=self.rng.randint(1, 9), max_age_s=0.2),
            )
            for job in JOBS
        }
        self.order = LoadOrder("load", BUCKET, STREAM, ">", "t.x", poll_interval_s=1.0 if self.polls else None)

    def histories(self):
        """What is new in the log is behind all that was seen of it."""
        known = Counter(job for job, _ in self.said)
        for job in (*JOBS, LOAD):
            self.said += [(job, [event]) for event in self.log.events(f"run/{job}")[known[job] :]]
        return list(self.said)

    @property
    def stream(self):
        return self.jet.all[STREAM]

    # --- what happens

    async def publish(self):
        for _ in range(self.rng.randint(1, 8)):
            self.jet.publish(f"s.{self.rng.randrange(3)}", b"%d" % next(self.uids))

    async def order_one(self):
        if len(self.ordered) < len(JOBS):
            self.ordered.append(JOBS[len(self.ordered)])
            await self.resume(self.ordered[-1])

    async def pause_one(self):
        running = [job for job in self.ordered if job in self.nodes]
        if running:
            await self.stop(self.rng.choice(running))

    async def resume_one(self):
        paused = [job for job in self.ordered if job not in self.nodes]
        if paused:
            await self.resume(self.rng.choice(paused))

    async def crash_one(self):
        running = [job for job in self.ordered if job in self.nodes]
        if running:
            job = self.rng.choice(running)
            self.ended.append(self.nodes.pop(job))
            await self.ended[-1].kill()
            await self.resume(job)

    async def catch_up(self):
        """What a job has seen of its stream it has recorded."""
        for job in self.ordered:
            if job not in self.nodes:
                await self.resume(job)
        await self.drained()

    async def restore(self):
        """From a copy that may be older than the stream."""
        self.jet.disconnect()
        self.jet.roll_back(STREAM, max(0, self.stream.last - self.rng.choice([0, 1, 5, 20])))
        self.jet.restore(STREAM)
        self.jet.reconnect()

    async def begin_load(self):
        """One that polls."""
        if self.polls and LOAD not in self.nodes:
            await self.resume(LOAD)

    async def resume(self, job):
        seat = Seat(self, f"run/{job}")
        node = self.nodes[job] = Node(seat, job, seat.run, lambda *around: self._worker(job, *around))
        await node.start()

    async def stop(self, job):
        self.ended.append(self.nodes.pop(job))
        await self.ended[-1].stop()

    def _worker(self, job, claimed, journal, tools):
        if job == LOAD:
            return LoadWorker(claimed, self.order, journal, tools, generation=1, attempt=1)
        return StoreWorker(claimed, self.orders[job], journal, tools)

    async def drained(self):
        async with asyncio.timeout(600):
            while not all(self._is_drained(job) for job in self.ordered):  # noqa: ASYNC110 - the seeded loop jumps to what is due
                await asyncio.sleep(0.5)

    def _is_drained(self, job):
        state = Storing()
        for event in self.log.events(f"run/{job}"):
            state = evolve(state, event)
        return self.stream.created in state.created and state.cursor >= self.stream.last


STEPS = {
    "publish": 0.6,
    "order_one": 0.1,
    "pause_one": 0.08,
    "resume_one": 0.15,
    "crash_one": 0.05,
    "restore": 0.1,
    "begin_load": 0.1,
}


async def live(world: World, steps: int = 40) -> list[str]:
    """The history, then all that is there is archived and loaded; what is wrong."""
    await world.publish()
    await world.order_one()
    for _ in range(steps):
        for name, rate in STEPS.items():
            if world.rng.random() < rate:
                world.told.append((asyncio.get_running_loop().time(), name))
                await getattr(world, name)()
        await asyncio.sleep(world.rng.choice([0, 0.01, 0.3, 3.0]))
    await world.publish()
    await world.order_one()
    await world.catch_up()
    if LOAD not in world.nodes:
        await world.resume(LOAD)
    completed = await _loaded(world)
    for node in (*world.nodes.values(), *world.ended):
        await node.end()
    return check(world) + ["NOT COMPLETED"] * (not completed)


async def _loaded(world: World) -> bool:
    if world.polls:
        await asyncio.sleep(30)
        return True
    for _ in range(600):
        if any(isinstance(event, LoadCompleted) for event in world.log.events(f"run/{LOAD}")):
            return True
        await asyncio.sleep(0.5)
    return False


def check(world: World) -> list[str]:
    archived = {
        int(message.payload)
        for _, (event,) in world.histories()
        if isinstance(event, ChunkFlushed)
        for message in decode(world.objects.buckets[BUCKET][event.key]).batch
    }
    got = Counter(int(message.payload) for message in world.jet.all["T"].messages.values())
    wrong = ["LOST"] if archived - set(got) else []
    wrong += ["NOT ARCHIVED"] if set(got) - archived else []
    return wrong + ["TWICE"] * any(times > 1 for times in got.values())


def history(seed: int, *, polls: bool = False, steps: int = 40, tell: Tell | None = None) -> list[str]:
    worlds: list[World] = []

    async def lived() -> list[str]:
        worlds.append(World(seed, polls))
        return await live(worlds[0], steps)

    try:
        return run_seeded(seed, lived)
    finally:
        if tell is not None and worlds:
            tell(*(f"{at:8.2f} s  {what}" for at, what in worlds[0].told))
            tell(*(f"{job[:1]} {event}" for job, (event,) in worlds[0].histories()))
