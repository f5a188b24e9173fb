"""In modes that do not keep the order when the target changes its leader, the log says what stands out of order; strict loads keep it."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from actors.testing import run_seeded
from nats3.job.loading import LoadCompleted, LoadProgressed, MessagesDisplaced, TargetBound
from nats3.work.present import NOTHING_PRESENT
from nats3.work.target import Target
from tests.sim.load_world import RUN, SOURCES
from tests.sim.test_load_ends import archive, attempt, completed, end, said, target, world_of

BUSY = 10023

pytestmark = pytest.mark.timeout(120)


def lived(seed, *, rolls_back=False, **order):
    """A load whose target changes its leader, refuses and is lost at random, and whose node dies."""
    world, chance = world_of(60, **order), Random(f"order/{seed}")

    async def live():
        archive(world, SOURCES[0], world.messages)
        await world.start()
        for _ in range(chance.randint(1, 25)):
            for _ in range(chance.choice([0, 1, 2, 5, 20])):
                await asyncio.sleep(0)
            match chance.randrange(9):
                case 0 | 1 | 2:
                    world.jet.step_down()
                case 3 | 4:
                    world.jet.refuse(BUSY)
                case 5:
                    world.disconnect()
                    await asyncio.sleep(chance.choice([0, 0.1]))
                case 6:
                    await world.crash()
                case 7 if rolls_back:
                    world.roll_back_target()
                case _:
                    await asyncio.sleep(chance.choice([0.01, 1.0]))
        world.jet.reconnect()
        await completed(world)
        await end(world)

    run_seeded(seed, live)
    return world


def displaced_in(world):
    """Seqs that stand in the target before one that the archive has before them."""
    place = {seq: at for at, seq in enumerate(target(world))}
    return {seq for seq in place if any(place[earlier] > place[seq] for earlier in range(1, seq))}


def recorded(world):
    """What the log says of that, since progress last went back to nothing."""
    events = said(world, LoadProgressed, MessagesDisplaced)
    begun = max((at for at, event in enumerate(events) if getattr(event, "published", 1) == 0), default=0)
    return [event for event in events[begun:] if isinstance(event, MessagesDisplaced)]


async def _not_there_yet(*_):
    return NOTHING_PRESENT


@pytest.mark.parametrize("arrives_late", [False, True])
def test_exactly_what_stands_out_of_order_is_on_record(arrives_late, monkeypatch):
    """What was sent over the connection before is seen at the bind, or answered as a duplicate after it."""
    if arrives_late:
        monkeypatch.setattr(Target, "present", _not_there_yet)
    some = 0
    for seed in range(60):
        world = lived(seed)
        assert sorted(target(world)) == list(range(1, 61)), seed
        mode = "dedupe" if world.jet.all["T"].config["retention"] == "limits" else "at_least_once"
        assert [event.mode for event in said(world, TargetBound)] == [mode]
        out, events = displaced_in(world), recorded(world)
        some += bool(out)
        assert sum(event.count for event in events) == len(out), seed
        ranges = [each for event in events for each in event.ranges]
        assert sum(each.count for each in ranges) == len(out), seed
        assert out <= {seq for each in ranges for seq in range(each.first, each.last + 1)}, seed
    assert some > 12, "the fault is met"


def test_nothing_of_a_target_in_another_order_that_also_loses_its_end_is_missing_or_twice():
    for seed in range(60):
        world = lived(seed, rolls_back=True)
        assert sorted(target(world)) == list(range(1, 61)), seed
        assert said(world, LoadCompleted)[-1].messages == 60, seed


def test_a_strict_load_keeps_the_order_whatever_happens_to_its_target():
    for seed in range(60):
        world = lived(seed, strict_order=True)
        assert target(world) == list(range(1, 61)), seed
        assert not said(world, MessagesDisplaced)


@pytest.mark.parametrize("left", [1, 3, 5, 8])
def test_a_target_in_another_order_that_loses_its_end_gets_again_all_that_is_missing(left):
    """Its last message is not the last of the archive, and says nothing of those before it."""
    world = world_of(12)

    async def live():
        archive(world, SOURCES[0], world.messages)
        world.jet.step_down()
        await world.start()
        await completed(world)
        assert target(world)[:4] == [3, 4, 1, 2]
        world.jet.roll_back("T", left)
        await attempt(world, 2)
        await completed(world, 2)
        await end(world)

    run_seeded(1, live)
    assert sorted(target(world)) == list(range(1, 13))
    assert said(world, LoadCompleted)[-1].messages == 12
    assert sum(event.count for event in recorded(world)) == len(displaced_in(world))


def test_another_generation_begins_in_order():
    world = world_of(12)

    async def live():
        archive(world, SOURCES[0], world.messages)
        world.jet.step_down()
        await world.start()
        await completed(world)
        await attempt(world, 2, generation=2)
        await completed(world, 2)
        await end(world)

    run_seeded(1, live)
    assert [event.count for event in said(world, MessagesDisplaced)] == [2]
    assert world.log.events(RUN)
