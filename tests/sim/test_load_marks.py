"""Loads in mode atomic: what the marker in the target is believed, and what is refused without it."""

from __future__ import annotations

import asyncio

from actors.testing import run_seeded
from nats3.job.loading import LoadCompleted, TargetBound
from nats3.job.running import RunBlocked
from tests.sim.load_world import LOAD, SOURCES
from tests.sim.test_load_ends import archive, attempt, completed, end, said, world_of

MARKER = f"nats3.mark.T.{LOAD}"


def atomic_world(subjects=("t.>", "nats3.mark.>"), *, allow=True, **order):
    world = world_of(**{"mode": "atomic", **order})
    world.jet.batch_messages = 6
    world.jet.delete_stream("T")
    world.jet.make_stream("T", list(subjects), allow_atomic=allow)
    return world


def payloads(world):
    every = [message for _, message in sorted(world.jet.all["T"].messages.items())]
    return [int(message.payload) for message in every if message.subject == b"t.x"]


def marks(world):
    return [seq for seq, message in sorted(world.jet.all["T"].messages.items()) if message.subject == MARKER.encode()]


async def until_published(world):
    for _ in range(3000):
        if marks(world):
            return
        await asyncio.sleep(0)
    raise AssertionError("nothing was published")


def test_a_batch_that_was_stored_and_never_recorded_is_not_published_again():
    """Killed after the commit and before the record; by then the target has forgotten every id."""
    world = atomic_world()

    async def live():
        archive(world, SOURCES[0], world.messages)
        await world.start()
        await until_published(world)
        await world.nodes[-1].kill()
        assert 0 < len(payloads(world)) < 40
        world.jet.advance(600 * 1_000_000_000)
        world.jet.publish("t.other", b"a stranger's")
        await world.start()
        await completed(world)
        await end(world)

    run_seeded(1, live)
    assert payloads(world) == list(range(1, 41))
    assert said(world, LoadCompleted)[-1].messages == 40


def test_a_target_that_was_rolled_back_gets_again_what_it_lost_and_nothing_else():
    world = atomic_world()

    async def live():
        archive(world, SOURCES[0], world.messages[:20])
        await world.start()
        await until_published(world)
        await asyncio.sleep(1.5)  # recorded, and complete
        world.jet.roll_back("T", marks(world)[0])
        archive(world, SOURCES[0], world.messages)
        await attempt(world, 2)
        await completed(world, 2)
        await end(world)

    run_seeded(1, live)
    assert payloads(world) == list(range(1, 41))


def _blocked(world, hurt):
    async def live():
        archive(world, SOURCES[0], world.messages)
        await world.start()
        await until_published(world)
        await world.nodes[-1].kill()
        hurt()
        world.jet.advance(600 * 1_000_000_000)
        await world.start()
        await asyncio.sleep(60)
        await end(world)

    before = len(payloads(world))
    run_seeded(1, live)
    assert before == 0
    assert not said(world, LoadCompleted)
    return said(world, RunBlocked)[-1].code


def test_without_its_marker_a_load_publishes_nothing_more():
    world = atomic_world()

    def hurt():
        for seq in marks(world):
            world.jet.delete_message("T", seq)

    assert _blocked(world, hurt) == "marker_lost"
    assert len(payloads(world)) == len(set(payloads(world))) < 40


def test_a_marker_that_a_stranger_wrote_is_not_believed():
    world = atomic_world()
    assert _blocked(world, lambda: world.jet.publish(MARKER, b'{"seq":40}')) == "marker_lost"


def test_a_marker_of_another_plan_is_not_believed():
    world = atomic_world()

    def hurt():
        (seq, *_) = reversed(marks(world))
        payload = world.jet.all["T"].messages[seq].payload
        world.jet.publish(MARKER, payload.replace(b'"plan":"', b'"plan":"x'))

    assert _blocked(world, hurt) == "marker_lost"


def test_a_new_generation_goes_on_behind_the_marker_of_the_one_before():
    world = atomic_world()

    async def live():
        archive(world, SOURCES[0], world.messages)
        await world.start()
        await completed(world)
        await attempt(world, 2, generation=2)
        await completed(world, 2)
        await end(world)

    run_seeded(1, live)
    assert payloads(world) == [*range(1, 41), *range(1, 41)]


def test_a_target_that_cannot_take_batches_is_refused_by_name_and_auto_takes_less():
    for subjects, allow in ((["t.>"], True), (["t.>", "nats3.mark.>"], False)):
        world = atomic_world(subjects, allow=allow)

        async def live(world=world):
            archive(world, SOURCES[0], world.messages)
            await world.start()
            await asyncio.sleep(10)
            await end(world)

        run_seeded(1, live)
        assert payloads(world) == []
        assert said(world, RunBlocked)[-1].code == "mode_impossible"
        auto = atomic_world(subjects, allow=allow, mode="auto")

        async def choose(world=auto):
            archive(world, SOURCES[0], world.messages)
            await world.start()
            await completed(world)
            await end(world)

        run_seeded(1, choose)
        assert [event.mode for event in said(auto, TargetBound)] == ["dedupe"]
        assert payloads(auto) == list(range(1, 41))
