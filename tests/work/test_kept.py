"""Snapshots of what is open, so that its old events may leave the database."""

from __future__ import annotations

from functools import reduce
from uuid import uuid4

import pytest

from eventstore import Append, Batcher, Fence, MemorySnapshots, MemoryStore, NewEvent, Position, Version
from nats3.job import ordering, storing
from nats3.job.history import HISTORY, ends
from nats3.job.loading import LoadCompleted
from nats3.job.order import StoreOrder
from nats3.job.ordering import JobCreated, JobDeleted, JobPaused
from nats3.job.running import RunActivated, RunPaused, RunStopped
from nats3.job.surveying import SurveyAsked, WalkBegun, WalkEnded
from nats3.work.journal import Log
from nats3.work.kept import ORDERING, STORING, StateKeeper

ORDER = StoreOrder(name="a", stream="a", subject="a.>", bucket="b")


class World:
    def __init__(self) -> None:
        self.store = MemoryStore()
        self.snapshots = MemorySnapshots()
        self.keeper = StateKeeper(Log(self.store, Batcher(self.store), HISTORY, self.snapshots), self.snapshots)

    async def say(self, entity_id: str, *events: object) -> None:
        version = Version(len(await self.store.read(entity_id, Version(0), 100)))
        new = tuple(HISTORY.encode(event) for event in events)
        await self.store.append([Append(entity_id, version, Fence(0), new)])


async def test_a_job_and_its_run_are_kept_as_their_folds() -> None:
    world, job = World(), str(uuid4())
    ordered = (JobCreated("store", ORDER), JobPaused())
    happened = (RunActivated(1, "n"), RunPaused())
    await world.say(f"job/{job}", *ordered)
    await world.say(f"run/{job}", *happened)
    for entity_id in (f"job/{job}", f"run/{job}"):
        await world.keeper.keep(entity_id)
    kept = await world.snapshots.load(f"job/{job}")
    assert kept is not None
    assert (kept.version, kept.position) == (2, 2)
    assert ORDERING.decode(kept.state) == reduce(ordering.evolve, ordered, None)
    run = await world.snapshots.load(f"run/{job}")
    assert run is not None
    assert STORING.decode(run.state) == reduce(storing.evolve, happened, storing.Storing())
    await world.say(f"run/{job}", RunActivated(2, "m"))
    await world.keeper.keep(f"run/{job}")
    assert (await world.snapshots.load(f"run/{job}")).version == 3  # type: ignore[union-attr]


async def test_what_was_asked_of_a_survey_is_needed_until_its_walk_has_ended() -> None:
    world = World()
    await world.say("survey/1", SurveyAsked("verify"))
    await world.say("walk/1", WalkBegun(1, "n"))
    await world.keeper.keep("survey/1")
    assert await world.snapshots.load("survey/1") is None
    await world.say("walk/1", WalkEnded("done", {}))
    await world.keeper.keep("survey/1")
    assert (await world.snapshots.load("survey/1")).version == 1  # type: ignore[union-attr]


async def test_what_was_decided_about_a_projection_is_kept_whole() -> None:
    world = World()
    said = NewEvent("projection_event_skipped", {"position": 5, "reason": "x"})
    for version in range(2):
        await world.store.append([Append("projection/jobs", Version(version), Fence(0), (said,))])
        await world.keeper.keep("projection/jobs")
        kept = await world.snapshots.load("projection/jobs")
        assert kept is not None
        assert (kept.version, len(kept.state)) == (version + 1, version + 1)


async def test_what_this_program_cannot_fold_stays_as_it_is() -> None:
    world = World()
    await world.store.append([Append("other/1", Version(0), Fence(0), (NewEvent("x", {}),))])
    await world.keeper.keep("other/1")
    await world.keeper.keep("job/none")
    assert await world.snapshots.load("other/1") is None
    assert await world.store.head() == Position(1)


@pytest.mark.parametrize(
    ("event", "last"),
    [
        (JobDeleted(), True),
        (LoadCompleted(1, 0), True),
        (RunStopped("deleted"), True),
        (WalkEnded("done", {}), True),
        (RunStopped("shutdown"), False),
        (RunPaused(), False),
        (JobPaused(), False),
    ],
)
def test_a_history_ends_where_nothing_more_is_to_be_done(event: object, last: bool) -> None:  # noqa: FBT001 - a column of the table
    assert ends(HISTORY.encode(event)) is last
