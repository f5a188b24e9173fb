"""Keeps the newest state of an entity as a snapshot, so that its old events may leave the database."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, cast

from actors.errors import Transient
from eventstore import LogUnavailable, Snapshot, Snapshots, Version, decisions
from nats3.job import loading, ordering, storing, surveying
from nats3.job.order import StoreOrder
from nats3.job.surveying import Walk, survey_entity, walk_entity
from nats3.work.causes import NoCauses
from nats3.work.journal import FoldedState, Log, RunJournal, Unreadable

STORING = FoldedState(storing.Storing, storing.FOLD)
LOADING = FoldedState(loading.Loading, loading.FOLD)
WALKING = FoldedState(surveying.Walk, surveying.FOLD)
ORDERING = FoldedState(ordering.Job, ordering.FOLD)


_PAGE = 1000


async def job_of(log: Log, job_id: str) -> tuple[ordering.Job | None, int]:
    """What is wanted of a job and at which version of `job/<id>`; None where there is none. Raises ActorError."""
    uncaused = replace(log, causes=NoCauses())  # nothing is said here that would have a cause
    history = await RunJournal(f"job/{job_id}", 0, uncaused, ORDERING, actor="").recover()
    job = cast("ordering.Job | None", history.snapshot)
    return reduce(ordering.evolve, history.events, job), history.version


@dataclass(frozen=True, slots=True)
class StateKeeper:
    """Keeps snapshots of jobs and their runs, of surveys and of what was decided about projections; of nothing else."""

    log: Log
    snapshots: Snapshots

    async def keep(self, entity_id: str) -> None:
        """Keep the newest state, if this program can fold the entity. Raises LogUnavailable, SegmentFault."""
        category, _, name = entity_id.partition("/")
        try:
            match category:
                case "projection":
                    await decisions.keep(self.snapshots, self.log.store, name)
                case "job":
                    await self._keep_job(name)
                case "run":
                    await self._keep_run(name)
                case "walk":
                    await self._keep_walk(name)
                case "survey":
                    await self._keep_survey(name)
                case _:
                    pass
        except Unreadable:
            return  # a newer program keeps it; until then its old events stay where they are
        except Transient as away:
            raise LogUnavailable(str(away)) from away

    async def _keep_job(self, job_id: str) -> None:
        job, version = await job_of(self.log, job_id)
        if job is not None:
            await self._journal(f"job/{job_id}", ORDERING).save(version, job)

    async def _keep_run(self, job_id: str) -> None:
        """A run whose job no order made (its history was read out of a bucket) is one of a store job."""
        job, _ = await job_of(self.log, job_id)
        begin: Any
        if job is None or isinstance(job.order, StoreOrder):
            codec, evolve, begin = STORING, storing.evolve, storing.Storing()
        else:
            codec, evolve, begin = LOADING, loading.evolve, loading.Loading()
        journal = self._journal(f"run/{job_id}", codec)
        history = await journal.recover()
        fold: Any = evolve
        if history.version:
            await journal.save(history.version, reduce(fold, history.events, history.snapshot or begin))

    async def _keep_walk(self, survey_id: str) -> Walk:
        journal = self._journal(walk_entity(survey_id), WALKING)
        history = await journal.recover()
        walk = reduce(surveying.evolve, history.events, cast("Walk | None", history.snapshot) or Walk())
        if history.version:
            await journal.save(history.version, walk)
        return walk

    async def _keep_survey(self, survey_id: str) -> None:
        """Nobody needs to know what was asked once the walk has ended."""
        walk = await self._keep_walk(survey_id)
        if walk.ended is not None:
            (*_, last) = await self.log.store.read(survey_entity(survey_id), Version(0), _PAGE)
            await self.snapshots.save(Snapshot(last.entity_id, last.version, last.position, 0, walk.ended.outcome))

    def _journal(self, entity_id: str, codec: FoldedState) -> RunJournal:
        return RunJournal(entity_id, 0, self.log, codec, actor="")
