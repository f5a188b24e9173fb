"""Version 2: the runs of a job, one for each time that it was ordered to begin, folded from its events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from eventstore import Position, Recorded
from eventstore.audit import Question
from nats3.api.errors import JobMissing
from nats3.api.pages import listing, shown
from nats3.api.reading import int_of, job_id_of, only
from nats3.api.services import Services
from nats3.api.words import format_time
from nats3.job.history import HISTORY, job_entity, run_entity, types_of
from nats3.job.loading import LoadCompleted
from nats3.job.ordering import JobCreated, JobRetried
from nats3.job.running import RUN_EVENTS, RunActivated, RunFailed, condition_after

_ORDERED = types_of(JobCreated, JobRetried)
_HAPPENED = types_of(*RUN_EVENTS, LoadCompleted)
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Run:
    """`activations` counts how often a node took it up; `ended` is None while more may happen."""

    number: int
    generation: int
    ordered: datetime
    began: datetime | None = None
    ended: datetime | None = None
    state: str = "created"
    reason: str = ""
    activations: int = 0
    node: str | None = None
    node_id: UUID | None = None


async def of_job(services: Services, request: Request) -> Response:
    """Oldest first, in pages."""
    only(request, "after", "limit", "min_position")
    await shown(services, request, "jobs")
    job_id = job_id_of(request)
    if await services.jobs.get(job_id) is None:
        raise JobMissing(job_id)
    limit, after = int_of(request, "limit", 100, 1, 1000), int_of(request, "after", 0)
    events = [
        *await every(services, Question(job_entity(job_id), types=_ORDERED)),
        *await every(services, Question(run_entity(job_id), types=_HAPPENED)),
    ]
    runs = [run for run in fold(events) if run.number > after]
    more = {"after": runs[limit - 1].number} if len(runs) > limit else None
    return listing(request, [run_body(run) for run in runs[:limit]], more)


async def every(services: Services, question: Question) -> list[Recorded]:
    """All events that are asked for, however many pages that takes."""
    events: list[Recorded] = []
    after: Position | None = Position(0)
    while after is not None:
        page = await services.audit.oldest_first(question, after, _PAGE)
        events += page.events
        after = page.then
    return events


def fold(events: Sequence[Recorded]) -> list[Run]:
    """The runs out of what was ordered and what happened, in the order of the log."""
    runs: list[Run] = []
    for event in sorted(events, key=lambda each: each.position):
        said, at = HISTORY.decode(event), event.recorded_at
        if isinstance(said, JobCreated):
            runs.append(Run(1, 1, at))
        elif isinstance(said, JobRetried):
            runs.append(Run(len(runs) + 1, runs[-1].generation + said.restart, at))
        elif runs:
            runs[-1] = _after(runs[-1], said, event)
    return runs


def _after(run: Run, said: Any, event: Recorded) -> Run:  # noqa: ANN401 - an event of a run
    at = event.recorded_at
    if isinstance(said, LoadCompleted):
        return replace(run, ended=at, reason="", state="completed_with_gaps" if said.skipped else "completed")
    if run.state.startswith("completed"):
        return run
    condition = condition_after(said)
    run = replace(run, state=condition.name, reason=condition.reason, ended=at if isinstance(said, RunFailed) else None)
    if isinstance(said, RunActivated):
        run = replace(run, activations=run.activations + 1, began=run.began or at)
        return replace(run, node=said.node, node_id=event.node)
    return run


def run_body(run: Run) -> dict[str, Any]:
    return {
        "number": run.number,
        "generation": run.generation,
        "state": run.state,
        "reason": run.reason,
        "activations": run.activations,
        "node": run.node,
        "node_id": None if run.node_id is None else str(run.node_id),
        "ordered_at": format_time(run.ordered),
        "began_at": None if run.began is None else format_time(run.began),
        "ended_at": None if run.ended is None else format_time(run.ended),
    }
