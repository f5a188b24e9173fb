"""A store job's whole world in memory, under a seeded schedule: the real worker, and faults in everything around it.

One seed is one history. Nothing waits for a clock: the loop jumps to what is due next. The checker reads what a user
could read (bucket, log, stream) and knows what a producer knows (what was published, what the stream itself dropped).
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count

from actors import errors as actor_errors
from actors.testing import MemoryLog, run_seeded
from nats3.chunk.decode import decode
from nats3.jetstream.memory import MemoryJetStream
from nats3.job.gaps import PossibleGap
from nats3.job.order import ChunkLimits, StoreOrder
from nats3.job.storing import ChunkFlushed, GapObserved, LifeOpened, Storing, evolve
from nats3.objects.memory import Fault, MemoryStore
from nats3.subject import matches
from nats3.work.memory import MemoryIndex
from nats3.work.store_worker import StoreWorker
from nats3.work.tools import Habits
from tests.sim.node import Node

Tell = Callable[..., None]
"""Hears the history line by line: the faults, then the events of the run."""

JOB = "11111111-2222-3333-4444-555555555555"
RUN = f"run/{JOB}"
STREAM = "S"
BUCKET = "b"
WANTED = "s.1"


@dataclass
class World:
    seed: int
    retention: str
    strict: bool = True
    """Whether the cursor must reach the stream's last seq by itself, also where nothing is left behind it."""

    filtered: bool = False
    """Whether the job wants a third of what the stream takes. `published` is what it wants."""

    rng: random.Random = field(init=False)
    published: dict[int, tuple[int, int]] = field(default_factory=dict)
    removed: dict[int, int] = field(default_factory=dict)
    vanished: set[int] = field(default_factory=set)
    reached: dict[int, int] = field(default_factory=dict)
    """How far the seqs of each stream, by its time of creation, had come before a power loss."""
    reused: set[int] = field(default_factory=set)
    faults: Counter = field(default_factory=Counter)
    run: str = RUN
    habits: Habits = field(init=False)
    nodes: list = field(default_factory=list)
    told: list = field(default_factory=list)
    folded: tuple[list, Storing] = field(default_factory=lambda: ([], Storing()))

    def __post_init__(self):
        self.rng = random.Random(f"{self.retention}/{self.seed}")
        self.log = MemoryLog()
        self.objects = MemoryStore(BUCKET, page=self.rng.choice([2, 1000]))
        self.jet = MemoryJetStream()
        self.jet.make_stream(STREAM, ["s.>"], retention=self.retention)
        self.index = MemoryIndex(lambda: [(JOB, self.log.events(RUN))])
        self.uids = count(1)
        keeping = random.Random(
            f"habits {self.retention}/{self.seed}"
        )  # of its own: the same seed is the same history as before
        self.meddling = random.Random(f"meddling {self.retention}/{self.seed}")
        self.meddles = self.meddling.choice([0, 0, 0.02])
        self.habits = Habits(
            keeping.choice([0.1, 3.0]), keeping.choice([2.0, 6.0]), 0.01, keeping.choice([None, 0.0, 1.0, 10.0])
        )
        self.order = StoreOrder(
            "job",
            STREAM,
            self.rng.choice([">", "s.>", "s.>"]),
            BUCKET,
            limits=ChunkLimits(
                max_bytes=10_000, max_count=self.rng.randint(1, 6), max_age_s=self.rng.choice([0.2, 2.0])
            ),
            drain=True,
        )

        if self.filtered:
            self.order = replace(self.order, subject=WANTED)

    # --- what the world does

    def publish(self, subject=""):
        uid = next(self.uids)
        subject = subject or f"s.{self.rng.randrange(3)}"
        stored = self.jet.publish(subject, b"%d" % uid)
        if not matches(self.order.subject, subject.encode()):
            return
        if stored.seq <= self.reached.get(self.stream.created, 0):
            self.reused.add(uid)
        self.published[uid] = (self.stream.created, stored.seq)
        if stored.seq not in self.stream.messages:  # an interest stream without consumers keeps nothing
            self.removed[uid] = stored.seq

    def wants(self, message):
        return matches(self.order.subject, message.subject)

    @property
    def stream(self):
        return self.jet.all[STREAM]

    def present(self):
        return {seq: int(message.payload) for seq, message in self.stream.messages.items()}

    def drop(self, seqs):
        for seq in seqs:
            self.removed[int(self.stream.messages[seq].payload)] = seq
            self.jet.delete_message(STREAM, seq)

    def expire(self):
        self.drop(sorted(self.stream.messages)[: self.rng.randint(1, 4)])

    def delete_one(self):
        self.drop(self.rng.sample(sorted(self.stream.messages), min(1, len(self.stream.messages))))

    def purge(self):
        self.drop(list(self.stream.messages))

    def roll_back(self):
        """Power loss. Whatever the stream does not hold any more was never there, as far as anyone can ask."""
        self.reached[self.stream.created] = max(self.reached.get(self.stream.created, 0), self.stream.last)
        last = max(0, self.stream.last - self.rng.randint(1, 5))
        gone = {uid for uid, (created, seq) in self.published.items() if created == self.stream.created and seq > last}
        self.vanished |= gone
        self.jet.disconnect()
        self.jet.roll_back(STREAM, last)
        self.jet.reconnect()

    def recreate(self):
        self.vanished |= set(self.published)
        self.jet.delete_stream(STREAM)
        self.jet.make_stream(STREAM, ["s.>"], retention=self.retention)

    def disconnect(self):
        self.jet.disconnect()
        asyncio.get_running_loop().call_later(self.rng.uniform(0, 5), self.jet.reconnect)

    def redeliver(self):
        for name in list(self.stream.consumers):
            self.jet.redeliver(STREAM, name)

    def drop_consumer(self):
        names = list(self.stream.consumers)
        if names and self.retention != "interest":
            self.jet.drop_consumer(STREAM, self.rng.choice(names))

    def edit_consumer(self):
        """A stranger's edit, which stays. On an interest stream it is the stranger who drops messages, not we."""
        names = list(self.stream.consumers)
        if names and self.retention != "interest":
            edit = self.meddling.choice([{"filter_subject": "s.1"}, {"headers_only": True}, {"pause_until": "later"}])
            self.jet.edit_consumer(STREAM, self.meddling.choice(names), **edit)

    def hurt_objects(self):
        self.objects.order(self.rng.choice([Fault.REFUSED, Fault.REPLY_LOST, Fault.LATE]))

    def hurt_log(self):
        error = actor_errors.Transient("the log is away")
        self.nodes[-1].journal.fail_next_append(error, written=self.rng.random() < 0.5)

    async def lose_commits(self):
        """Postgres comes back from an older copy: the last events were never written, and no old owner may write."""
        entity = self.log._entities[RUN]
        kept = max(0, len(entity.events) - self.rng.randint(1, 6))
        del entity.events[kept:], entity.fences[kept:]
        entity.snapshot = None
        await self.start()

    # --- nodes

    async def start(self):
        node = Node(self, JOB, RUN, lambda claimed, journal, tools: StoreWorker(claimed, self.order, journal, tools))
        self.nodes.append(node)
        await node.start()

    async def crash(self):
        await self.nodes[-1].kill()
        await self.start()

    async def zombie(self):
        """Taken over while frozen: the old one lives on and does not know."""
        await self.start()

    async def pause_and_resume(self):
        await self.nodes[-1].stop()
        await self.start()


