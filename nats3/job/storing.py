"""`run/<id>` of a store job: what was archived, and the pure rules that decide what goes on with what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, assert_never

from nats3.job.gaps import PossibleGap
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
from nats3.life import Opening

GapReason = Literal["expired", "purged", "deleted", "unknown"]
LifeReason = Literal["first", "recreated", "rolled_back", "restored", "adopted"]


@dataclass(frozen=True, slots=True)
class LifeOpened:
    """The stream begins another existence; `config` is its configuration as raw JSON text."""

    opening: Opening
    reason: LifeReason
    config: str = ""


@dataclass(frozen=True, slots=True)
class LifeContinued:
    """The same life goes on under another `created` (a restored stream)."""

    created: int


@dataclass(frozen=True, slots=True)
class GapObserved:
    """The seqs first..last (inclusive) of this life were gone before they could be read."""

    life: str
    first: int
    last: int
    reason: GapReason


@dataclass(frozen=True, slots=True)
class ChunkFlushed:
    """A chunk is stored, whole and verified. Seqs previous_seq < seq <= last of the life are settled by it.

    Times are ns, hashes hex. `gaps` are up to 100 of the `gap_count` seq ranges inside that were not there to read.
    """

    bucket: str
    key: str
    codec: str
    stream: str
    subject: str
    consumer: str | None
    prefix: str
    life: str
    ordinal: int
    created: int
    previous_seq: int
    first: int
    last: int
    count: int
    first_time: int
    last_time: int
    raw_bytes: int
    stored_bytes: int
    sha256: str
    content_sha256: str
    previous_sha256: str
    last_fingerprint: str
    sealed_by: str
    gaps: tuple[tuple[int, int], ...] = ()
    gap_count: int = 0
    adopted_from: str | None = None


@dataclass(frozen=True, slots=True)
class ObjectsCondemned:
    """Objects of this run that no event will ever refer to: they alone may be swept."""

    bucket: str
    keys: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class ObjectsSwept:
    """Condemned objects were deleted from the bucket, or found to be gone."""

    bucket: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ConsumersForgotten:
    """The job is deleted, and nothing of it is left in NATS that would pin the stream's messages."""

    stream: str


StoringEvent = (
    LifeOpened
    | LifeContinued
    | GapObserved
    | PossibleGap
    | ChunkFlushed
    | ObjectsCondemned
    | ObjectsSwept
    | ConsumersForgotten
    | RunActivated
    | RunDegraded
    | RunRecovered
    | RunBlocked
    | RunPaused
    | RunStopped
    | RunFailed
)

STORING_EVENTS = (
    LifeOpened,
    LifeContinued,
    GapObserved,
    PossibleGap,
    ChunkFlushed,
    ObjectsCondemned,
    ObjectsSwept,
    ConsumersForgotten,
)


FOLD = 2
"""Raise it when `evolve` makes something else of the same events: states that were kept are then folded anew."""


@dataclass(frozen=True, slots=True)
class Storing:
    """Fold of a store job's run.

    `cursor` is the last seq settled in the current life, `ends` the same for every life by uuid, `written` the lives that
    have chunks of their own, `tip` what the next chunk links to (hex SHA-256 of the life's last chunk object, or the
    life's uuid), `last_chunk` the job's latest chunk in any life.
    """

    condition: Condition = field(default_factory=Condition)
    lives: tuple[Opening, ...] = ()
    created: frozenset[int] = frozenset()
    cursor: int = 0
    ends: Mapping[str, int] = field(default_factory=dict[str, int])
    written: frozenset[str] = frozenset()
    tip: str = ""
    last_chunk: ChunkFlushed | None = None
    condemned: frozenset[str] = frozenset()

    @property
    def life(self) -> Opening | None:
        return self.lives[-1] if self.lives else None


def evolve(state: Storing, event: StoringEvent) -> Storing:
    match event:
        case LifeOpened(opening=opening):
            return replace(
                state,
                lives=(*state.lives, opening),
                created=frozenset({opening.created}),
                tip=opening.uuid,
                cursor=opening.cursor,
                ends={**state.ends, opening.uuid: opening.cursor},
            )
        case LifeContinued(created=created):
            return replace(state, created=state.created | {created})
        case GapObserved(last=last):
            seq = max(state.cursor, last)
            return replace(state, cursor=seq, ends={**state.ends, event.life: seq})
        case ChunkFlushed(life=life):
            written = state.written if life in state.written else state.written | {life}
            ends = {**state.ends, life: event.last}
            return replace(state, cursor=event.last, ends=ends, tip=event.sha256, last_chunk=event, written=written)
        case ObjectsCondemned() | ObjectsSwept() | ConsumersForgotten() | PossibleGap():
            return replace(state, condemned=_condemned(state.condemned, event))
        case RunActivated() | RunDegraded() | RunRecovered() | RunBlocked() | RunPaused() | RunStopped() | RunFailed():
            return replace(state, condition=condition_after(event))
        case _:
            assert_never(event)


def _condemned(
    before: frozenset[str], event: ObjectsCondemned | ObjectsSwept | ConsumersForgotten | PossibleGap
) -> frozenset[str]:
    match event:
        case ObjectsCondemned(keys=keys):
            return before | set(keys)
        case ObjectsSwept(keys=keys):
            return before - set(keys)
        case ConsumersForgotten() | PossibleGap():
            return before
        case _:
            assert_never(event)


@dataclass(frozen=True, slots=True)
class Candidate:
    """An object of this job in the bucket that no event refers to, as its key and header tell it."""

    key: str
    opening: Opening
    previous_seq: int
    previous_sha256: str
    last: int
    activation: int
    bind: int


