"""A target that keeps the last messages of each subject, as a bucket of keys does: they are the right ones, whatever dies."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from actors.testing import run_seeded
from nats3.job.order import SubjectTransform
from tests.sim.load_world import SOURCES
from tests.sim.test_load_ends import archive, completed, end, target, world_of

COUNT, KEYS = 40, 5


def _world(kept, **order):
    """Messages of five keys in turn, into a target that keeps so many of each."""
    transforms = (SubjectTransform("s.*", "t.{{wildcard(1)}}"),)
    world = world_of(COUNT, mode="at_least_once", **{"write_subject": None, "subject_transforms": transforms, **order})
    world.messages = [(seq, time, b"s.%d" % (seq % KEYS), header) for seq, time, _, header in world.messages]
    world.jet.delete_stream("T")
    world.jet.make_stream("T", ["t.>"], max_msgs_per_subject=kept)
    return world


def _life(world, stored):
    """The node dies when so many messages are stored and none is recorded, and the server forgets what it has dropped."""

    async def live():
        archive(world, SOURCES[0], world.messages)
        await world.start()
        while world.jet.all["T"].last < stored:  # noqa: ASYNC110 - the seeded loop has no clock to wait for
            await asyncio.sleep(0)
        await world.nodes[-1].kill()
        world.jet.advance(600 * 1_000_000_000)
        await world.start()
        await completed(world)
        await end(world)

    return live


@pytest.mark.parametrize("kept", [1, 2])
@pytest.mark.parametrize("stored", range(1, COUNT, 6))
def test_the_last_values_of_each_key_are_those_of_the_archive_in_their_order(kept, stored):
    world = _world(kept)
    run_seeded(stored, _life(world, stored))
    assert target(world) == list(range(COUNT - kept * KEYS + 1, COUNT + 1))


def test_what_was_stored_and_replaced_is_not_published_again():
    world = _world(1)
    run_seeded(1, _life(world, COUNT))
    assert world.jet.all["T"].last == COUNT


def test_one_subject_for_all_keeps_the_last_of_all():
    world = _world(1, write_subject="t.x", subject_transforms=())
    run_seeded(1, _life(world, COUNT // 2))
    assert target(world) == [COUNT]


def test_a_limit_counts_what_was_replaced():
    world = _world(1)
    world.order = replace(world.order, limit=7)
    run_seeded(1, _life(world, 6))
    assert target(world) == [3, 4, 5, 6, 7]
