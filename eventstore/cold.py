"""Reading what was moved out of the database: segments, checked each time, as if they were still rows."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from datetime import datetime
from hashlib import sha256
from typing import ParamSpec, TypeAlias, TypeVar

from eventstore.errors import SegmentAltered, SegmentMissing
from eventstore.event import Position, Recorded
from eventstore.segment import Row, decode
from eventstore.segments import Index, Kept, Segments

P = ParamSpec("P")
T = TypeVar("T")

DECODED = 4
"""Segments that stay decoded: who reads on does not fetch them anew for every page."""

FEW = 50
"""Events that are encoded or decoded at once: a thread would take longer."""

_LOOK = 50
"""Segments that are looked up at a time."""

Fits: TypeAlias = Callable[[Recorded], bool]


class Cold:
    """Events that are in segments alone. Raises SegmentMissing and SegmentAltered, and never leaves one out."""

    def __init__(self, index: Index, segments: Segments | None) -> None:
        self._index = index
        self._segments = segments
        self._decoded: OrderedDict[str, list[Row]] = OrderedDict()

    async def after(self, after: int, floor: int, limit: int, types: Collection[str] | None = None) -> list[Recorded]:
        """The first `limit` events with `after` < position < `floor`, rising, of these types (None: of all)."""
        wanted = None if types is None else frozenset(types)
        found: list[Recorded] = []
        while after + 1 < floor and len(found) < limit:
            for kept, _ in await self._tiled(after, floor - 1):
                if wanted is None or not wanted.isdisjoint(kept.types):
                    events = [row.event for row in await self.rows(kept) if row.event.position > after]
                    found += [event for event in events if wanted is None or event.type in wanted]
                after = kept.to_position - 1
                if len(found) >= limit:
                    break
        return found[:limit]

    async def entity(self, entity_id: str, after: int, limit: int) -> list[Recorded]:
        """The first `limit` events of an entity with version > `after` below the floor, in order, without a hole."""
        found: list[Recorded] = []
        reached = after
        while len(found) < limit and (holding := await self._index.holding(entity_id, reached, _LOOK)):
            for kept in holding:
                mine = [row.event for row in await self.rows(kept) if row.event.entity_id == entity_id]
                more = [event for event in mine if event.version > reached]
                if not more or more[0].version != reached + 1:
                    raise SegmentAltered(kept.name, f"version {reached + 1} of {entity_id} is not where it was")
                found += more
                reached = more[-1].version
        return found[:limit]

    async def between(
        self, low: int, high: int, limit: int, fits: Fits, *, entity_id: str | None = None, newest_first: bool = False
    ) -> list[Recorded]:
        """The first `limit` events with low < position <= high that fit, rising or falling; `high` is below the floor."""
        found: list[Recorded] = []
        while low < high and len(found) < limit:
            for kept, relevant in await self._tiled(low, high, entity_id, newest_first=newest_first):
                events = [row.event for row in await self.rows(kept)] if relevant else []
                fitting = [event for event in events if low < event.position <= high and fits(event)]
                found += reversed(fitting) if newest_first else fitting
                if newest_first:
                    high = kept.from_position - 1
                else:
                    low = kept.to_position - 1
                if len(found) >= limit:
                    break
        return found[:limit]

    async def last_at(self, time: datetime) -> Position:
        """The last position below the floor recorded at or before a time, 0 before the first."""
        kept = await self._index.at(time)
        if kept is None:
            return Position(0)
        rows = await self.rows(kept)
        place = bisect_right(rows, time, key=lambda row: row.event.recorded_at)
        return rows[place - 1].event.position

    async def pages(self, after: int, floor: int) -> AsyncGenerator[Sequence[Row]]:
        """All rows with `after` < position < `floor`, segment by segment."""
        while after + 1 < floor:
            for kept, _ in await self._tiled(after, floor - 1):
                rows = [row for row in await self.rows(kept) if row.event.position > after]
                after = kept.to_position - 1
                if rows:
                    yield rows

    async def rows(self, kept: Kept) -> list[Row]:
        """What a segment holds, proven to be what was written."""
        if kept.name in self._decoded:
            self._decoded.move_to_end(kept.name)
            return self._decoded[kept.name]
        rows = await self.fetched(kept)
        self._decoded[kept.name] = rows
        while len(self._decoded) > DECODED:
            self._decoded.popitem(last=False)
        return rows

    async def fetched(self, kept: Kept) -> list[Row]:
        """The same, out of the place where it is kept."""
        if self._segments is None:
            raise SegmentMissing(kept.name, "no place is configured where segments are kept")
        body = await self._segments.get(kept.name)
        return await aside(kept.events, proven, kept, body)

    async def _tiled(
        self, low: int, high: int, entity_id: str | None = None, *, newest_first: bool = False
    ) -> list[tuple[Kept, bool]]:
        """Segments over (low, high] in order, each where the one before ends; at least one."""
        found = await self._index.overlapping(low, high, _LOOK, entity_id, newest_first=newest_first)
        edge = high + 1 if newest_first else low + 1
        for kept, _ in found:
            if not kept.from_position <= (edge - 1 if newest_first else edge) < kept.to_position:
                break
            edge = kept.from_position if newest_first else kept.to_position
        else:
            if found:
                return found
        raise SegmentMissing(f"of position {edge - 1 if newest_first else edge}", "the log does not remember one")


async def aside(events: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of `work` over so many events: in a thread, where that is worth one."""
    return work(*args, **kwargs) if events < FEW else await asyncio.to_thread(work, *args, **kwargs)


def proven(kept: Kept, body: bytes) -> list[Row]:
    """The rows of a segment. Raises SegmentAltered unless these bytes are those that the log remembers."""
    if sha256(body).hexdigest() != kept.sha256:
        raise SegmentAltered(kept.name, "its bytes are not those that were written")
    header, rows = decode(kept.name, body)
    if (header.from_position, header.to_position, header.events) != (kept.from_position, kept.to_position, kept.events):
        raise SegmentAltered(kept.name, "it is of another range")
    return rows
