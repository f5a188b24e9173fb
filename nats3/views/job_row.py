"""A row of the view `jobs`: the fold of `job/<id>` and `run/<id>` together, in the order of the log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

from eventstore.event import Recorded
from eventstore.types import from_json
from nats3.job.history import HISTORY, job_of
from nats3.job.loading import (
    ChunkLoaded,
    ChunkSkipped,
    LoadCompleted,
    LoadExtended,
    LoadPlanned,
    LoadProgressed,
    MessagesDisplaced,
)
from nats3.job.order import Kind, LoadOrder, Order, StoreOrder
from nats3.job.ordering import JobChanged, JobCreated, JobDeleted, JobPaused, JobResumed, JobRetried, Wanted
from nats3.job.running import (
    RUN_EVENTS,
    ConditionName,
    RunActivated,
    RunBlocked,
    RunDegraded,
    RunEvent,
    RunFailed,
    condition_after,
)
from nats3.job.states import State, state_of
from nats3.job.storing import ChunkFlushed, GapObserved, LifeOpened


@dataclass(frozen=True, slots=True)
class JobRow:
    """What is wanted of a job, how it is, and what it has done.

    `version` is that of `job/<id>`, `created_position` and `position` those of its first and latest event; `gaps`
    counts seqs, `last_time` is server time in ns, `node` and `node_id` are those of the one that had it last. Planned,
    published, duplicates, displaced and skipped count messages of the load's generation.
    """

    job_id: UUID
    kind: Kind
    name: str
    api: int
    ordered: dict[str, Any]
    stream: str
    bucket: str
    created: datetime
    updated: datetime
    created_position: int
    position: int
    version: int
    wanted: Wanted = "active"
    condition: ConditionName = "new"
    reason: str = ""
    state: str = State.CREATED.value
    completed: bool = False
    attempts: int = 1
    generation: int = 1
    resumed: int = 0
    node: str | None = None
    node_id: UUID | None = None
    lives: int = 0
    messages: int = 0
    chunks: int = 0
    raw_bytes: int = 0
    stored_bytes: int = 0
    gaps: int = 0
    last_seq: int = 0
    last_time: int | None = None
    planned: int = 0
    planned_chunks: int = 0
    published: int = 0
    duplicates: int = 0
    displaced: int = 0
    skipped: int = 0
    published_bytes: int = 0
    loaded_chunks: int = 0
    last_error: str | None = None
    last_error_at: datetime | None = None

    @property
    def order(self) -> Order:
        """What was ordered."""
        kind: type[StoreOrder | LoadOrder] = StoreOrder if self.kind == "store" else LoadOrder
        return from_json(kind, self.ordered)

    @property
    def state_now(self) -> State:
        return State(self.state)


def fold(row: JobRow | None, recorded: Recorded) -> JobRow | None:
    """The row after this event; None stays None until the job is created."""
    event = HISTORY.decode(recorded)
    if isinstance(event, JobCreated):
        return _created(event, recorded)
    if row is None:
        return None
    if isinstance(event, JobChanged):
        row = replace(row, name=event.order.name, ordered=recorded.data["order"])
    step = _STEPS.get(type(event))
    after = step(row, event) if step else row
    if isinstance(event, RUN_EVENTS):
        after = _conditioned(after, event, recorded)
    version = recorded.version if recorded.entity_id.startswith("job/") else row.version
    state = state_of(
        after.wanted, after.condition, completed=after.completed, skipped=after.skipped, resumed=after.resumed
    )
    return replace(after, state=state.value, version=version, updated=recorded.recorded_at, position=recorded.position)


def _created(event: JobCreated, recorded: Recorded) -> JobRow:
    order = event.order
    return JobRow(
        job_id=job_of(recorded.entity_id),
        kind=event.kind,
        name=order.name,
        api=event.api,
        ordered=recorded.data["order"],
        stream=order.stream if isinstance(order, StoreOrder) else order.read_stream,
        bucket=order.bucket,
        created=recorded.recorded_at,
        updated=recorded.recorded_at,
        created_position=recorded.position,
        position=recorded.position,
        version=recorded.version,
    )


def _conditioned(row: JobRow, event: RunEvent, recorded: Recorded) -> JobRow:
    condition = condition_after(event)
    row = replace(row, condition=condition.name, reason=condition.reason)
    if isinstance(event, RunActivated):
        return replace(row, node=event.node, node_id=recorded.node)
    if isinstance(event, RunBlocked | RunDegraded | RunFailed):
        return replace(row, last_error=condition.reason, last_error_at=recorded.recorded_at)
    return row


def _paused(row: JobRow, _event: JobPaused) -> JobRow:
    return replace(row, wanted="paused")


def _resumed(row: JobRow, _event: JobResumed) -> JobRow:
    row = replace(row, wanted="active", resumed=row.resumed + 1)
    return replace(row, condition="new", reason="") if row.condition == "failed" else row


def _retried(row: JobRow, event: JobRetried) -> JobRow:
    """The next run goes on where the last one ended; one that begins anew counts from nothing."""
    row = replace(row, wanted="active", condition="new", reason="", completed=False, attempts=row.attempts + 1)
    if not event.restart:
        return row
    return replace(
        row,
        generation=row.generation + 1,
        planned=0,
        planned_chunks=0,
        published=0,
        published_bytes=0,
        duplicates=0,
        displaced=0,
        skipped=0,
        loaded_chunks=0,
    )


def _deleted(row: JobRow, _event: JobDeleted) -> JobRow:
    return replace(row, wanted="deleted")


def _opened(row: JobRow, _event: LifeOpened) -> JobRow:
    return replace(row, lives=row.lives + 1)


def _gap(row: JobRow, event: GapObserved) -> JobRow:
    return replace(row, gaps=row.gaps + event.last - event.first + 1)


def _flushed(row: JobRow, event: ChunkFlushed) -> JobRow:
    return replace(
        row,
        messages=row.messages + event.count,
        chunks=row.chunks + 1,
        raw_bytes=row.raw_bytes + event.raw_bytes,
        stored_bytes=row.stored_bytes + event.stored_bytes,
        gaps=row.gaps + sum(last - first + 1 for first, last in event.gaps),
        last_seq=event.last,
        last_time=event.last_time,
    )


def _planned(row: JobRow, event: LoadPlanned) -> JobRow:
    return replace(row, planned=event.messages, planned_chunks=event.chunks, completed=False)


def _extended(row: JobRow, event: LoadExtended) -> JobRow:
    return replace(row, planned=row.planned + event.messages, planned_chunks=row.planned_chunks + event.chunks)


def _progressed(row: JobRow, event: LoadProgressed) -> JobRow:
    return replace(
        row,
        published=event.published,
        duplicates=event.duplicates,
        displaced=row.displaced if event.published else 0,
        published_bytes=event.bytes,
        last_seq=event.seq,
    )


def _displaced(row: JobRow, event: MessagesDisplaced) -> JobRow:
    return replace(row, displaced=row.displaced + event.count)


def _loaded(row: JobRow, _event: ChunkLoaded) -> JobRow:
    return replace(row, loaded_chunks=row.loaded_chunks + 1)


def _skipped(row: JobRow, event: ChunkSkipped) -> JobRow:
    return replace(row, skipped=row.skipped + event.count)


def _completed(row: JobRow, _event: LoadCompleted) -> JobRow:
    return replace(row, completed=True)


Step: TypeAlias = Callable[[JobRow, Any], JobRow]

_STEPS: dict[type, Step] = {
    JobPaused: _paused,
    JobResumed: _resumed,
    JobRetried: _retried,
    JobDeleted: _deleted,
    LifeOpened: _opened,
    GapObserved: _gap,
    ChunkFlushed: _flushed,
    LoadPlanned: _planned,
    LoadExtended: _extended,
    LoadProgressed: _progressed,
    MessagesDisplaced: _displaced,
    ChunkLoaded: _loaded,
    ChunkSkipped: _skipped,
    LoadCompleted: _completed,
}

FOLDED: tuple[type, ...] = (JobChanged, JobCreated, *_STEPS, *RUN_EVENTS)
"""The events that change a row."""
