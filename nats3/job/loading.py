"""`run/<id>` of a load job: what was planned, what the target has acknowledged, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, assert_never

from nats3.job.order import PublishMode
from nats3.job.running import (
    Condition,
    RunActivated,
    RunBlocked,
    RunDegraded,
    RunFailed,
    RunPaused,
    RunRecovered,
    RunStopped,
    condition_after,
)


@dataclass(frozen=True, slots=True)
class PlannedRange:
    """Archived messages of one life that a load reads: first <= seq <= last, in the chunks known at the plan's position.

    Ranges with equal `rank` are the same life seen by several store jobs: they are merged by seq and published once. All messages
    have server times (ns) from `first_time` to `last_time`; all times, where it was planned by a program that did not say them.
    """

    rank: int
    job_id: str
    life: str
    created: int
    first: int
    last: int
    first_time: int = 0
    last_time: int = 2**63 - 1


def without_origins(data: dict[str, Any]) -> dict[str, Any]:
    """`load_planned` and `load_extended` of version 2 as those of version 3."""
    ranges = [{name: said for name, said in each.items() if name != "origin"} for each in data["ranges"]]
    return {**data, "ranges": ranges}


@dataclass(frozen=True, slots=True)
class LoadPlanned:
    """The plan is frozen: these ranges, of the chunks that were recorded at or before log position `position`."""

    ranges: tuple[PlannedRange, ...]
    position: int
    chunks: int
    messages: int
    generation: int
    attempt: int


@dataclass(frozen=True, slots=True)
class LoadExtended:
    """A polling load found chunks recorded after `LoadPlanned.position`, all above what was planned."""

    ranges: tuple[PlannedRange, ...]
    position: int
    chunks: int
    messages: int


@dataclass(frozen=True, slots=True)
class TargetBound:
    """The stream that takes what is published, how it was found (`last` is its last seq then), and in which mode."""

    stream: str
    created: int
    last: int
    mode: PublishMode


@dataclass(frozen=True, slots=True)
class LoadProgressed:
    """Everything up to `seq` of range rank `rank` is acknowledged; `target_seq` is where the last of it stands.

    `published` counts the messages of this generation, `bytes` theirs with headers, `duplicates` those that the target
    had already.
    """

    rank: int
    seq: int
    published: int
    duplicates: int
    target_seq: int
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class DisplacedRange:
    """Of the messages first <= seq <= last in range rank `rank`, `count` that stand in the target before an earlier one."""

    rank: int
    first: int
    last: int
    count: int


@dataclass(frozen=True, slots=True)
class MessagesDisplaced:
    """Of what `LoadProgressed` beside it tells, `count` messages stand in the target before one that the plan has before
    them: another leader stored what came earlier later. `ranges` are up to 100 of those that they lie in, `farthest` is
    the seq of the target up to which all that is acknowledged stands.
    """

    ranges: tuple[DisplacedRange, ...]
    count: int
    farthest: int


@dataclass(frozen=True, slots=True)
class ChunkLoaded:
    """Every selected message of the chunk is acknowledged."""

    bucket: str
    key: str
    messages: int


@dataclass(frozen=True, slots=True)
class ChunkSkipped:
    """A bad chunk was passed over, as ordered."""

    key: str
    first: int
    last: int
    count: int
    reason: str


@dataclass(frozen=True, slots=True)
class ChunkDeleteRequested:
    """The chunk is loaded and its order says to delete it: gone from the index, soon from the bucket.

    `held` says which messages were in it (`nats3.chunk.held`), so that the same messages in another job's chunk are
    known to be published; empty in events of schema version 1.
    """

    bucket: str
    key: str
    held: bytes = b""


@dataclass(frozen=True, slots=True)
class ChunkDeleted:
    bucket: str
    key: str


@dataclass(frozen=True, slots=True)
class LoadCompleted:
    """Everything planned is in the target, but for what was skipped by order."""

    messages: int
    skipped: int


LoadingEvent = (
    LoadPlanned
    | LoadExtended
    | TargetBound
    | LoadProgressed
    | MessagesDisplaced
    | ChunkLoaded
    | ChunkSkipped
    | ChunkDeleteRequested
    | ChunkDeleted
    | LoadCompleted
    | RunActivated
    | RunDegraded
    | RunRecovered
    | RunBlocked
    | RunPaused
    | RunStopped
    | RunFailed
)

LOADING_EVENTS = (
    LoadPlanned,
    LoadExtended,
    TargetBound,
    LoadProgressed,
    MessagesDisplaced,
    ChunkLoaded,
    ChunkSkipped,
    ChunkDeleteRequested,
    ChunkDeleted,
    LoadCompleted,
)


FOLD = 3
"""Raise it when `evolve` makes something else of the same events: states that were kept are then folded anew."""


@dataclass(frozen=True, slots=True)
class Loading:
    """Fold of a load job's run. `rank` and `seq` say how far the acknowledged prefix reaches, `displaced` how many messages
    of it stand in another order in the target, `farthest` up to which seq there it stands.

    `ranges` are all that were planned in this generation; `plans` says from which rank on they were planned at which
    log position.
    """

    condition: Condition = field(default_factory=Condition)
    generation: int = 1
    attempt: int = 1
    planned: bool = False
    ranges: tuple[PlannedRange, ...] = ()
    plans: tuple[tuple[int, int], ...] = ()
    position: int = 0
    planned_messages: int = 0
    target: TargetBound | None = None
    rank: int = 0
    seq: int = 0
    published: int = 0
    duplicates: int = 0
    target_seq: int = 0
    bytes: int = 0
    displaced: int = 0
    farthest: int = 0
    skipped: int = 0
    to_delete: frozenset[tuple[str, str]] = frozenset()
    completed: bool = False

    def planned_at(self, rank: int) -> int:
        """The log position at which the ranges of this rank were planned."""
        return max((position for first, position in self.plans if first <= rank), default=self.position)


def evolve(state: Loading, event: LoadingEvent) -> Loading:
    match event:
        case LoadPlanned():
            return _planned(state, event)
        case LoadExtended():
            return replace(
                state,
                ranges=state.ranges + event.ranges,
                plans=_plans(state, event),
                position=event.position,
                planned_messages=state.planned_messages + event.messages,
            )
        case TargetBound():
            return replace(state, target=event)
        case LoadProgressed():
            return _progressed(state, event)
        case (
            MessagesDisplaced()
            | ChunkLoaded()
            | ChunkSkipped()
            | ChunkDeleteRequested()
            | ChunkDeleted()
            | LoadCompleted()
        ):
            return _noted(state, event)
        case RunActivated() | RunDegraded() | RunRecovered() | RunBlocked() | RunPaused() | RunStopped() | RunFailed():
            return replace(state, condition=condition_after(event))
        case _:
            assert_never(event)


def _planned(state: Loading, event: LoadPlanned) -> Loading:
    """A new generation begins from nothing; the same one goes on where its acknowledged prefix ends."""
    kept = state if event.generation == state.generation else Loading(condition=state.condition)
    return replace(
        kept,
        planned=True,
        generation=event.generation,
        attempt=event.attempt,
        ranges=kept.ranges + event.ranges,
        plans=_plans(kept, event),
        position=event.position,
        planned_messages=event.messages,
        completed=False,
    )


def _progressed(state: Loading, event: LoadProgressed) -> Loading:
    """Where it goes back, the target has lost its end; where to nothing, all that is there is found again."""
    goes_on = event.published >= state.published
    return replace(
        state,
        rank=event.rank,
        seq=event.seq,
        published=event.published,
        duplicates=event.duplicates,
        target_seq=event.target_seq,
        bytes=event.bytes,
        displaced=state.displaced if event.published else 0,
        farthest=max(state.farthest, event.target_seq) if goes_on else event.target_seq,
    )


def _plans(state: Loading, event: LoadPlanned | LoadExtended) -> tuple[tuple[int, int], ...]:
    """Ranks rise from plan to plan, and so do positions."""
    if not event.ranges:
        return state.plans
    return (*state.plans, (min(each.rank for each in event.ranges), event.position))


_Noted: TypeAlias = MessagesDisplaced | ChunkLoaded | ChunkSkipped | ChunkDeleteRequested | ChunkDeleted | LoadCompleted


def _noted(state: Loading, event: _Noted) -> Loading:
    match event:
        case ChunkLoaded():
            return state
        case MessagesDisplaced(count=count, farthest=farthest):
            return replace(state, displaced=state.displaced + count, farthest=max(state.farthest, farthest))
        case LoadCompleted():
            return replace(state, completed=True)
        case ChunkSkipped(count=count):
            return replace(state, skipped=state.skipped + count)
        case ChunkDeleteRequested(bucket=bucket, key=key):
            return replace(state, to_delete=state.to_delete | {(bucket, key)})
        case ChunkDeleted(bucket=bucket, key=key):
            return replace(state, to_delete=state.to_delete - {(bucket, key)})
        case _:
            assert_never(event)


def message_id_prefix(job_id: str, generation: int) -> str:
    """What the ids of all messages of one generation begin with."""
    return f"n3:{job_id}:{generation}:"


def message_id(job_id: str, generation: int, life: str, seq: int) -> str:
    """The `Nats-Msg-Id` of a replayed message: equal after any crash, pause or take-over, so that it counts once."""
    return f"{message_id_prefix(job_id, generation)}{life}:{seq}"
