"""What a store job meets when it binds, one thing at a time: the real worker over models, in a time that jumps."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from actors.testing import run_seeded
from nats3.job.order import ChunkLimits
from nats3.job.running import RunBlocked, RunFailed, RunRecovered
from nats3.job.storing import ChunkFlushed
from tests.sim.store_world import BUCKET, RUN, World, check


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
