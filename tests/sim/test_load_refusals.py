"""What a load makes of a target that refuses: it looks again, waits, or says what must change."""

from __future__ import annotations

import asyncio

import pytest

from actors.testing import run_seeded
from nats3.job.loading import LoadCompleted, LoadProgressed
from nats3.job.order import SubjectTransform
from nats3.job.running import RunBlocked, RunDegraded
from tests.sim.load_world import SOURCES
from tests.sim.test_load_ends import archive, end, said, world_of
from tests.sim.test_load_marks import atomic_world, payloads

NO_QUORUM, NO_RESOURCES, TOO_MANY_REQUESTS = 10008, 10023, 10167
ID_IN_PROCESS, INCOMPLETE, TOO_MANY_BATCHES = 10158, 10176, 10210
FULL = 10077


def refused(world, *codes):
    """A load that meets these refusals, for a minute."""

    async def live():
        world.jet.refuse(*codes)
        archive(world, SOURCES[0], world.messages)
        await world.start()
        await asyncio.sleep(60)
        await end(world)

    run_seeded(1, live)


BUSY = [(world_of, code) for code in (NO_QUORUM, NO_RESOURCES, TOO_MANY_REQUESTS)]
BUSY += [(atomic_world, code) for code in (NO_QUORUM, NO_RESOURCES, TOO_MANY_BATCHES)]


@pytest.mark.parametrize(("make", "code"), BUSY)
def test_a_target_that_takes_nothing_just_now_is_waited_for(make, code):
    world = make()
    refused(world, *[code] * 5)
    assert sorted(payloads(world)) == list(range(1, 41))
    assert len(said(world, LoadCompleted)) == 1
    assert not said(world, RunBlocked), "nothing must change"
    assert {event.dependency for event in said(world, RunDegraded)} == {"nats"}
    assert str(code) in said(world, RunDegraded)[0].reason


@pytest.mark.parametrize(("make", "code"), [(world_of, ID_IN_PROCESS), (atomic_world, INCOMPLETE)])
def test_what_became_of_a_publish_that_nobody_knows_is_looked_for_in_the_target(make, code):
    world = make()
    refused(world, code)
    assert sorted(payloads(world)) == list(range(1, 41))
    assert len(said(world, LoadCompleted)) == 1
    assert not said(world, RunBlocked, RunDegraded)


@pytest.mark.parametrize("make", [world_of, atomic_world])
def test_a_target_that_must_be_changed_is_named(make):
    world = make()
    refused(world, *[FULL] * 1000)
    assert not said(world, LoadCompleted)
    assert said(world, RunBlocked)[0].code == "target_refuses"
    assert "change the target stream" in said(world, RunBlocked)[0].reason


@pytest.mark.parametrize("make", [world_of, atomic_world])
def test_what_comes_before_a_chunk_that_may_not_be_sent_is_sent_and_nothing_of_it(make):
    """Chunks are looked at ahead, and each is refused in its turn."""
    world = make(write_subject=None, subject_transforms=(SubjectTransform("s.0", "t.x"),))
    world.jet.batch_messages = 5
    world.messages = [(seq, time, b"s.0" if seq != 15 else b"$JS.API.x", None) for seq, time, *_ in world.messages]
    sent: list[int] = []

    async def live():
        archive(world, SOURCES[0], world.messages)
        await world.start()
        while not said(world, RunBlocked):  # noqa: ASYNC110 - the seeded loop has no clock to wait for
            await asyncio.sleep(0)
        sent.extend(payloads(world))
        await asyncio.sleep(60)
        await end(world)

    run_seeded(1, live)
    assert said(world, RunBlocked)[0].code == "subject_refused"
    assert sent == payloads(world) == list(range(1, 13))
    assert said(world, LoadProgressed)[-1].seq == 12
