"""A load job's whole world in memory, under a seeded schedule: the real worker, an archive, a target, and faults."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field, replace
from hashlib import sha256

from actors import errors as actor_errors
from actors.testing import MemoryLog, run_seeded
from nats3.chunk.decode import decode
from nats3.chunk.encode import encode
from nats3.chunk.held import to_bytes
from nats3.chunk.layout import Origin
from nats3.headers import restored
from nats3.jetstream.memory import MemoryJetStream
from nats3.job.loading import LoadCompleted
from nats3.job.order import LoadOrder, SubjectTransform
from nats3.life import Opening
from nats3.message import Batch
from nats3.objects.memory import Fault, MemoryStore
from nats3.pace import PaceLimits
from nats3.work.load_worker import LoadWorker
from nats3.work.memory import MemoryIndex
from nats3.work.record import flushed
from nats3.work.tools import Habits
from tests.sim.node import Node
from tests.sim.store_world import BUCKET, Tell

LOAD = "99999999-2222-3333-4444-555555555555"
RUN = f"run/{LOAD}"
SOURCES = ("aaaaaaaa-0000-0000-0000-000000000000", "bbbbbbbb-0000-0000-0000-000000000000")
CREATED = 1_600_000_000_000_000_000


@dataclass
class World:
    """Up to two store jobs archived one stream, perhaps with different filters; the target takes `t.>`, and in mode
    `atomic` markers.
    """

    seed: int
    mode: str
    rng: random.Random = field(init=False)
    faults: Counter = field(default_factory=Counter)
    run: str = RUN
    habits: Habits = field(default_factory=Habits)
    nodes: list = field(default_factory=list)
    told: list = field(default_factory=list)

    def __post_init__(self):
        self.rng = random.Random(f"{self.mode}/{self.seed}")
        self.log = MemoryLog()
        self.objects = MemoryStore(BUCKET)
        self.jet = MemoryJetStream()
        self.jet.batch_messages = self.rng.randint(1, 12)
        config = {"allow_atomic": True} if self.mode == "atomic" else {}
        self.jet.make_stream("T", ["t.>", *(["nats3.mark.>"] if config else [])], **config)
        self.recorded: list = []
        self.index = MemoryIndex(self._histories)
        self.messages = [
            (
                seq,
                CREATED + seq,
                b"s.%d" % self.rng.randrange(3),
                self.rng.choice([None, b"NATS/1.0\r\nA: %d\r\n\r\n" % seq, _header(seq)]),
            )
            for seq in range(1, self.rng.randint(5, 60))
            if self.rng.random() < 0.9
        ]
        self.order = LoadOrder(
            "load",
            BUCKET,
            "S",
            self.rng.choice([">", "s.>", "s.1", "s.*"]),
            "t.x",
            mode="exclusive" if self.mode == "exclusive" else "auto",  # which is atomic where the target allows it
            delete_chunks=self.rng.random() < 0.3,
            limit=self.rng.choice([None, None, None, 1, 7]),
        )
        if self.mode == "polling":
            self.order = replace(self.order, poll_interval_s=1.0)
        self.later: list = []
        self.completing = False

    def shape(self):
        """Order a part, other subjects, a pace, or none of it."""
        self.order = replace(self.order, **_shape(random.Random(f"shape/{self.mode}/{self.seed}")))

    def matching(self):
        """What of all that was sent is selected, whatever the limit."""
        order = self.order
        return [
            (seq, time, subject, header)
            for seq, time, subject, header in self.messages
            if any(_matches(pattern, subject) for pattern in order.filters)
            and (order.from_seq or 0) <= seq <= (order.to_seq or seq)
            and (order.from_time or 0) <= time < (order.to_time or time + 1)
            and (not order.read_headers or header == _header(seq))
        ]

    def selected(self):
        return self.matching()[: self.order.limit]

    def renamed(self, subject):
        """Where a message is to be published."""
        if self.order.write_subject is not None:
            return self.order.write_subject.encode()
        return b"t.one.1" if subject == b"s.1" else b"t.other." + subject[2:]

    def record(self, job, events):
        """Chunks enter the log behind what the load has said by now."""
        self.recorded += [(len(self.log.events(RUN)), job, event) for event in events]

    def _histories(self):
        """Everybody's events in the order of the log."""
        own, said = self.log.events(RUN), 0
        for behind, job, event in self.recorded:
            yield from ((LOAD, [each]) for each in own[said:behind])
            said = behind
            yield job, [event]
        yield LOAD, own[said:]

    def archive(self):
        if self.rng.random() < 0.5:
            self._archive(SOURCES[0], self.messages)
            return
        for job, unwanted in zip(SOURCES, (b"s.2", b"s.0"), strict=True):
            self._archive(job, [message for message in self.messages if message[2] != unwanted])

    def _archive(self, job, kept):
        """All at once, or, for a load that polls, perhaps the rest some time later."""
        events = self.chunks(job, kept)
        now = self.rng.randint(0, len(events)) if self.mode == "polling" else len(events)
        self.record(job, events[:now])
        self.later += [(job, events[now:])] if events[now:] else []

    def archive_more(self):
        if self.later:
            job, events = self.later.pop(self.rng.randrange(len(self.later)))
            some = self.rng.randint(1, len(events))
            self.record(job, events[:some])
            self.later += [(job, events[some:])] if events[some:] else []

    def held(self, flushed):
        """What an order to delete the chunk says of it."""
        return to_bytes(decode(self.objects.buckets[BUCKET][flushed.key]).batch)

    def chunks(self, job, kept, opening=None):
        """Of the life's messages those that the job has not archived yet, in the bucket and as events."""
        opening = opening or Opening(1, f"life-{job[:8]}", CREATED)
        before = [event for _, of, event in self.recorded if of == job and getattr(event, "life", None) == opening.uuid]
        previous, tip, events = opening.cursor, opening.uuid, []
        if before:
            previous, tip = before[-1].last, before[-1].sha256
        kept = [message for message in kept if message[0] > previous]
        at = 0
        while at < len(kept):
            part = kept[at : at + self.rng.randint(1, 9)]
            at += len(part)
            batch = Batch(
                [m[0] for m in part],
                [m[1] for m in part],
                [m[2] for m in part],
                [m[3] for m in part],
                [b"%d" % m[0] for m in part],
            )
            chunk = encode(batch, Origin("log", job, "S", ">", None, opening, previous, tip, 1, 1))
            self.objects.buckets[BUCKET][chunk.key] = chunk.body
            events.append(flushed(BUCKET, chunk.key, chunk.header, chunk.sha256, len(chunk.body), sealed_by="count"))
            previous, tip = chunk.header.last, sha256(chunk.body).hexdigest()
        return events

    def disconnect(self):
        self.jet.disconnect()
        asyncio.get_running_loop().call_later(self.rng.uniform(0, 5), self.jet.reconnect)

    def hurt_objects(self):
        self.objects.order(self.rng.choice([Fault.REFUSED, Fault.REPLY_LOST]))

    def hurt_log(self):
        self.nodes[-1].journal.fail_next_append(actor_errors.Transient("away"), written=self.rng.random() < 0.5)

    def other_writer(self):
        if self.mode != "exclusive":
            self.jet.publish("t.other", b"foreign")

    async def reach(self, place):
        """Between the last look at the target and the event that says so it may lose nothing: nobody would look again."""
        self.completing = place == "load.before_completed"

    def roll_back_target(self):
        """Power loss of the target: it keeps `created` and some of ours. What was loaded and deleted, nobody could load again."""
        marked = [seq for seq, one in self._in_target() if one.subject.startswith(b"nats3.mark.")]
        ours = [seq for seq, one in self._in_target() if one.payload != b"foreign"] if self.mode != "atomic" else marked
        ended = any(isinstance(event, LoadCompleted) for event in self.log.events(RUN))
        if len(ours) > 1 and not self.order.delete_chunks and not (ended or self.completing):
            self.jet.disconnect()
            self.jet.roll_back("T", self.rng.choice(ours[:-1]))
            self.jet.reconnect()

    def _in_target(self):
        return sorted(self.jet.all["T"].messages.items())

    def pass_time(self):
        self.jet.advance(self.rng.choice([1, 200]) * 1_000_000_000)

    async def start(self):
        node = Node(self, LOAD, RUN, self._worker)
        self.nodes.append(node)
        await node.start()

    def _worker(self, claimed, journal, tools):
        return LoadWorker(claimed, self.order, journal, tools, generation=1, attempt=1)

    async def crash(self):
        await self.nodes[-1].kill()
        await self.start()

    async def take_over(self):
        """Another node has the job, and the one before does not know it yet: it goes on until the log refuses it."""
        if self.mode in {"atomic", "exclusive"}:  # ids alone hold this only within the duplicate window
            await self.start()

    async def pause_and_resume(self):
        await self.nodes[-1].stop()
        await self.start()


