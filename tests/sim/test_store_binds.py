"""What a store job meets when it binds, one thing at a time: the real worker over models, in a time that jumps."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from actors.testing import run_seeded
from nats3.chunk.decode import decode
from nats3.job.gaps import PossibleGap
from nats3.job.order import ChunkLimits
from nats3.job.running import RunBlocked, RunFailed, RunRecovered
from nats3.job.storing import ChunkFlushed, LifeOpened
from tests.sim.store_world import BUCKET, RUN, STREAM, World, check, fold


def world_of(retention="limits", max_count=10, **config) -> World:
    """A job of everything that its stream takes."""
    world = World(1, retention)
    world.stream.config.update(config)
    world.rng.choice = lambda options: options[0]
    limits = ChunkLimits(max_bytes=1_000_000, max_count=max_count, max_age_s=0.2)
    world.order = replace(world.order, subject=">", limits=limits)
    return world


def said(world, *kinds):
    return [event for event in world.log.events(RUN) if isinstance(event, kinds)]


async def until(holds):
    for _ in range(3000):
        if holds():
            return
        await asyncio.sleep(0.1)
    raise AssertionError("it never came to that")


def stored(world, count):
    return lambda: sum(chunk.count for chunk in said(world, ChunkFlushed)) >= count


async def ended(world):
    for node in world.nodes:
        await node.end()


async def unacknowledged(world, count):
    """So many messages are recorded, and the node died before it acknowledged any of them."""

    async def halt(name):
        if name == "store.after_append":
            await asyncio.Event().wait()

    world.reach = halt
    await world.start()
    for _ in range(count):
        world.publish()
    await until(stored(world, count))
    await world.nodes[-1].kill()
    del world.reach


def test_a_chunk_that_is_missing_while_the_stream_is_recognised_blocks_until_it_is_back():
    async def live():
        world = world_of(max_msgs_per_subject=1)
        await world.start()
        for key in range(10):
            world.jet.publish(f"s.{key}", b"%d" % key)
        await until(stored(world, 10))
        await world.nodes[-1].kill()
        ((key, body),) = world.objects.buckets[BUCKET].items()
        del world.objects.buckets[BUCKET][key]
        world.jet.publish("s.9", b"the last of the chunk is overwritten: its fingerprint alone says nothing any more")
        await world.start()
        await until(lambda: said(world, RunBlocked))
        await asyncio.sleep(100)
        world.objects.buckets[BUCKET][key] = body
        await until(stored(world, 11))
        await ended(world)
        return world, key

    world, key = run_seeded(1, live)
    (blocked,) = said(world, RunBlocked)
    assert blocked.code == "chunk_missing"
    assert key in blocked.reason
    assert said(world, RunRecovered)
    assert not said(world, RunFailed)


def test_a_stream_that_fell_back_is_another_life_though_all_that_took_those_seqs_is_not_wanted():
    """A job that wants a part looks with its filter, and what stands where its last message stood does not pass it."""

    async def live():
        world = world_of()
        world.order = replace(world.order, subject="s.wanted")
        await world.start()
        world.publish("s.other")
        world.publish("s.wanted")
        await until(stored(world, 1))
        await world.nodes[-1].kill()
        world.jet.roll_back("S", 0)
        for subject in ("s.other", "s.other", "s.wanted"):
            world.publish(subject)
        await world.start()
        await until(stored(world, 2))
        await ended(world)
        return world

    world = run_seeded(1, live)
    assert [(chunk.ordinal, chunk.first) for chunk in said(world, ChunkFlushed)] == [(1, 2), (2, 3)]


def test_a_job_that_wants_another_part_goes_on_in_its_life():
    """What its last message was does not pass its filter any more, and is that message all the same."""

    async def live():
        world = world_of()
        world.order = replace(world.order, subject="s.before")
        await world.start()
        world.publish("s.before")
        await until(stored(world, 1))
        await world.nodes[-1].kill()
        world.order = replace(world.order, subject="s.after")
        world.publish("s.after")
        await world.start()
        await until(stored(world, 2))
        await ended(world)
        return world

    world = run_seeded(1, live)
    assert [(chunk.ordinal, chunk.first) for chunk in said(world, ChunkFlushed)] == [(1, 1), (1, 2)]


def test_a_chunk_that_is_corrupt_while_a_redelivery_is_compared_blocks_until_it_is_whole():
    async def live():
        world = world_of("workqueue")
        await unacknowledged(world, 10)
        ((key, body),) = world.objects.buckets[BUCKET].items()
        world.objects.buckets[BUCKET][key] = body[:-1] + bytes([body[-1] ^ 1])
        await world.start()
        await until(lambda: said(world, RunBlocked))
        await asyncio.sleep(100)
        assert len(world.stream.messages) == 10, "nothing of it may be acknowledged"
        world.objects.buckets[BUCKET][key] = body
        await until(lambda: not world.stream.messages)
        world.publish()
        await until(stored(world, 11))
        await ended(world)
        return world

    world = run_seeded(1, live)
    assert [blocked.code for blocked in said(world, RunBlocked)] == ["chunk_corrupt"]
    assert not said(world, RunFailed)
    assert check(world, drained=True) == []


def test_what_comes_again_of_a_work_queue_is_looked_up_once_a_chunk():
    async def live():
        world = world_of("workqueue", max_count=2000)
        await unacknowledged(world, 2000)
        asked, covering = [], world.index.covering

        async def counted(*words):
            asked.append(words)
            return await covering(*words)

        world.index.covering = counted
        await world.start()
        await until(lambda: not world.stream.messages)
        await ended(world)
        return len(said(world, ChunkFlushed)), len(asked)

    chunks, asked = run_seeded(1, live)
    assert chunks < 10
    assert asked < 100, "once for each chunk that a delivery touches"


EDITS = {
    "another filter": {"filter_subject": "s.1"},
    "no payloads": {"headers_only": True},
    "a pause": {"pause_until": "2031-01-01T00:00:00Z"},
}


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("retention", ["limits", "workqueue"])
def test_whatever_a_stranger_makes_of_the_consumer_nothing_is_lost_or_altered(edit, retention):
    async def live():
        world = world_of(retention)
        await world.start()
        for _ in range(10):
            world.publish()
        await until(stored(world, 10))
        (consumer,) = world.stream.consumers
        world.jet.edit_consumer(STREAM, consumer, **EDITS[edit])
        for _ in range(50):
            world.publish()
        began = asyncio.get_running_loop().time()
        await until(lambda: fold(world).cursor == 60)
        await ended(world)
        return world, asyncio.get_running_loop().time() - began

    world, took = run_seeded(1, live)
    assert check(world, drained=True) == []
    assert not any(chunk.gaps for chunk in said(world, ChunkFlushed))
    assert took < 40


def test_nothing_that_an_edited_consumer_gave_lies_in_the_bucket_to_be_adopted():
    async def live():
        world = world_of()
        await world.start()
        await asyncio.sleep(1)
        (consumer,) = world.stream.consumers
        world.jet.edit_consumer(STREAM, consumer, headers_only=True)
        for _ in range(50):
            world.publish()
        await until(lambda: fold(world).cursor == 50)
        await ended(world)
        return world

    world = run_seeded(1, live)
    assert set(world.objects.buckets[BUCKET]) == {chunk.key for chunk in said(world, ChunkFlushed)}
    assert check(world, drained=True) == []


async def _after_a_crash(world, count):
    """So many messages are stored, the node died, and another took its place."""
    await world.start()
    await asyncio.sleep(1)
    for _ in range(count):
        world.publish()
    await until(stored(world, count))
    await world.crash()


@pytest.mark.parametrize("retention", ["limits", "workqueue"])
def test_a_stream_with_room_for_one_consumer_is_archived_after_a_crash(retention):
    async def live():
        world = world_of(retention, max_consumers=1)
        await _after_a_crash(world, 10)
        world.publish()
        await until(stored(world, 11))
        await ended(world)
        return world

    world = run_seeded(1, live)
    assert not said(world, RunBlocked)
    assert check(world, drained=True) == []


def test_an_interest_stream_with_room_for_one_consumer_keeps_it_and_says_what_to_change():
    async def live():
        world = world_of("interest", max_consumers=1)
        await _after_a_crash(world, 10)
        world.publish()
        await until(lambda: said(world, RunBlocked))
        assert len(world.stream.messages) == 1
        world.stream.config["max_consumers"] = 2
        await until(stored(world, 11))
        await ended(world)
        return world

    world = run_seeded(1, live)
    (blocked,) = said(world, RunBlocked)
    assert blocked.code == "consumer_refused"
    assert "max_consumers" in blocked.reason
    assert check(world, drained=True) == []


def test_what_a_stream_allows_its_consumers_is_kept_to_and_a_chunk_fits_in():
    async def live():
        world = world_of(max_count=100, consumer_limits={"inactive_threshold": 3_600_000_000_000, "max_ack_pending": 8})
        await world.start()
        for _ in range(100):
            world.publish()
        began = asyncio.get_running_loop().time()
        await until(stored(world, 100))
        took = asyncio.get_running_loop().time() - began
        (consumer,) = world.stream.consumers.values()
        await ended(world)
        return world, consumer.config, took

    world, config, took = run_seeded(1, live)
    assert (config["inactive_threshold"], config["max_ack_pending"]) == (3_600_000_000_000, 8)
    assert {chunk.count for chunk in said(world, ChunkFlushed)} == {4}
    assert took < 2
    assert not said(world, RunBlocked)


def test_a_consumer_that_a_frozen_owner_makes_late_pins_nothing():
    async def live():
        world, thaw = world_of("interest"), asyncio.Event()

        async def freeze(name):
            if name == "bind.after_gap":
                await thaw.wait()

        world.reach = freeze
        await world.start()
        await asyncio.sleep(1)
        del world.reach
        await world.start()
        await asyncio.sleep(1)
        world.publish()
        await until(stored(world, 1))
        thaw.set()
        await until(lambda: len(world.stream.consumers) == 2)
        world.publish()
        await until(stored(world, 2))
        await asyncio.sleep(40)
        await ended(world)
        return world

    world = run_seeded(1, live)
    assert len(world.stream.consumers) == 1
    assert not world.stream.messages, "all is archived and acknowledged"


@pytest.mark.parametrize("retention", ["limits", "interest"])
def test_a_redelivery_of_another_message_under_a_seq_that_is_under_way_is_no_redelivery(retention):
    """The stream fell back under a living consumer, and gave the seq out again."""

    async def live():
        world = world_of(retention)
        held = asyncio.Event()

        async def hold(name):
            if name == "store.before_append":
                await held.wait()

        await world.start()
        await asyncio.sleep(1)
        world.jet.publish("s.1", b"the first")
        await until(stored(world, 1))
        await world.nodes[-1].kill()
        world.reach = hold
        await world.start()
        await asyncio.sleep(1)
        world.jet.publish("s.1", b"one that is lost again")
        await asyncio.sleep(1)
        (consumer,) = world.stream.consumers
        _give_out_again(world, 2, b"the other")
        world.jet.redeliver(STREAM, consumer)
        await asyncio.sleep(1)
        held.set()
        await until(stored(world, 3))
        await ended(world)
        return world

    world = run_seeded(1, live)
    assert payloads(world) == [b"the first", b"one that is lost again", b"the other"]
    assert [opened.reason for opened in said(world, LifeOpened)] == ["first", "rolled_back"]


def test_a_redelivery_of_another_message_under_a_seq_that_is_settled_is_no_redelivery():
    async def live():
        world = world_of("interest")
        await world.start()
        await asyncio.sleep(1)
        source = world.jet._sources[-1]
        acknowledge, source.ack_up_to = source.ack_up_to, _nothing
        world.jet.publish("s.1", b"one that is lost again")
        await until(stored(world, 1))
        source.ack_up_to = acknowledge
        _give_out_again(world, 1, b"the other")
        world.jet.redeliver(STREAM, source._name)
        await until(stored(world, 2))
        await ended(world)
        return world

    world = run_seeded(1, live)
    assert payloads(world) == [b"one that is lost again", b"the other"]


async def _nothing(_):
    """An acknowledgement that the server never hears."""


def _give_out_again(world, seq, payload):
    world.stream.messages[seq] = world.stream.messages[seq]._replace(payload=payload, time_ns=world.jet.now_ns + 1)


def payloads(world):
    """Of all that is archived, in the order in which it was recorded."""
    bodies = world.objects.buckets[BUCKET]
    return [
        payload
        for chunk in said(world, ChunkFlushed)
        for payload in decode(bodies[chunk.key], chunk.sha256).batch.payloads
    ]


def test_what_was_dropped_before_a_job_came_to_it_may_be_missing_of_the_part_that_it_wants():
    async def live():
        world = world_of(max_count=2)
        world.order = replace(world.order, subject="s.1")
        await world.start()
        await asyncio.sleep(1)
        (consumer,) = world.stream.consumers
        for number in range(12):
            world.jet.publish(f"s.{number % 3}", b"%d" % number)
        await until(stored(world, 4))
        assert not said(world, PossibleGap), "nothing was dropped"
        world.jet.edit_consumer(STREAM, consumer, pause_until="a little later")
        for number in range(12):
            world.jet.publish(f"s.{number % 3}", b"%d" % number)
        for seq in (14, 18, 20):
            world.jet.delete_message(STREAM, seq)
        del world.stream.consumers[consumer].config["pause_until"]
        world.jet.publish("s.1", b"the last one")
        await until(lambda: fold(world).cursor == 25)
        await ended(world)
        return world

    world = run_seeded(1, live)
    (gap,) = said(world, PossibleGap)
    assert (gap.first, gap.last) == (14, 20)
    assert not said(world, RunBlocked)