STEPS = {
    "crash": 0.03,
    "zombie": 0.02,
    "pause_and_resume": 0.02,
    "disconnect": 0.03,
    "redeliver": 0.02,
    "drop_consumer": 0.01,
    "expire": 0.02,
    "delete_one": 0.03,
    "purge": 0.004,
    "roll_back": 0.01,
    "recreate": 0.004,
    "hurt_objects": 0.08,
    "hurt_log": 0.04,
    "lose_commits": 0.006,
}


async def live(world: World, rates: Mapping[str, float], steps: int = 120) -> list[str]:
    """The history, then quiet, then the verdict: a list of what is wrong."""
    await world.start()
    rates = {name: rate * world.rng.choice([0, 1, 1, 2]) for name, rate in rates.items()}
    for _ in range(steps):
        if world.rng.random() < 0.6:
            world.publish()
        for name, rate in rates.items():
            if world.rng.random() < rate:
                world.faults[name] += 1
                world.told.append((asyncio.get_running_loop().time(), name))
                done = getattr(world, name)()
                if done is not None:
                    await done
        if world.meddling.random() < world.meddles:
            world.faults["edit_consumer"] += 1
            world.edit_consumer()
        if world.rng.random() < 0.05:
            world.objects.land()
        await asyncio.sleep(world.rng.choice([0, 0, 0.01, 0.1, 1.0]))
    world.jet.reconnect()
    world.publish(WANTED)
    world.publish(WANTED)
    drained = await _drained(world, 60)  # every fault has been heard of by then
    world.objects.land()
    world.publish(WANTED)  # what only now arrived follows the log's end no more: it is late, whoever stored it
    drained = await _drained(world, 1) and drained
    await _swept(world)
    pinned = world.retention == "interest" and not await _let_go(world)
    for node in world.nodes:
        await node.end()
    return check(world, drained=drained) + ["PINNED"] * pinned


async def _swept(world: World) -> None:
    """Housekeeping has had its time, or has nothing left to do."""
    for _ in range(12):
        await asyncio.sleep(5)
        if not _check_bucket(world, fold(world)):
            return


async def _let_go(world: World) -> bool:
    """Whether an interest stream keeps nothing that is archived, once every late consumer was looked for."""
    for _ in range(10):
        if not any(map(world.wants, world.stream.messages.values())):
            return True
        await asyncio.sleep(5)
    return False


