"""Which of a bucket's objects were a job's history: the rules by which an index is made from chunks alone. Pure.

The link decides (a chunk names the hash of the one before it), then who wrote last: a later activation writes on top of
all that was recorded before it, so of two that cannot both be history the one that later writers built on is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from nats3.job.storing import Candidate, GapObserved, LifeOpened, Storing, StoringEvent
from nats3.life import Opening

WINDOW = 256
"""So many candidates in the order of their keys are weighed against each other: far more than one bind leaves behind."""


@dataclass(frozen=True, slots=True)
class Found:
    """A chunk in the bucket. `activation` and `bind` of `candidate` are those of its key: who stored it, not who wrote it."""

    candidate: Candidate
    first: int
    sha256: str

    @property
    def key(self) -> str:
        return self.candidate.key

    @property
    def rank(self) -> tuple[int, int]:
        return self.candidate.activation, self.candidate.bind


def life_of(found: Iterable[Found]) -> Opening | None:
    """The life that these objects of one folder belong to: that of the one written last."""
    last = max(found, key=lambda each: each.rank, default=None)
    return None if last is None else last.candidate.opening


def opens(state: Storing, opening: Opening) -> bool:
    """Whether the life comes after all that the history has."""
    known = any(each.uuid == opening.uuid for each in state.lives)
    return not known and (state.life is None or opening.ordinal > state.life.ordinal)


def continues(state: Storing, opening: Opening) -> bool:
    return state.life is not None and state.life.uuid == opening.uuid


def next_found(state: Storing, window: Sequence[Found]) -> Found | None:
    """The next chunk of the history: one that links to its end, else the first one behind a hole; None when all is settled."""
    ahead = [each for each in window if _is_ahead(state, each)]
    linked = [each for each in ahead if each.candidate.previous_sha256 == state.tip]
    if len(linked) == 1:
        return linked[0]
    chains = {each.key: _chain(each, ahead) for each in ahead}
    if linked:
        return _history(linked, ahead, chains)
    return min(_without_superseded(ahead, chains), key=lambda each: each.candidate.previous_seq, default=None)


def _is_ahead(state: Storing, found: Found) -> bool:
    candidate = found.candidate
    of_this_life = state.life is not None and candidate.opening.uuid == state.life.uuid
    return of_this_life and candidate.previous_seq >= state.cursor


@dataclass(frozen=True, slots=True)
class _Chain:
    """What follows an object by links: who wrote last, and how far it reaches."""

    rank: tuple[int, int]
    last: int


def _chain(start: Found, ahead: Sequence[Found]) -> _Chain:
    rank, last = start.rank, start.candidate.last
    links = {start.sha256}
    for each in sorted(ahead, key=lambda each: each.candidate.previous_seq):
        if each.candidate.previous_sha256 in links:
            links.add(each.sha256)
            rank, last = max(rank, each.rank), max(last, each.candidate.last)
    return _Chain(rank, last)


def _history(linked: Sequence[Found], ahead: Sequence[Found], chains: Mapping[str, _Chain]) -> Found:
    """Of several that link to one end: the one that was built on.

    Where nothing was, one that is only later may be a second copy, stored before its activation learned that an append
    in doubt was written: then the one that reaches farthest has what the others have.
    """
    top = max(linked, key=lambda each: (chains[each.key].rank, chains[each.key].last))
    rank = chains[top.key].rank
    if rank != top.rank:
        return top
    later = [each.candidate for each in ahead if each.rank > rank]
    in_doubt = [
        each
        for each in linked
        if each.rank[0] == rank[0] and not any(other.previous_seq < chains[each.key].last for other in later)
    ]
    return max(in_doubt or [top], key=lambda each: (chains[each.key].last, each.rank))


def _without_superseded(ahead: Sequence[Found], chains: Mapping[str, _Chain]) -> list[Found]:
    """Of those that overlap the ones that were built on, or written, last."""
    kept: list[Found] = []
    for each in sorted(ahead, key=lambda each: (chains[each.key].rank, each.rank), reverse=True):
        if not any(_overlap(each, other) for other in kept):
            kept.append(each)
    return kept


def _overlap(one: Found, other: Found) -> bool:
    a, b = one.candidate, other.candidate
    return a.previous_seq < b.last and b.previous_seq < a.last


def before_chunk(state: Storing, found: Found) -> list[StoringEvent]:
    """What is recorded before a chunk: what the bucket does not have between the history's end and it."""
    candidate = found.candidate
    if candidate.previous_seq <= state.cursor:
        return []
    return [GapObserved(candidate.opening.uuid, state.cursor + 1, candidate.previous_seq, "unknown")]


def is_hole(state: Storing, found: Found) -> bool:
    """Whether the chunk follows one that is not in the bucket any more (deleted by order, or lost)."""
    return found.candidate.previous_sha256 != state.tip


def opening_of(opening: Opening) -> LifeOpened:
    return LifeOpened(opening, "adopted")


def is_settled(state: Storing, found: Found) -> bool:
    """Whether the history needs nothing of this object any more: all its seqs lie at or below the cursor, or in another life."""
    return state.life is None or found.candidate.opening.uuid != state.life.uuid or not _is_ahead(state, found)
