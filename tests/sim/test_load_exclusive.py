"""A load that alone writes into its target knows by the target's last seq what of its own is there, also where that is consumed."""

from __future__ import annotations

import asyncio

import pytest

from actors.testing import run_seeded
from nats3.job.running import RunBlocked
from tests.sim.load_world import SOURCES
from tests.sim.test_load_ends import archive, completed, end, said, world_of

COUNT = 20


def _world(retention):
    world = world_of(COUNT, mode="exclusive")
    world.jet.delete_stream("T")
    world.jet.make_stream("T", ["t.>"], retention=retention)
    return world


async def _killed_before_it_recorded(world, after):
    """The load dies when `after` messages are there, and the target has forgotten their ids when it begins again."""
    archive(world, SOURCES[0], world.messages)
    await world.start()
    while len(world.jet.all["T"].messages) < after:  # noqa: ASYNC110 - the seeded loop has no clock to wait for
        await asyncio.sleep(0)
    await world.nodes[-1].kill()
    world.jet.advance(600 * 1_000_000_000)


def _consume(world, seqs):
    """Taken out of the target, as by its consumers, or replaced by a later message of the subject; their payloads by seq."""
    messages = world.jet.all["T"].messages
    return {seq: messages.pop(seq).payload for seq in seqs if seq in messages}


@pytest.mark.parametrize("retention", ["workqueue", "limits"])
@pytest.mark.parametrize("gone", [(), (1, 2, 3), (2, 5), tuple(range(1, COUNT + 1))])
def test_what_was_stored_and_consumed_before_it_was_recorded_is_not_published_again(retention, gone):
    world = _world(retention)
    consumed = {}

    async def live():
        await _killed_before_it_recorded(world, 1)
        consumed.update(_consume(world, gone))
        await world.start()
        await completed(world)
        await end(world)

    run_seeded(1, live)
    left = {seq: message.payload for seq, message in world.jet.all["T"].messages.items()}
    assert [int(payload) for _, payload in sorted((consumed | left).items())] == list(range(1, COUNT + 1))


def test_a_stranger_among_what_was_consumed_blocks_the_load_and_nothing_is_left_out():
    world = _world("workqueue")

    async def live():
        await _killed_before_it_recorded(world, 1)
        _consume(world, (1,))
        world.jet.publish("t.other", b"foreign")
        await world.start()
        while not said(world, RunBlocked):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.1)
        await end(world)

    run_seeded(1, live)
    (blocked, *_) = said(world, RunBlocked)
    assert blocked.code == "target_shared"
    assert "mode exclusive" in blocked.reason
