"""Offices of an older and of a newer program on one log: who runs what the older one cannot read."""

from __future__ import annotations

import asyncio

import pytest

from eventstore import NewEvent
from nats3.job.history import HISTORY
from nats3.job.ordering import JobChanged, JobCreated, JobDeleted, JobPaused, JobResumed, JobRetried
from tests.work.test_office import World, everywhere, nodes, until

NEWER = [NewEvent("job_moved", {"to": "x"})] + [
    NewEvent(HISTORY.type_of(event), {"x": 1}, schema_version=99)
    for event in (JobChanged, JobCreated, JobDeleted, JobPaused, JobResumed, JobRetried)
]


@pytest.mark.parametrize("event", NEWER, ids=lambda event: event.type)
def test_an_event_of_a_newer_program_stops_the_run_of_its_job_and_nothing_else(event: NewEvent) -> None:
    """The node settles what it holds, looks once more, leaves the job to others, and does not come back for it."""

    async def story() -> None:
        world = World(["a", "b"])
        async with nodes(world, "one") as (one,):
            await one.start()
            await until(world, lambda: world.on("one") == ["a", "b"], 5)
            await world.say("job/a", event)
            await world.say("job/elsewhere", event)
            await until(world, lambda: world.left, 5)
            await asyncio.sleep(60)
            assert world.on("one") == ["b"]
            assert world.left == [("a", "one")]
            assert [(job, why) for job, why, _ in world.endings] == [("a", "handed_over")]
            assert [claim.entity_id for claim in await one.claims.owned()] == ["run/b"]
            assert not one.task.done()

    everywhere(3, story)


def test_a_node_that_begins_on_a_log_with_events_of_a_newer_program_runs_what_it_can_read() -> None:
    async def story() -> None:
        world = World(["a", "b"])
        await world.say("job/a", NEWER[1])
        async with nodes(world, "one", "two") as (one, two):
            await one.start()
            await two.start()
            await until(world, lambda: [*world.on("one"), *world.on("two")] == ["b"], 5)
            await until(world, lambda: len(world.left) == 2, 30)
            await asyncio.sleep(60)
            assert sorted(world.left) == [("a", "one"), ("a", "two")]
            assert [*world.on("one"), *world.on("two")] == ["b"]

    everywhere(5, story)


def test_what_the_nodes_with_room_cannot_read_is_run_by_one_that_has_its_share() -> None:
    """An old and a new node together: the new one runs all that the old one may not."""

    async def story() -> None:
        world = World(["a", "b", "c", "d"], old={"old"})
        for job in "abc":
            await world.say(f"job/{job}", NEWER[1])
        async with nodes(world, "old", "new") as (old, new):
            await old.start()
            await new.start()
            await until(world, lambda: {"a", "b", "c"} <= set(world.on("new")), 30)
            await until(world, lambda: world.on("old") == ["d"], 30)
            began = len(world.endings)
            await asyncio.sleep(120)
            assert (world.on("old"), world.on("new")) == (["d"], ["a", "b", "c"])
            assert len(world.endings) == began
            await old.terminate()
            await until(world, lambda: world.on("new") == ["a", "b", "c", "d"], 5)
            assert world.together() <= 0

    everywhere(10, story)


def test_when_the_old_node_is_replaced_the_runs_are_spread_again() -> None:
    async def story() -> None:
        world = World([f"job-{n}" for n in range(8)], old={"old"})
        for n in range(8):
            await world.say(f"job/job-{n}", NEWER[1])
        async with nodes(world, "old", "new", "newer") as (old, new, newer):
            await old.start()
            await new.start()
            await until(world, lambda: len(world.on("new")) == 8, 60)
            await old.terminate()
            await newer.start()
            await until(world, lambda: len(world.on("newer")) == 3, 60)
            await asyncio.sleep(60)
            assert (len(world.on("new")), len(world.on("newer"))) == (5, 3)

    everywhere(5, story)
