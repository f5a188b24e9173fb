"""Two store jobs may have seen different messages at the same seq, in lives that share a rank. Both are published, wherever
the load is interrupted between them.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from actors.testing import run_seeded
from nats3.pace import PaceLimits
from tests.sim.load_world import SOURCES
from tests.sim.test_load_ends import archive, completed, end, target, world_of
from tests.sim.test_load_marks import atomic_world, payloads

COUNT = 9


def _both(world):
    """Each job's messages have times of their own."""
    for job, later in zip(SOURCES, (0, 1_000), strict=True):
        archive(world, job, [(seq, time + later, *rest) for seq, time, *rest in world.messages[:COUNT]])


def _interrupted(world, published, after, rest_s):
    """Killed once `after` messages are there, and begun again when the target has forgotten their ids."""

    async def live():
        _both(world)
        await world.start()
        while len(published(world)) < after:  # noqa: ASYNC110 - the seeded loop has no clock to wait for
            await asyncio.sleep(rest_s / 100)
        await asyncio.sleep(rest_s)
        await world.nodes[-1].kill()
        world.jet.advance(600 * 1_000_000_000)
        await world.start()
        await completed(world)
        await end(world)

    run_seeded(1, live)
    return published(world)


TWICE = [seq for seq in range(1, COUNT + 1) for _ in range(2)]


@pytest.mark.parametrize("after", range(1, 2 * COUNT, 2))
@pytest.mark.parametrize("most", [1, 3, 4])
def test_no_batch_ends_between_two_messages_of_one_seq(after, most):
    world = atomic_world()
    world.jet.batch_messages = most
    assert _interrupted(world, payloads, after, 0) == TWICE


@pytest.mark.parametrize("after", range(1, 2 * COUNT, 2))
@pytest.mark.parametrize("mode", ["exclusive", "dedupe"])
def test_no_progress_is_recorded_between_two_messages_of_one_seq(after, mode):
    world = world_of(mode=mode, pace=PaceLimits(messages_per_s=0.4))
    assert _interrupted(world, target, after, 1.2) == TWICE


def test_a_pace_lets_both_messages_of_one_seq_go_at_once():
    world = world_of(pace=PaceLimits(messages_per_s=0.4))

    async def live():
        _both(world)
        await world.start()
        for _ in range(60):
            await asyncio.sleep(0.5)
            assert len(target(world)) % 2 == 0
        world.order = replace(world.order, pace=PaceLimits())
        await end(world)

    run_seeded(1, live)
    assert len(target(world)) > COUNT
