"""Which messages of a load stand in the target in another order than in the plan. Pure.

A leader that goes takes with it what it had not replicated, also where what was sent behind that is stored: sent once more,
it then comes to stand behind it. What was stored too early is displaced.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from nats3.jetstream.pub_acks import Displaced
from nats3.job.loading import DisplacedRange, MessagesDisplaced
from nats3.work.present import Known

LISTED = 100
"""So many ranges an event lists; it counts all."""


@dataclass(frozen=True, slots=True)
class Run:
    """Messages of the plan that a load found in the target, one after the other; `before` others it sent before them."""

    rank: int
    before: int
    known: Sequence[Known]

    @property
    def last(self) -> int:
        """Seq of the last."""
        return self.known[-1].seq


def runs_of(rank: int, known: Sequence[Known], seqs: Sequence[int], start: int) -> list[Run]:
    """What is known between messages with these `seqs`, of which the first has the index `start`."""
    found = groupby(known, key=lambda each: bisect_left(seqs, each.seq))
    return [Run(rank, start + before, list(run)) for before, run in found]


def out_of_order(runs: Iterable[Run], behind: int, beyond: int) -> tuple[DisplacedRange, ...]:
    """Those that stand in the target before one that the plan has before them.

    What precedes them all stands up to seq `behind`. Of what was sent, `beyond` is the index of the first that came to stand
    behind all that was there, so what is known after it is displaced.
    """
    found: list[DisplacedRange] = []
    for run in runs:
        out: list[int] = []
        for each in run.known:
            if each.target_seq and (run.before > beyond or each.target_seq < behind):
                out.append(each.seq)
            behind = max(behind, each.target_seq)
        if out:
            found.append(DisplacedRange(run.rank, out[0], out[-1], len(out)))
    return tuple(found)


def within(displaced: Iterable[Displaced], first: int, last: int) -> Iterator[Displaced]:
    """What of these ranges lies in first <= index <= last."""
    for each in displaced:
        if each.first <= last and each.last >= first:
            yield Displaced(max(each.first, first), min(each.last, last))


def told(ranges: Sequence[DisplacedRange], count: int, farthest: int) -> list[MessagesDisplaced]:
    """What there is to say of so many displaced messages, which lie in these ranges as far as they are known."""
    return [MessagesDisplaced(tuple(ranges[:LISTED]), count, farthest)] if count else []
