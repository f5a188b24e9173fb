"""How a load ends, and begins again: told to while the bucket is away, with nothing to publish, and after deletions."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from actors.testing import run_seeded
from nats3.errors import Unavailable
from nats3.job.loading import ChunkDeleted, ChunkDeleteRequested, ChunkSkipped, LoadCompleted, LoadProgressed
from nats3.job.running import RunBlocked, RunStopped
from nats3.work.load_worker import LoadWorker
from nats3.work.target import Target
from tests.sim.load_world import BUCKET, LOAD, RUN, SOURCES, World
from tests.sim.node import Node


def world_of(count=40, **order) -> World:
    """One store job's chunks of four messages each, and a load of all of it."""
    world = World(1, "auto")
    plain = {"read_subject": ">", "limit": None, "delete_chunks": False}
    world.order = replace(world.order, **{**plain, **order})
    world.messages = [(seq, 1_600_000_000_000_000_000 + seq, b"s.0", None) for seq in range(1, count + 1)]
    world.rng.randint = lambda _, most: min(4, most)
    return world


def archive(world, job, messages):
    """Recorded now."""
    world.record(job, world.chunks(job, messages))


def said(world, *kinds):
    return [event for event in world.log.events(RUN) if isinstance(event, kinds)]


def target(world):
    return [int(message.payload) for _, message in sorted(world.jet.all["T"].messages.items())]


async def completed(world, times=1):
    for _ in range(3000):
        if len(said(world, LoadCompleted)) >= times:
            return
        await asyncio.sleep(0.1)
    raise AssertionError("not completed")


async def attempt(world, number, generation=1):
    """The run that a retry begins."""

    def worker(claimed, journal, tools):
        return LoadWorker(claimed, world.order, journal, tools, generation=generation, attempt=number)

    node = Node(world, LOAD, RUN, worker)
    world.nodes.append(node)
    await node.start()


async def end(world):
    for node in world.nodes:
        await node.end()


async def seconds_to_end(world):
    """Of its last node, which is told to."""
    began = asyncio.get_running_loop().time()
    await world.nodes[-1].stop()
    took = asyncio.get_running_loop().time() - began
    await end(world)
    return took


def test_a_load_that_waits_for_the_bucket_ends_at_once_when_it_is_told_to():
    world = world_of()
    away = Unavailable("s3", "away")

    async def live():
        archive(world, SOURCES[0], world.messages)
        await world.start()
        while not target(world):  # noqa: ASYNC110 - the seeded loop has no clock to wait for
            await asyncio.sleep(0)
        world.objects.order(*[away] * 100_000)
        await asyncio.sleep(20)
        return await seconds_to_end(world)

    assert run_seeded(1, live) < 1.5
    assert 0 < len(target(world)) < 40
    assert said(world, RunStopped)
    assert said(world, LoadProgressed)[-1].seq == max(target(world)), "what was acknowledged is recorded"


@pytest.mark.parametrize("moment", range(40))
def test_told_to_end_at_any_moment_a_load_does_not_wait_for_the_bucket(moment):
    """Not either while what is held back for a fuller batch goes out."""
    world = world_of()
    world.jet.delete_stream("T")
    world.jet.make_stream("T", ["t.>", "nats3.mark.>"], allow_atomic=True)
    world.jet.batch_messages = 1

    async def live():
        archive(world, SOURCES[0], world.messages)
        await world.start()
        while not world.jet.all["T"].messages:  # noqa: ASYNC110 - the seeded loop has no clock to wait for
            await asyncio.sleep(0)
        world.objects.order(*[Unavailable("s3", "away")] * 100_000)
        for _ in range(moment):
            await asyncio.sleep(0)
        return await seconds_to_end(world)

    assert run_seeded(moment, live) < 1.5