def links(state: Storing, candidate: Candidate) -> bool:
    """Whether the candidate goes on exactly where the log ends; nothing else may be asked of it."""
    life = state.life
    if life is not None and candidate.opening.uuid == life.uuid:
        return candidate.previous_sha256 == state.tip and candidate.previous_seq >= state.cursor
    known = any(opening.uuid == candidate.opening.uuid for opening in state.lives)
    later = life is None or candidate.opening.ordinal > life.ordinal
    last_sha256 = state.last_chunk.sha256 if state.last_chunk else None
    first_of_its_life = candidate.previous_sha256 == candidate.opening.uuid
    return not known and later and candidate.opening.tip == last_sha256 and first_of_its_life


def is_beyond_recall(state: Storing, candidate: Candidate) -> bool:
    """Whether the candidate can never link any more: what it follows was followed by something else."""
    life = state.life
    if life is None:
        return False
    if candidate.opening.uuid == life.uuid:
        return candidate.previous_seq < state.cursor
    known = any(opening.uuid == candidate.opening.uuid for opening in state.lives)
    return known or candidate.opening.ordinal <= life.ordinal


def next_to_adopt(state: Storing, candidates: Iterable[Candidate]) -> Candidate | None:
    """Of several that link, the one written last: by the highest activation, then bind, then seq."""
    linked = [candidate for candidate in candidates if links(state, candidate)]
    return max(linked, key=lambda c: (c.activation, c.bind, c.last), default=None)


def opening_events(state: Storing, candidate: Candidate) -> list[StoringEvent]:
    """What must be recorded before an adopted chunk: its life, when the log does not know it, and the gap before it."""
    events: list[StoringEvent] = []
    cursor = state.cursor
    if state.life is None or candidate.opening.uuid != state.life.uuid:
        events.append(LifeOpened(candidate.opening, "adopted"))
        cursor = candidate.opening.cursor
    if candidate.previous_seq > cursor:
        events.append(GapObserved(candidate.opening.uuid, cursor + 1, candidate.previous_seq, "unknown"))
    return events


@dataclass(frozen=True, slots=True)
class Sighting:
    """What the stream shows at a bind. `newest` is the greatest archived seq at or below the cursor that is still
    present, `equal` whether the message there is the archived one; both None where no such message is present.
    `ahead` says that a message above the cursor equals one that another life of the job has archived.
    """

    created: int
    first: int
    last: int
    newest: int | None
    equal: bool | None
    ahead: bool = False


def goes_on(state: Storing, seen: Sighting) -> bool:
    """Whether the stream is still in the current life, judged at the cursor."""
    if seen.created in state.created:
        return seen.last >= state.cursor and seen.equal is not False
    return seen.newest == state.cursor and seen.equal is True and not seen.ahead


def first_opening(uuid: str, created: int, first: int) -> Opening:
    """A job's first bind archives from the first message that is there."""
    return Opening(ordinal=1, uuid=uuid, created=created, equal=first - 1, cursor=first - 1)


@dataclass(frozen=True, slots=True)
class Match:
    """How far the stream equals one of the job's lives: the greatest equal seq, and the first present one that differs."""

    life: Opening
    equal: int
    differs: int | None


def next_opening(state: Storing, uuid: str, seen: Sighting, match: Match | None) -> Opening:
    """The next life, branching from the best match, or from nothing.

    Its cursor is the seq before the first message that differs; equal < seq <= cursor are a gap for a reason unknown.
    """
    ordinal = state.lives[-1].ordinal + 1
    tip = state.last_chunk.sha256 if state.last_chunk else None
    if match is None:
        return Opening(ordinal=ordinal, uuid=uuid, created=seen.created, tip=tip)
    before_difference = seen.last if match.differs is None else match.differs - 1
    cursor = max(match.equal, min(seen.last, state.ends[match.life.uuid], before_difference))
    parent, upto = _ancestor_with_chunks(state, match.life, cursor)
    return Opening(ordinal, uuid, seen.created, parent.uuid if parent else None, upto, match.equal, cursor, (), tip)


def _ancestor_with_chunks(state: Storing, life: Opening, upto: int) -> tuple[Opening | None, int]:
    """The nearest life at or above `life` that has chunks: one without leaves no trace in the bucket."""
    known = {opening.uuid: opening for opening in state.lives}
    ancestor: Opening | None = life
    while ancestor is not None and ancestor.uuid not in state.written:
        upto = min(upto, ancestor.upto)
        ancestor = known.get(ancestor.parent) if ancestor.parent else None
    return ancestor, upto


def lineage(state: Storing, life: Opening, seq: int) -> str | None:
    """The uuid of the life whose chunks hold `seq` of this life: its own, or the ancestor that it branched from."""
    known = {opening.uuid: opening for opening in state.lives}
    holder: Opening | None = life
    while holder is not None and holder.parent is not None and seq <= holder.upto:
        holder = known.get(holder.parent)
    return holder.uuid if holder else None


def gap_before_first(state: Storing, first: int) -> GapObserved | None:
    """What the stream dropped between the cursor and its first message."""
    life = state.life
    if life is None or first <= state.cursor + 1:
        return None
    return GapObserved(life.uuid, state.cursor + 1, first - 1, "expired")


def gaps_within(previous: int, seqs: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """The ranges of seqs in (previous, seqs[-1]] that are not in `seqs`; nothing is looked at where none can be."""
    if not seqs or seqs[-1] - previous == len(seqs):
        return ()
    before = [previous, *seqs[:-1]]
    return tuple((left + 1, right - 1) for left, right in zip(before, seqs, strict=True) if right != left + 1)
