"""What a load would publish, counted beforehand, is what it publishes; and no more is read than must be."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from actors.testing import run_seeded
from nats3.objects.memory import MemoryStore
from nats3.work import ranged
from nats3.work.counting import Counted, LoadCounter
from tests.sim.load_world import BUCKET, SOURCES, World
from tests.sim.test_load_ends import archive, completed, end, target, world_of


async def _inline(work):
    return work()


async def counted(world: World, most_read: int = 1 << 30) -> Counted:
    clock = asyncio.get_running_loop().time
    return await LoadCounter(world.objects, world.index, world.index, _inline, clock).count(world.order, most_read)


@pytest.mark.parametrize("whole_bytes", [0, 256 * 1024])
def test_the_count_is_what_is_published_whatever_is_ordered(whole_bytes, monkeypatch):
    monkeypatch.setattr(ranged, "WHOLE_BYTES", whole_bytes)
    shapes = 0
    for seed in range(60):
        world = World(seed, "auto")
        world.shape()

        async def live(world=world):
            world.archive()
            before = await counted(world)
            await world.start()
            await completed(world)
            await end(world)
            return before

        found = run_seeded(seed, live)
        published = [one for one in world.jet.all["T"].messages.values() if one.payload != b"foreign"]
        assert (found.messages, found.exact, found.refusal) == (len(published), True, None), seed
        sizes = {m[0]: len(m[2]) + len(m[3] or b"") + len(b"%d" % m[0]) for m in world.messages}
        assert found.raw_bytes >= sum(sizes[int(one.payload)] for one in published), seed
        shapes += 0 < len(published) < len(world.messages)
    assert shapes > 20, "not only all or nothing"


def count_of(world: World, most_read: int = 1 << 30) -> tuple[Counted, int]:
    """And how often the bucket was asked."""
    asked = []

    class Asked(MemoryStore):
        async def get(self, bucket, key, start=0, length=None):
            asked.append(key)
            return await super().get(bucket, key, start, length)

    async def live():
        archive(world, SOURCES[0], world.messages)
        store = Asked(BUCKET)
        store.buckets = world.objects.buckets
        world.objects = store
        return await counted(world, most_read)

    return run_seeded(1, live), len(asked)


def test_what_the_index_knows_is_not_read():
    found, asked = count_of(world_of(40))
    assert (found.messages, found.chunks, found.requests, found.exact, asked) == (40, 10, 10, True, 0)
    found, asked = count_of(world_of(40, from_seq=3, to_seq=38))
    assert (found.messages, found.chunks, found.exact, asked) == (36, 10, True, 2), "the chunks at both ends"


def test_a_limit_ends_the_count_and_only_the_chunk_that_it_cuts_is_read():
    found, asked = count_of(world_of(40, limit=10))
    assert (found.messages, found.chunks, found.exact, asked) == (10, 3, True, 1)


def test_what_may_not_be_read_makes_the_count_an_upper_bound_and_it_says_so():
    found, asked = count_of(world_of(40, read_headers=(("A", "1"),)), most_read=0)
    assert (found.messages, found.exact, asked) == (40, False, 0)
    found, _ = count_of(world_of(40, read_headers=(("A", "1"),)))
    assert (found.messages, found.raw_bytes, found.exact) == (0, 0, True)


def test_what_would_block_the_load_is_told():
    world = world_of(12, from_seq=2, write_subject=None)
    world.messages = [(seq, time, b"$JS.API.x", None) for seq, time, *_ in world.messages]
    found, _ = count_of(world)
    assert "is a system subject" in (found.refusal or "")
    assert not found.exact
    gone = world_of(12, from_seq=2)

    async def live():
        archive(gone, SOURCES[0], gone.messages)
        gone.objects.buckets[BUCKET].clear()
        return await counted(gone)

    assert "chunk_missing" in (run_seeded(1, live).refusal or "")
    assert target(gone) == []
    assert replace(gone.order) == gone.order