def test_told_to_end_at_any_moment_a_load_that_leaves_chunks_out_loses_nothing():
    """What follows the first message that is held back is not sent: a chunk without messages is no progress either."""
    for moment in range(60):
        world = world_of(read_subject="s.1")
        world.messages = [(seq, time, b"s.%d" % (seq // 4 % 3 == 1), None) for seq, time, _, _ in world.messages]

        async def live(world=world, moment=moment):
            archive(world, SOURCES[0], world.messages)
            await world.start()
            for _ in range(moment):
                await asyncio.sleep(0)
            await world.nodes[-1].stop()
            await world.start()
            await completed(world)
            await end(world)

        run_seeded(1, live)
        assert target(world) == [message[0] for message in world.messages if message[2] == b"s.1"], moment


def test_what_the_target_lost_behind_the_last_acknowledgement_is_published_again_before_the_load_is_complete():
    """It was recorded, and a target that comes back from an older copy says nothing of it."""
    world = world_of(12)

    async def live():
        archive(world, SOURCES[0], world.messages)
        await world.start()
        while not said(world, LoadProgressed) or said(world, LoadProgressed)[-1].seq < 12:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)
        assert not said(world, LoadCompleted)
        world.jet.disconnect()
        world.jet.roll_back("T", 5)
        world.jet.reconnect()
        await completed(world)
        await end(world)

    run_seeded(1, live)
    assert target(world) == list(range(1, 13))


def test_a_target_that_falls_back_between_being_read_and_being_published_into_is_read_again(monkeypatch):
    """Of what it was seen to have, nothing would be published again."""
    world = world_of(12)
    read, falls = Target.present, [3]

    async def read_and_fallen_back(target, *seen):
        there = await read(target, *seen)
        if falls and len(world.jet.all["T"].messages) > falls[-1]:
            world.jet.disconnect()
            world.jet.roll_back("T", falls.pop())
            world.jet.reconnect()
        return there

    monkeypatch.setattr(Target, "present", read_and_fallen_back)

    async def live():
        archive(world, SOURCES[0], world.messages)
        await world.start()
        while not target(world):  # noqa: ASYNC110 - the seeded loop has no clock to wait for
            await asyncio.sleep(0)
        await world.crash()
        await completed(world)
        await end(world)

    run_seeded(1, live)
    assert not falls
    assert target(world) == list(range(1, 13))


def test_a_target_that_falls_back_during_the_last_look_at_it_is_looked_at_again(monkeypatch):
    """What was read of it before the connection broke says nothing of what came back."""
    world = world_of(12)
    look, falls = Target._lost, [5]

    async def fallen_back_and_looked(target, state, info):
        if falls and state.published == 12:
            world.jet.disconnect()
            world.jet.roll_back("T", falls.pop())
            world.jet.reconnect()
        return await look(target, state, info)

    monkeypatch.setattr(Target, "_lost", fallen_back_and_looked)

    async def live():
        archive(world, SOURCES[0], world.messages)
        await world.start()
        await completed(world)
        await end(world)

    run_seeded(1, live)
    assert not falls
    assert target(world) == list(range(1, 13))


def test_when_every_chunk_is_bad_and_to_be_passed_over_the_load_completes_and_says_what_it_left_out():
    world = world_of(12, on_bad_chunk="quarantine")
    world.jet.delete_stream("T")  # nobody asks for a target when there is nothing to publish

    async def live():
        archive(world, SOURCES[0], world.messages)
        world.objects.buckets[BUCKET].clear()
        await world.start()
        await completed(world)
        await attempt(world, 2)
        await completed(world, 2)
        await end(world)

    run_seeded(1, live)
    assert [(skip.first, skip.last, skip.count) for skip in said(world, ChunkSkipped)] == [
        (1, 4, 4),
        (5, 8, 4),
        (9, 12, 4),
    ]
    assert [(event.messages, event.skipped) for event in said(world, LoadCompleted)] == [(0, 12), (0, 12)]


def test_retries_after_chunks_were_deleted_publish_what_came_since_and_nothing_again():
    world = world_of(delete_chunks=True)

    async def live():
        archive(world, SOURCES[0], world.messages[:20])
        await world.start()
        await completed(world)
        await attempt(world, 2)  # nothing came
        await completed(world, 2)
        archive(world, SOURCES[0], world.messages)  # its own first chunks are known, the rest is new
        await attempt(world, 3)
        await completed(world, 3)
        world.jet.advance(600 * 1_000_000_000)  # the target has forgotten every id
        archive(world, SOURCES[1], world.messages)  # another job kept the same messages
        await attempt(world, 4)
        await completed(world, 4)
        await attempt(world, 5, generation=2)
        await completed(world, 5)
        await end(world)

    run_seeded(1, live)
    assert target(world) == list(range(1, 41)), "a new generation finds nothing: every chunk is deleted"
    assert len(said(world, ChunkDeleteRequested)) == len(said(world, ChunkDeleted)) == 20
    assert not world.objects.buckets[BUCKET]


@pytest.mark.parametrize("remembers", [True, False])
def test_a_chunk_that_another_load_deleted_blocks_or_is_on_record_and_its_twin_is_not_published_twice(remembers):
    world = world_of(12, poll_interval_s=1.0, on_bad_chunk="quarantine")

    async def live():
        archive(world, SOURCES[0], world.messages)
        await world.start()
        await asyncio.sleep(5)
        assert target(world) == list(range(1, 13))
        (first, *_) = [event for _, _, event in world.recorded]
        held = world.held(first) if remembers else b""
        world.record("another load", [ChunkDeleteRequested(BUCKET, first.key, held)])
        del world.objects.buckets[BUCKET][first.key]
        world.jet.advance(600 * 1_000_000_000)
        archive(world, SOURCES[1], world.messages)
        await asyncio.sleep(30)
        await end(world)

    run_seeded(1, live)
    assert target(world) == list(range(1, 13))
    assert bool(said(world, RunBlocked)) is not remembers


@pytest.mark.parametrize("policy", ["halt", "quarantine"])
def test_a_planned_chunk_that_another_load_deletes_is_never_passed_over_in_silence(policy):
    world = world_of(12, on_bad_chunk=policy)
    world.jet.delete_stream("T")

    async def live():
        archive(world, SOURCES[0], world.messages)
        await world.start()
        await asyncio.sleep(5)  # planned; there is no target yet
        first = world.recorded[0][2]
        world.record("another load", [ChunkDeleteRequested(BUCKET, first.key, world.held(first))])
        del world.objects.buckets[BUCKET][first.key]
        world.jet.make_stream("T", ["t.>"])
        await asyncio.sleep(60)
        await end(world)

    run_seeded(1, live)
    if policy == "halt":
        assert target(world) == []
        assert said(world, RunBlocked)[-1].code == "chunk_missing"
    else:
        assert target(world) == list(range(5, 13))
        assert [(event.messages, event.skipped) for event in said(world, LoadCompleted)] == [(8, 4)]


def test_a_polling_load_ends_at_its_limit_whatever_comes_later():
    world = world_of(poll_interval_s=1.0, limit=10)

    async def live():
        archive(world, SOURCES[0], world.messages[:8])
        await world.start()
        await asyncio.sleep(5)
        assert not said(world, LoadCompleted)
        archive(world, SOURCES[0], world.messages)
        await completed(world)
        await end(world)

    run_seeded(1, live)
    assert target(world) == list(range(1, 11))
    assert [event.messages for event in said(world, LoadCompleted)] == [10]


@pytest.mark.parametrize(
    "through", [{"sources": [{"name": "T"}]}, {"sources": [{"name": "U"}]}, {"mirror": {"name": "U"}}]
)
def test_a_polling_load_that_would_feed_the_stream_it_reads_through_others_is_refused(through):
    world = world_of(4, poll_interval_s=1.0)
    world.jet.make_stream("S", ["s.>"], **through)
    world.jet.make_stream("U", ["u.>"], sources=[{"name": "T"}])

    async def live():
        archive(world, SOURCES[0], world.messages)
        await world.start()
        while not said(world, RunBlocked):  # noqa: ASYNC110 - the seeded loop has no clock to wait for
            await asyncio.sleep(0.1)
        await end(world)

    run_seeded(1, live)
    assert said(world, RunBlocked)[0].code == "target_feeds_source"
    assert target(world) == []
