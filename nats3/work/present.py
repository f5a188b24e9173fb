"""What the target of a load has of it behind the recorded progress: what is there is not published again."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from nats3.errors import Blocked


@dataclass(frozen=True, slots=True)
class Known:
    """A message of the plan that is in the target already: its seq in the archive, and in the target; 0 there where it has been
    replaced, and nobody can say where it stood.
    """

    seq: int
    target_seq: int


@dataclass(frozen=True, slots=True)
class Present:
    """Messages of the load that the target holds. They need be no prefix of what is left: a refusal leaves holes.

    `seqs` are their seqs in the target by (life, seq). Where it keeps only the last `per_subject` messages of a subject (see `kept_per_subject`), else 0,
    `places` are (rank, seq) of those by subject, in order.
    """

    seqs: Mapping[tuple[str, int], int] = field(default_factory=dict[tuple[str, int], int])
    per_subject: int = 0
    places: Mapping[bytes, Sequence[tuple[int, int]]] = field(default_factory=dict[bytes, list[tuple[int, int]]])

    def known(self, rank: int, lives: Sequence[str], seqs: Sequence[int], subjects: Subjects) -> list[Known | None]:
        """For each of these messages of one rank where it is; None for one that is to be published."""
        found = [self._found(life, seq) for life, seq in zip(lives, seqs, strict=True)]
        if not self.per_subject or None not in found:
            return found
        return [
            self._replaced(subject, rank, seq) if each is None else each
            for each, subject, seq in zip(found, subjects(), seqs, strict=True)
        ]

    def _found(self, life: str, seq: int) -> Known | None:
        target_seq = self.seqs.get((life, seq))
        return None if target_seq is None else Known(seq, target_seq)

    def _replaced(self, subject: bytes | None, rank: int, seq: int) -> Known | None:
        """So many later ones of its subject are there that it would be gone, had it been stored in its turn.

        Published now it would replace one of them.
        """
        places = self.places.get(subject or b"", ())
        later = len(places) - bisect_right(places, (rank, seq))
        return Known(seq, 0) if later >= self.per_subject else None


NOTHING_PRESENT = Present()

Subjects: TypeAlias = Callable[[], Sequence[bytes | None]]
"""Where the messages are to be published, None for one that may not be."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The next `count` messages of the plan are in the target, or were: one behind the other, the first at seq `first`.

    `ids` are "life:seq" of those that are still there, by their seq in the target.
    """

    stream: str
    first: int
    count: int
    ids: Mapping[int, bytes]

    def known(self, lives: Sequence[str], seqs: Sequence[int], before: int) -> list[Known]:
        """Those of these messages, which come behind `before` others. Raises Blocked where another stands in a place of theirs."""
        found: list[Known] = []
        for place, life, seq in zip(range(self.first + before, self.first + self.count), lives, seqs, strict=False):
            mine = b"%b:%d" % (life.encode(), seq)
            if self.ids.get(place, mine) != mine:
                raise shared(self.stream, place)
            found.append(Known(seq, place))
        return found


NOTHING_TAKEN = Taken("", 0, 0, {})


def shared(stream: str, place: int) -> Blocked:
    """Somebody else writes into the target of an exclusive load, and some of what came in between is gone."""
    reason = f"the message at {place} of the target stream {stream} is not the one that mode exclusive put there"
    remedy = "let nobody else write there and retry the job with restart, or order it with another mode"
    return Blocked("target_shared", f"{reason}, and what stood around it is consumed: {remedy}")
