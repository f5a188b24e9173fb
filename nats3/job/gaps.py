"""What a stream may have dropped of what a job wanted, before it was read. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PossibleGap:
    """Of the seqs first..last of this life those that are not archived may have been wanted: the stream dropped some of them
    before the job, whose filter takes less than the stream, came to them, and does not say what they were.
    """

    life: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Kept:
    """What a stream kept when it was looked at: its first seq, and how many behind it are deleted.

    `deleted` names those. It is None where they are too many to be asked for: then `unsure` is up to which seq some were
    deleted since the first look.
    """

    first: int
    num_deleted: int
    deleted: Sequence[int] | None
    unsure: int = 0


def kept_after(before: Kept, first: int, last: int, num_deleted: int, deleted: Sequence[int] | None) -> Kept:
    """What a look shows that follows the one of `before`; `last` is the stream's last seq."""
    # If none was added, so many are left when the first seq has moved over as many of them as it can.
    left = max(0, before.num_deleted - max(0, first - before.first))
    return Kept(first, num_deleted, deleted, last if num_deleted > left else before.unsure)


def possible_gap(life: str, cursor: int, last: int, now: Kept) -> PossibleGap | None:
    """What of cursor < seq <= last, a stretch in which not every seq was delivered, was dropped and may have been wanted."""
    dropped = [seq for seq in now.deleted or () if cursor < seq <= last]
    if now.first > cursor + 1:
        dropped += [cursor + 1, min(last, now.first - 1)]
    if now.deleted is None and now.unsure > cursor:
        dropped += [cursor + 1, min(last, now.unsure)]
    return PossibleGap(life, min(dropped), max(dropped)) if dropped else None


def unlooked_gap(
    life: str, previous_seq: int, last: int, count: int, gaps: Sequence[tuple[int, int]]
) -> PossibleGap | None:
    """Of a chunk that was stored and not recorded nobody has looked at what was dropped: all may have been that is neither
    in it nor one of its recorded gaps. It is adopted before the stream is looked at, so this is said whatever its retention is.
    """
    told = count + sum(upto - first + 1 for first, upto in gaps)
    return PossibleGap(life, previous_seq + 1, last) if told < last - previous_seq else None
