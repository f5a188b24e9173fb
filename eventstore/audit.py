"""Questions to the log itself: pages in both directions, each bounded in what it scans."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString, TypeAlias
from uuid import UUID

from psycopg.sql import SQL, Composed

from eventstore.cold import Cold
from eventstore.connection import Links
from eventstore.errors import SegmentMissing
from eventstore.event import Position, Recorded, Version
from eventstore.partitions import SegmentIndex
from eventstore.segments import Segments

WINDOW = 100_000
"""Positions that one page may scan."""

READERS = 3
"""Pages that are read at the same time."""


@dataclass(frozen=True, slots=True)
class Question:
    """Which events are asked for: all that fit everything that is not None. `since` <= recorded_at < `until`."""

    entity_id: str | None = None
    category: str | None = None
    types: frozenset[str] | None = None
    node: UUID | None = None
    actor: str | None = None
    correlation_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None

    def fits(self, event: Recorded) -> bool:
        """Whether an event is asked for: for those who follow the log."""
        return all(
            wanted is None or test(event, wanted)
            for wanted, test in zip(self._wanted(), (rule.fits for rule in _RULES), strict=True)
        )

    def where(self) -> tuple[list[SQL], list[Any]]:
        """The same as conditions in SQL, behind those on the position, and their values."""
        pairs = [(rule.sql, wanted) for wanted, rule in zip(self._wanted(), _RULES, strict=True) if wanted is not None]
        values = [sorted(wanted) if isinstance(wanted, frozenset) else wanted for _, wanted in pairs]
        return [sql for sql, _ in pairs], values

    def _wanted(self) -> list[Any]:
        return [getattr(self, rule.name) for rule in _RULES]


@dataclass(frozen=True, slots=True)
class _Rule:
    name: str
    sql: SQL
    fits: Callable[[Recorded, Any], bool]


_RULES = (
    _Rule("entity_id", SQL("entity_id = %s"), lambda event, wanted: event.entity_id == wanted),
    _Rule(
        "category", SQL("split_part(entity_id, '/', 1) = %s"), lambda event, w: event.entity_id.partition("/")[0] == w
    ),
    _Rule("types", SQL("type = ANY (%s::text[])"), lambda event, wanted: event.type in wanted),
    _Rule("node", SQL("node = %s"), lambda event, wanted: event.node == wanted),
    _Rule("actor", SQL("actor = %s"), lambda event, wanted: event.actor == wanted),
    _Rule("correlation_id", SQL("correlation_id = %s"), lambda event, wanted: event.correlation_id == wanted),
    _Rule("since", SQL("recorded_at >= %s"), lambda event, wanted: event.recorded_at >= wanted),
    _Rule("until", SQL("recorded_at < %s"), lambda event, wanted: event.recorded_at < wanted),
)


@dataclass(frozen=True, slots=True)
class Page:
    """Events in the direction asked for. `then` is the cursor of the next page, None: there is nothing more now.

    A page may be empty and still have a next one: what one page scans is bounded. `reached` is how far it looked.
    """

    events: tuple[Recorded, ...]
    then: Position | None
    reached: Position


@dataclass(frozen=True, slots=True)
class _Span:
    """Positions above `low` up to `high`, of which, counted from the end, at most `window`; `high` may be beyond the head."""

    low: int
    high: int
    window: int


AsOf: TypeAlias = Position | datetime
"""A position, inclusive, or a time."""

START = Position(0)
UNBORN = Version(0)
_TICK = timedelta(microseconds=1)
_NO_END = (1 << 63) - 1
_ALL = 1 << 62
"""A window that holds the whole log."""
# One statement, and so one snapshot: what it says of the floor and the head is true of the events beside it.
_ABOVE_FLOOR = SQL(
    "SELECT l.floor, h.head, e.* FROM es.log l, (SELECT coalesce((SELECT position FROM es.event"
    " ORDER BY position DESC LIMIT 1), 0) AS head) h LEFT JOIN LATERAL ("
)
_BOUNDS = SQL("position > greatest(least(h.head, %s) - %s, %s) AND position <= %s")
_COLUMNS = SQL(
    "SELECT position, entity_id, version, fence, type, schema_version, event_id, recorded_at, node, actor,"
    " correlation_id, causation_position, data FROM es.event WHERE "
)


class Audit:
    """Reads the log for people, what was moved into `segments` included.

    Raises LogUnavailable when Postgres is away, SegmentMissing and SegmentAltered for a past that cannot be read.
    """

    def __init__(self, url: str, window: int = WINDOW, *, segments: Segments | None = None) -> None:
        self._link = Links(url, "eventstore audit", READERS)
        self._cold = Cold(SegmentIndex(self._link), segments)
        self._window = window

    async def oldest_first(self, question: Question, after: Position = START, limit: int = 100) -> Page:
        """Events with position > `after`, rising. Follow on from `reached` when `then` is None."""
        low = max(after, await self._position_before(question.since))
        end = await self._position_until(question.until)
        head, events = await self._between(question, _Span(low, min(low + self._window, end), _ALL), limit, "ASC")
        end = min(head, end)
        high = min(low + self._window, end)
        if low >= high:
            return Page((), None, Position(low))
        reached = events[-1].position if len(events) == limit else Position(high)
        return Page(tuple(events), reached if reached < end else None, reached)

    async def newest_first(self, question: Question, before: Position | None = None, limit: int = 100) -> Page:
        """Events with position < `before` (None: from the end), falling."""
        end = await self._position_until(question.until)
        high = end if before is None else min(before - 1, end)
        begin = await self._position_before(question.since)
        head, events = await self._between(question, _Span(begin, high, self._window), limit, "DESC")
        high = min(high, head)
        low = max(high - self._window, begin)
        if low >= high:
            return Page((), None, Position(begin + 1))
        reached = events[-1].position if len(events) == limit else Position(low + 1)
        return Page(tuple(events), reached if reached > begin + 1 else None, reached)

    async def event(self, position: Position) -> Recorded | None:
        """The event at a position, None where there is a hole or nothing yet."""
        floor, _, found = await self._fetch(_COLUMNS + SQL("position = %s"), [position])
        if 0 < position < floor:
            found = await self._cold.between(position - 1, position, 1, _any)
        return found[0] if found else None

    async def entity(
        self, entity_id: str, as_of: AsOf | None = None, after: Version = UNBORN, limit: int = 1000
    ) -> list[Recorded]:
        """The events of an entity after a version, as of a position (inclusive) or a time: what to fold to see it then."""
        last = await self._last_of(as_of)
        query = SQL("entity_id = %s AND version > %s AND position <= %s ORDER BY version LIMIT %s")
        floor, _, found = await self._fetch(_COLUMNS + query, [entity_id, after, last, limit])
        if floor == 1 or (found and found[0].version == after + 1):
            return found
        moved = [event for event in await self._cold.entity(entity_id, after, limit) if event.position < floor]
        known = [event for event in (*moved, *found) if event.position <= last]
        if known and known[0].version != after + 1:
            raise SegmentMissing(f"of {entity_id} at version {after + 1}", "the log does not remember one")
        return known[:limit]

    async def position_at(self, time: datetime) -> Position:
        """The last position recorded at or before a time, 0 before the first: time never falls with position."""
        while True:
            floor = await self._floor()
            found = await self._position_at(time, floor)
            if await self._floor() == floor:
                return found

    async def close(self) -> None:
        """Close the connection."""
        await self._link.drop()

    async def _between(
        self, question: Question, span: _Span, limit: int, order: LiteralString
    ) -> tuple[int, list[Recorded]]:
        """The head of the log, and events of the span that fit; an entity's own index is in the same order."""
        conditions, values = question.where()
        by = SQL("position " if question.entity_id is None else "version ")
        where = SQL(" AND ").join([_BOUNDS, *conditions])
        query = _COLUMNS + where + SQL(" ORDER BY ") + by + SQL(order) + SQL(" LIMIT %s")
        floor, head, found = await self._fetch(query, [span.high, span.window, span.low, span.high, *values, limit])
        high = min(span.high, head)
        low = max(high - span.window, span.low)
        if low + 1 >= floor or low >= high or (order == "DESC" and len(found) == limit):
            return head, found
        newest_first, entity_id = order == "DESC", question.entity_id
        moved = await self._cold.between(
            low, min(high, floor - 1), limit, question.fits, entity_id=entity_id, newest_first=newest_first
        )
        return head, ([*found, *moved] if newest_first else [*moved, *found])[:limit]

    async def _fetch(self, query: Composed, values: list[Any]) -> tuple[int, int, list[Recorded]]:
        """The floor and the head of the log, and the events that stand above the floor."""
        rows = await self._link.fetch(_ABOVE_FLOOR + query + SQL(") e ON true"), values)
        return rows[0][0], rows[0][1], [Recorded._make(row[2:]) for row in rows if row[2] is not None]

    async def _position_at(self, time: datetime, floor: int) -> Position:
        """`position_at`, while nothing is moved out of the database."""
        low, high = floor - 1, await self._head()
        while low < high:
            middle = (low + high) // 2 + 1
            found = await self._first_from(middle)
            if found is not None and found[1] <= time:
                low = found[0]
            else:
                high = middle - 1
        return Position(low) if low >= floor else await self._cold.last_at(time)

    async def _floor(self) -> int:
        rows = await self._link.fetch("SELECT floor FROM es.log")
        return rows[0][0]

    async def _first_from(self, position: int) -> tuple[int, datetime] | None:
        rows = await self._link.fetch(
            "SELECT position, recorded_at FROM es.event WHERE position >= %s ORDER BY position LIMIT 1", (position,)
        )
        return (rows[0][0], rows[0][1]) if rows else None

    async def _head(self) -> int:
        rows = await self._link.fetch("SELECT position FROM es.event ORDER BY position DESC LIMIT 1")
        return rows[0][0] if rows else 0

    async def _position_until(self, until: datetime | None) -> int:
        """The last position that is asked for; beyond the end of the log where `until` is None."""
        return _NO_END if until is None else await self.position_at(until)

    async def _position_before(self, since: datetime | None) -> int:
        """A position below all that were recorded at or after `since`."""
        if since is None:
            return 0
        return max(await self.position_at(since - _TICK), 0)

    async def _last_of(self, as_of: AsOf | None) -> int:
        if isinstance(as_of, datetime):
            return await self.position_at(as_of)
        return await self._head() if as_of is None else as_of


def _any(_event: Recorded) -> bool:
    return True