def _header(seq):
    return b"NATS/1.0\r\nA: %d\r\nKind: chosen\r\n\r\n" % seq


def _matches(pattern, subject):
    return pattern in {">", "s.>", "s.*"} or subject == pattern.encode()


def _shape(rng):
    """Perhaps a part of what there is, other subjects, and a pace."""
    first = rng.choice([None, None, rng.randint(1, 20)])
    begin = rng.choice([None, None, rng.randint(1, 20)])
    several = rng.random() < 0.3
    shape = {
        "from_seq": first,
        "to_seq": rng.choice([None, None, (first or 1) + rng.randint(0, 40)]),
        "from_time": begin and CREATED + begin,
        "to_time": rng.choice([None, None, CREATED + (begin or 1) + rng.randint(1, 40)]),
        "read_headers": rng.choice([(), (), (("Kind", "chosen"),)]),
        "pace": rng.choice([PaceLimits(), PaceLimits(), *PACES]),
    }
    if several:
        shape |= {"read_subject": ">", "read_subjects": rng.choice([("s.1", "s.2"), ("s.0", "s.0"), ("s.*", "s.2")])}
    if rng.random() < 0.4:
        first_one, rest = SubjectTransform("s.1", "t.one.1"), SubjectTransform("s.*", "t.other.{{wildcard(1)}}")
        shape |= {"write_subject": None, "subject_transforms": (first_one, rest), "unmatched_subjects": "refuse"}
    return shape


