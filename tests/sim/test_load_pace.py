"""How fast a load goes, in a time that jumps: never faster than ordered, and at once when told to end."""

from __future__ import annotations

import asyncio

import pytest

from actors.testing import run_seeded
from nats3.job.loading import LoadProgressed
from nats3.pace import PaceLimits
from nats3.work import load_flow
from nats3.work.budget import Budget
from tests.sim import node
from tests.sim.load_world import SOURCES
from tests.sim.test_load_ends import archive, completed, end, said, target, world_of

SECOND = 1_000_000_000


def moments(pace: PaceLimits, count: int = 40, between_ns: int = 1, **order: object) -> list[float]:
    """When each message was published, in seconds since the first."""
    world = world_of(count, pace=pace, **order)
    world.messages = [(seq, 1_600_000_000 * SECOND + seq * between_ns, b"s.0", None) for seq, *_ in world.messages]
    when: list[float] = []
    publish = world.jet.publish

    def noted(subject, payload=b"", block=None):
        when.append(asyncio.get_running_loop().time())
        return publish(subject, payload, block)

    async def live():
        world.jet.publish = noted
        archive(world, SOURCES[0], world.messages)
        await world.start()
        await completed(world)
        await end(world)

    run_seeded(1, live)
    assert target(world) == [message[0] for message in world.messages]
    return [each - when[0] for each in when]


def test_messages_per_second_are_kept_over_all_chunks():
    when = moments(PaceLimits(messages_per_s=10))
    assert when[-1] == pytest.approx(3.9, abs=0.2)
    assert all(sum(start <= each < start + 1 for each in when) <= 12 for start in when)


def test_bytes_per_second_count_headers_and_payload():
    slow, fast = (moments(PaceLimits(bytes_per_s=rate))[-1] for rate in (1000, 2000))
    assert slow == pytest.approx(2 * fast, rel=0.1)
    assert slow > 5, "our lines alone are some 150 bytes of a message"


def test_the_original_timing_is_kept_times_a_speed_with_a_ceiling_on_gaps():
    assert moments(PaceLimits(factor=2), 5, 4 * SECOND) == pytest.approx([0, 2, 4, 6, 8], abs=0.01)
    assert moments(PaceLimits(factor=2, max_gap_s=0.5), 5, 4 * SECOND) == pytest.approx([0, 0.5, 1, 1.5, 2], abs=0.01)


def test_without_a_pace_nothing_is_asked_and_nothing_waited_for(monkeypatch):
    def asked(*_):
        raise AssertionError

    monkeypatch.setattr(load_flow.Pace, "__init__", asked)
    assert moments(PaceLimits())[-1] < 0.01


@pytest.mark.parametrize("pace", [PaceLimits(messages_per_s=0.001), PaceLimits(factor=1e-3)])
def test_a_load_that_waits_for_its_pace_ends_at_once_and_goes_on_where_it_stood(pace):
    world = world_of(12, pace=pace)
    world.messages = [(seq, seq * SECOND, b"s.0", None) for seq, *_ in world.messages]

    async def live():
        archive(world, SOURCES[0], world.messages)
        await world.start()
        await asyncio.sleep(5000)
        began = asyncio.get_running_loop().time()
        await world.nodes[-1].stop()
        took = asyncio.get_running_loop().time() - began
        assert 0 < len(target(world)) < 12
        assert said(world, LoadProgressed)[-1].seq == max(target(world))
        world.order = world_of(12).order  # the pace is lifted
        await world.start()
        await completed(world)
        await end(world)
        return took

    assert run_seeded(1, live) < 0.1
    assert target(world) == list(range(1, 13))


@pytest.mark.parametrize(("budget", "read"), [(600, 2), (1 << 20, 5)])
def test_a_load_that_waits_reads_ahead_only_what_there_is_memory_for(budget, read, monkeypatch):
    """The first chunk is read once more, to find the target."""
    monkeypatch.setattr(node, "Budget", lambda _: Budget(budget))
    world = world_of(40, pace=PaceLimits(messages_per_s=0.001))
    asked = []
    get = world.objects.get

    async def noted(bucket, key, start=0, length=None):
        asked.append(key)
        return await get(bucket, key, start, length)

    async def live():
        world.objects.get = noted
        archive(world, SOURCES[0], world.messages)
        await world.start()
        await asyncio.sleep(100)
        await end(world)

    run_seeded(1, live)
    assert len(asked) == read
