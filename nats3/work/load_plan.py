"""What a load reads: frozen when it is planned, extended when it polls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from nats3.job.loading import LoadExtended, Loading, LoadPlanned, PlannedRange
from nats3.job.order import LoadOrder
from nats3.work.lineage import Lineage
from nats3.work.tools import Archived, PlanIndex


class Planner:
    """Plans one load order against the index."""

    def __init__(self, order: LoadOrder, index: PlanIndex) -> None:
        self._order = order
        self._index = index

    async def plan(self, state: Loading, generation: int, attempt: int) -> LoadPlanned:
        """Freeze what the index holds now; in the same generation only what is above what was loaded before."""
        position = await self._index.fresh()
        archived = await self._index.archived(self._order, 0, position)
        again = state.planned and state.generation == generation
        first_rank = _next_rank(state.ranges) if again else 0
        ranges = ranked(archived, first_rank, await self._lineage(archived, state))
        return LoadPlanned(
            ranges=_above(ranges, _reached(state) if again else {}),
            position=position,
            chunks=sum(each.chunks for each in archived),
            messages=sum(each.messages for each in archived),
            generation=generation,
            attempt=attempt,
        )

    async def extension(self, state: Loading) -> LoadExtended | None:
        """What was archived since the plan, above what was planned; None when that is nothing."""
        position = await self._index.fresh()
        archived = await self._index.archived(self._order, state.position, position)
        planned = {(each.job_id, each.life): each.last for each in state.ranges}
        fresh = [each for each in archived if each.last > planned.get((each.job_id, each.life), 0)]
        if not fresh:
            return None
        ranges = ranked(fresh, _next_rank(state.ranges), await self._lineage(fresh, state))
        return LoadExtended(
            ranges=_above(ranges, planned),
            position=position,
            chunks=sum(each.chunks for each in fresh),
            messages=sum(each.messages for each in fresh),
        )

    async def _lineage(self, archived: Sequence[Archived], state: Loading) -> Lineage:
        """One job alone has lives of its own, in their order."""
        jobs = {each.job_id for each in (*archived, *state.ranges)}
        return Lineage(await self._index.lives(jobs)) if len(jobs) > 1 else Lineage()


def ranked(archived: Sequence[Archived], first_rank: int, lineage: Lineage) -> tuple[PlannedRange, ...]:
    """Ranges in the order in which they are published; the n-th life that several jobs saw of one stream shares a rank.

    `archived` comes by (created, ordinal, job): a life is older when its stream was made earlier, or, in one stream,
    when it was opened earlier.
    """
    ranges: list[PlannedRange] = []
    rank = first_rank
    for same in _by_stream(archived, lineage):
        for generation in _nth_lives(same):
            ranges += [
                PlannedRange(rank, e.job_id, e.life, e.created, e.first, e.last, e.first_time, e.last_time)
                for e in generation
            ]
            rank += 1
    return tuple(ranges)


def _by_stream(archived: Sequence[Archived], lineage: Lineage) -> Iterator[list[Archived]]:
    """The oldest stream first."""

    def stream(each: Archived) -> int:
        return lineage.stream(each.created)

    for _, same in groupby(sorted(archived, key=stream), key=stream):
        yield list(same)


def _nth_lives(archived: list[Archived]) -> list[list[Archived]]:
    """For n = 1, 2, ...: each job's n-th life of this stream."""
    by_job: dict[str, list[Archived]] = {}
    for each in sorted(archived, key=lambda each: (each.ordinal, each.job_id)):
        by_job.setdefault(each.job_id, []).append(each)
    most = max(map(len, by_job.values()))
    return [[lives[n] for lives in by_job.values() if n < len(lives)] for n in range(most)]


def _next_rank(ranges: Sequence[PlannedRange]) -> int:
    return max((each.rank for each in ranges), default=-1) + 1


def _reached(state: Loading) -> dict[tuple[str, str], int]:
    """How far each life of each job was loaded."""
    reached: dict[tuple[str, str], int] = {}
    for each in state.ranges:
        if each.rank <= state.rank:
            upto = each.last if each.rank < state.rank else min(each.last, state.seq)
            reached[each.job_id, each.life] = max(upto, reached.get((each.job_id, each.life), 0))
    return reached


def _above(ranges: Sequence[PlannedRange], planned: dict[tuple[str, str], int]) -> tuple[PlannedRange, ...]:
    """The parts of the ranges that are above what is given of their life."""
    parts = (replace(each, first=max(each.first, planned.get((each.job_id, each.life), 0) + 1)) for each in ranges)
    return tuple(part for part in parts if part.first <= part.last)