PACES = (
    PaceLimits(messages_per_s=20),
    PaceLimits(bytes_per_s=3000),
    PaceLimits(factor=1e-9),
    PaceLimits(factor=1e-11, max_gap_s=1),
)
"""Messages are a nanosecond apart."""

STEPS = {
    "crash": 0.06,
    "pause_and_resume": 0.04,
    "take_over": 0.03,
    "disconnect": 0.06,
    "hurt_objects": 0.08,
    "hurt_log": 0.06,
    "other_writer": 0.1,
    "pass_time": 0.03,
    "roll_back_target": 0.02,
    "archive_more": 0.15,
}


async def live(world: World, steps: int = 40) -> list[str]:
    world.archive()
    await world.start()
    rates = {name: rate * world.rng.choice([0, 1, 2]) for name, rate in STEPS.items()}
    for _ in range(steps):
        for name, rate in rates.items():
            if world.rng.random() < rate:
                world.faults[name] += 1
                world.told.append((asyncio.get_running_loop().time(), name))
                done = getattr(world, name)()
                if done is not None:
                    await done
        for _ in range(world.rng.choice([0, 1, 3, 10])):
            await asyncio.sleep(0)
        await asyncio.sleep(world.rng.choice([0, 0, 0, 0.01, 1.0]))
    world.jet.reconnect()
    while world.later:
        world.archive_more()
    completed = await _completed(world)
    for node in world.nodes:
        await node.end()
    return check(world, completed=completed)


async def _completed(world: World) -> bool:
    if world.mode == "polling":
        wanted = len(world.selected())
        for _ in range(400):
            await asyncio.sleep(0.5)
            if wanted <= len({m.payload for m in world.jet.all["T"].messages.values()} - {b"foreign"}):
                break
        await asyncio.sleep(5)  # it never ends: a few more polls, which must publish nothing
        return True
    for _ in range(600):
        if any(isinstance(event, LoadCompleted) for event in world.log.events(RUN)):
            return True
        await asyncio.sleep(0.5)
    return False


def check(world: World, *, completed: bool) -> list[str]:
    wrong = [] if completed else ["NOT COMPLETED"]
    every = [message for _, message in sorted(world.jet.all["T"].messages.items())]
    stored = [one for one in every if one.payload != b"foreign" and not one.subject.startswith(b"nats3.mark.")]
    got = [int(message.payload) for message in stored]
    wanted = [message[0] for message in world.selected()]
    if world.mode == "polling" and world.order.limit is not None:  # it takes what comes first
        matching = {message[0] for message in world.matching()}
        wanted = [*got, *("too few" for _ in range(len(wanted) - len(got)))] if set(got) <= matching else wanted
        wrong += ["BEYOND THE LIMIT"] if len(got) > world.order.limit else []
    if len(got) != len(set(got)):
        wrong.append("TWICE")
    if set(wanted) - set(got):
        wrong.append("LOST")
    if set(got) - set(wanted):
        wrong.append("NOT SELECTED")
    in_order = list(dict.fromkeys(got)) == sorted(set(got))
    if not in_order and world.mode != "polling":  # what one of several jobs archives late comes late
        wrong.append("ORDER")
    sent = {seq: (world.renamed(subject), header) for seq, _, subject, header in world.messages}
    if any((message.subject, restored(message.header)) != sent[int(message.payload)] for message in stored):
        wrong.append("ALTERED")
    return wrong


def history(seed: int, mode: str, steps: int = 40, tell: Tell | None = None) -> list[str]:
    worlds: list[World] = []

    async def lived() -> list[str]:
        worlds.append(World(seed, mode))
        worlds[0].shape()
        return await live(worlds[0], steps)

    try:
        return run_seeded(seed, lived)
    finally:
        if tell is not None and worlds:
            tell(*(f"{at:8.2f} s  {what}" for at, what in worlds[0].told), *map(str, worlds[0].log.events(RUN)))
