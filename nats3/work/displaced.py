"""Which messages of a load stand in the target in another order than in the plan. Pure.

A leader that goes takes with it what it had not replicated, also where what was sent behind that is stored: sent once more,
it then comes to stand behind it. What was stored too early is displaced.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from nats3.jetstream.pub_acks import Displaced
from nats3.job.loading import DisplacedRange, MessagesDisplaced
from nats3.work.pieces import Known

LISTED = 100
"""So many ranges an event lists; it counts all."""


class KnownOrder:
    """Follows the messages that a load finds in the target, in the order of the plan; those before stand up to `behind`."""

    def __init__(self, behind: int) -> None:
        self._farthest = behind

    def displaced(self, rank: int, known: Sequence[Known], seqs: Sequence[int], sent: int) -> Sequence[DisplacedRange]:
        """Those that stand before one that the plan has before them.

        They lie between messages with these `seqs`, which are sent now as others were that come before, `sent` of them: all
        that is sent comes to stand behind all that is known.
        """
        found: list[DisplacedRange] = []
        for before, run in groupby(known, key=lambda each: bisect_left(seqs, each.seq)):
            out = [each.seq for each in run if self._passes(each) or sent + before]
            if out:
                found.append(DisplacedRange(rank, out[0], out[-1], len(out)))
        return found

    def _passes(self, known: Known) -> bool:
        """Whether it stands before the farthest of those before it."""
        passes = known.target_seq < self._farthest
        self._farthest = max(self._farthest, known.target_seq)
        return passes


def within(displaced: Iterable[Displaced], first: int, last: int) -> Iterator[Displaced]:
    """What of these ranges lies in first <= index <= last."""
    for each in displaced:
        if each.first <= last and each.last >= first:
            yield Displaced(max(each.first, first), min(each.last, last))


def told(ranges: Sequence[DisplacedRange], count: int, farthest: int) -> list[MessagesDisplaced]:
    """What there is to say of so many displaced messages, which lie in these ranges as far as they are known."""
    return [MessagesDisplaced(tuple(ranges[:LISTED]), count, farthest)] if count else []