async def _drained(world: World, rest_s: float) -> bool:
    """Nothing is left behind the cursor; what was taken away there after the bind and unread shows with the next message only."""
    await asyncio.sleep(rest_s)
    for _ in range(600):
        state = fold(world)
        left = (
            state.cursor < world.stream.last
            if world.strict and not world.filtered
            else any(seq > state.cursor and world.wants(each) for seq, each in world.stream.messages.items())
        )
        if world.stream.created in state.created and not left:
            return True
        world.objects.land()
        await asyncio.sleep(0.5)
    return False


def fold(world: World) -> Storing:
    """Of what is in the log now; only what is new since the last time is folded, while nothing before it was lost."""
    events = world.log.events(RUN)
    seen, state = world.folded
    if events[: len(seen)] != seen:
        seen, state = [], Storing()
    for event in events[len(seen) :]:
        state = evolve(state, event)
    world.folded = events, state
    return state


def check(world: World, *, drained: bool) -> list[str]:
    wrong = [] if drained else ["NOT DRAINED"]
    counted: Counter = Counter()
    gaps: list[tuple[int, int]] = []
    state = Storing()
    begun = None
    for event in world.log.events(RUN):
        match event:
            case LifeOpened(opening=opening):
                begun = begun or opening
                if opening.cursor > opening.equal:
                    gaps.append((opening.equal + 1, opening.cursor))
                if state.lives and opening.ordinal <= state.lives[-1].ordinal:  # one that the log lost leaves a hole
                    wrong.append("LIFE ORDER")
            case GapObserved(first=first, last=last) | PossibleGap(first=first, last=last):
                gaps.append((first, last))
            case ChunkFlushed():
                wrong += _check_chunk(world, state, event, counted)
                gaps += event.gaps
            case _:
                pass
        state = evolve(state, event)
    wrong += _check_bucket(world, state)
    wrong += ["TWICE"] * any(times > 1 for times in counted.values())
    for uid, (_, seq) in world.published.items():
        if counted[uid] or uid in world.vanished:
            continue
        if uid in world.removed and uid in world.reused:
            continue  # not claimed (docs/guarantees.md): it was gone before anyone looked at what the power loss made of its seq
        if uid in world.removed:
            unsaid = (begun is not None and seq <= begun.cursor) or (world.filtered and world.retention != "limits")
            if not unsaid and not any(first <= seq <= last for first, last in gaps):
                wrong.append("REMOVED WITHOUT GAP")
            continue
        wrong.append("LOST")
    return sorted(set(wrong))


def _check_bucket(world: World, state: Storing) -> list[str]:
    """What no event refers to was found and, where sweeping is asked for, is gone; what one refers to is never condemned."""
    recorded = {event.key for event in world.log.events(RUN) if isinstance(event, ChunkFlushed)}
    wrong = ["RECORDED AND CONDEMNED"] if recorded & state.condemned else []
    unknown = {
        key for key in set(world.objects.buckets[BUCKET]) - recorded if not _of_a_forgotten_life(world, state, key)
    }
    if unknown - state.condemned:
        wrong.append("NOT FOUND")
    if world.habits.grace_s is not None and unknown:
        wrong.append("NOT SWEPT")
    return wrong


def _of_a_forgotten_life(world: World, state: Storing, key: str) -> bool:
    """Of a later life than the log knows, since it lost commits: perhaps the only copy, so it stays for a person to judge."""
    opening = decode(world.objects.buckets[BUCKET][key]).header.origin.opening
    known = {life.uuid for life in state.lives}
    return opening.uuid not in known and opening.ordinal > max((life.ordinal for life in state.lives), default=0)


def _check_chunk(world: World, state: Storing, event: ChunkFlushed, counted: Counter) -> list[str]:
    body = world.objects.buckets[BUCKET].get(event.key)
    if body is None:
        return ["RECORDED OBJECT MISSING"]
    wrong = []
    decoded = decode(body, event.sha256)
    if event.previous_seq != state.cursor or event.previous_sha256 != state.tip or event.life != state.lives[-1].uuid:
        wrong.append("CHAIN BROKEN")
    previous = event.previous_seq
    for message in decoded.batch:
        if not previous < message.seq <= event.last:
            wrong.append("ORDER")
        previous = message.seq
        counted[int(message.payload)] += 1
        if world.published[int(message.payload)][1] != message.seq:
            wrong.append("ALTERED")
    return wrong


def history(
    seed: int,
    retention: str,
    more: Mapping[str, float] | None = None,
    steps: int = 120,
    tell: Tell | None = None,
    *,
    strict: bool = True,
    filtered: bool = False,
) -> list[str]:
    """What is wrong after one life of so many steps. `more` are faults that come more often, as probabilities per step."""
    worlds: list[World] = []

    async def lived() -> list[str]:
        worlds.append(World(seed, retention, strict, filtered))
        return await live(worlds[0], {**STEPS, **(more or {})}, steps)

    try:
        return run_seeded(seed, lived)
    finally:
        if tell is not None and worlds:
            tell(*(f"{at:8.2f} s  {what}" for at, what in worlds[0].told), *map(str, worlds[0].log.events(RUN)))
