"""What is condemned and what is swept, object by object, in a bucket in memory."""

from __future__ import annotations

from functools import reduce
from hashlib import sha256
from itertools import count

import pytest

from nats3.chunk.encode import encode
from nats3.chunk.layout import Origin
from nats3.job.order import StoreOrder
from nats3.job.storing import LifeOpened, ObjectsCondemned, ObjectsSwept, Storing, evolve
from nats3.life import Opening
from nats3.message import Batch
from nats3.objects.memory import MemoryStore
from nats3.objects.store import ObjectDiffers
from nats3.work.memory import MemoryCondemned, MemoryIndex
from nats3.work.record import flushed
from nats3.work.run import Claimed
from nats3.work.stragglers import Stragglers
from nats3.work.sweeper import Sweeper

JOB = "11111111-2222-3333-4444-555555555555"
TWIN = "11111111-9999-9999-9999-999999999999"
LIFE = Opening(1, "life-1", 1_700_000_000_000_000_000)
ORDER = StoreOrder("job", "S", ">", "b")


async def inline(work):
    return work()


class Run:
    """A history in memory."""

    def __init__(self, *events):
        self.events = list(events)

    @property
    def state(self):
        return reduce(evolve, self.events, Storing())

    async def emit(self, *events):
        self.events += events
        return len(self.events)

    def said(self, kind):
        return [event for event in self.events if isinstance(event, kind)]


class Leased:
    def valid(self):
        return True


def chunk(first, last, previous, tip, *, activation=1, bind=1, job=JOB):
    seqs = list(range(first, last + 1))
    batch = Batch(
        seqs, [LIFE.created + seq for seq in seqs], [b"s"] * len(seqs), [None] * len(seqs), [b"x"] * len(seqs)
    )
    return encode(batch, Origin("log", job, "S", ">", None, LIFE, previous, tip, activation, bind))


class Scene:
    """Activation 2 is in its third bind and has recorded `one`, then `two`."""

    def __init__(self):
        self.objects = MemoryStore("b")
        self.one = self.put(chunk(1, 5, 0, LIFE.uuid))
        self.two = self.put(chunk(6, 9, 5, self.one.sha256, activation=2, bind=3))
        self.run = Run(LifeOpened(LIFE, "first"), self.recorded(self.one), self.recorded(self.two))
        self.index = MemoryIndex(lambda: [(JOB, self.run.events)])
        self.claimed = Claimed(JOB, "job", 2, count(4))
        self.now = 0.0
        self.condemned = MemoryCondemned(lambda: self.run.events, lambda: self.now)
        self.sweeper = Sweeper(self.claimed, self.run, self.objects, self.condemned, self.index, Leased())

    def put(self, made):
        self.objects.buckets["b"][made.key] = made.body
        return made

    def recorded(self, made):
        return flushed("b", made.key, made.header, made.sha256, len(made.body), sealed_by="count")

    async def look(self):
        async def rest():
            return

        finder = Stragglers(self.claimed, ORDER, 3, self.run, self.objects, index=self.index, in_thread=inline)
        await finder.look(rest)
        return {key for event in self.run.said(ObjectsCondemned) for key in event.keys}

    async def condemn(self, *keys):
        await self.run.emit(ObjectsCondemned("b", keys, "a test"))

    async def sweep(self, grace=0.0):
        await self.sweeper.sweep(grace)
        return set(self.objects.buckets["b"])


@pytest.fixture
def scene():
    return Scene()


async def test_what_a_frozen_writer_stored_behind_the_log_is_condemned(scene):
    late = scene.put(chunk(6, 7, 5, scene.one.sha256, activation=1, bind=9))
    assert await scene.look() == {late.key}


async def test_what_follows_the_end_of_the_log_is_left_to_the_next_bind(scene):
    scene.put(chunk(10, 12, 9, scene.two.sha256, activation=1, bind=9))
    assert await scene.look() == set()


async def test_what_this_bind_or_a_later_one_stores_is_under_way(scene):
    scene.put(chunk(6, 8, 5, scene.one.sha256, activation=2, bind=3))
    scene.put(chunk(6, 7, 5, scene.one.sha256, activation=3, bind=1))
    assert await scene.look() == set()


async def test_an_object_of_a_job_whose_id_begins_alike_is_not_ours(scene):
    scene.put(chunk(1, 3, 0, LIFE.uuid, job=TWIN))
    assert await scene.look() == set()


async def test_what_cannot_be_read_is_left_for_a_person(scene):
    made = chunk(6, 7, 5, scene.one.sha256, activation=1, bind=9)
    scene.objects.buckets["b"][made.key] = b"no chunk"
    assert await scene.look() == set()


async def test_an_old_life_takes_nothing_more(scene):
    late = scene.put(chunk(10, 12, 9, scene.two.sha256, activation=1, bind=9))
    await scene.run.emit(LifeOpened(Opening(2, "life-2", LIFE.created + 1, tip=scene.two.sha256), "recreated"))
    assert await scene.look() == {late.key}


async def test_condemned_objects_go_when_their_grace_is_over_and_that_is_recorded(scene):
    late = scene.put(chunk(6, 7, 5, scene.one.sha256, activation=1, bind=9))
    await scene.look()
    assert late.key in await scene.sweep(10.0)
    scene.now = 9.0
    assert late.key in await scene.sweep(10.0)
    scene.now = 10.0
    assert await scene.sweep(10.0) == {scene.one.key, scene.two.key}
    assert scene.run.events[-1] == ObjectsSwept("b", (late.key,))
    assert scene.run.state.condemned == frozenset()


async def test_a_recorded_object_stays_whatever_else_is_said_of_it(scene):
    await scene.condemn(scene.two.key)
    assert scene.two.key in await scene.sweep()
    assert scene.run.said(ObjectsSwept) == []


async def test_what_this_actor_has_not_condemned_stays(scene):
    late = scene.put(chunk(6, 7, 5, scene.one.sha256, activation=1, bind=9))
    scene.condemned._events = lambda: [ObjectsCondemned("b", (late.key,), "another log")]
    assert late.key in await scene.sweep()


async def test_other_bytes_under_a_condemned_key_stay(scene):
    late = scene.put(chunk(6, 7, 5, scene.one.sha256, activation=1, bind=9))
    await scene.condemn(late.key)
    scene.objects.buckets["b"][late.key] = b"somebody's"
    assert late.key in await scene.sweep()


async def test_what_was_deleted_and_not_recorded_is_recorded_the_next_time(scene):
    late = chunk(6, 7, 5, scene.one.sha256, activation=1, bind=9)
    await scene.condemn(late.key)
    await scene.sweep()
    assert scene.run.events[-1] == ObjectsSwept("b", (late.key,))
    await scene.sweep()
    assert len(scene.run.said(ObjectsSwept)) == 1


async def test_what_is_stored_under_a_swept_key_after_all_is_found_again(scene):
    late = chunk(6, 7, 5, scene.one.sha256, activation=1, bind=9)
    await scene.condemn(late.key)
    await scene.sweep()
    scene.put(late)
    assert late.key in await scene.look()
    assert await scene.sweep() == {scene.one.key, scene.two.key}


async def test_a_delete_that_must_meet_these_bytes_meets_no_others(scene):
    with pytest.raises(ObjectDiffers):
        await scene.objects.delete("b", scene.one.key, sha256(b"others").hexdigest())
    await scene.objects.delete("b", scene.one.key, (await scene.objects.head("b", scene.one.key)).etag)
    assert scene.one.key not in scene.objects.buckets["b"]
