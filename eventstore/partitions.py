"""The log's partitions and the index of its segments, in Postgres."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import LiteralString

from psycopg.errors import LockNotAvailable

from eventstore.connection import SETTINGS, Link, Links
from eventstore.connection import Row as Row_
from eventstore.event import Position, Recorded
from eventstore.retention import Hold, Partition
from eventstore.segment import Row
from eventstore.segments import Kept, Span

SELECTED: LiteralString = (
    "SELECT position, entity_id, version, fence, type, schema_version, event_id, recorded_at, node, actor,"
    " correlation_id, causation_position, data"
)
_KEPT: LiteralString = (
    "SELECT s.from_position, s.to_position, s.partition, s.name, s.sha256, s.size, s.events, s.types,"
    " s.first_recorded_at, s.last_recorded_at"
)
_RELEVANT: LiteralString = (
    ", %s::text IS NULL OR EXISTS (SELECT FROM es.segment_entity e"
    " WHERE e.entity_id = %s AND e.from_position = s.from_position)"
)
_OVER: LiteralString = " FROM es.segment s WHERE s.to_position > %s AND s.from_position <= %s ORDER BY s.from_position "
_OVERLAPPING: LiteralString = _KEPT + _RELEVANT + _OVER
_ROWS: LiteralString = (
    SELECTED + ", hash FROM es.event WHERE position >= %s AND position < %s ORDER BY position LIMIT %s"
)
LOOK: LiteralString = (
    "SELECT p.name, p.from_position, p.to_position,"
    " coalesce((SELECT max(s.to_position) FROM es.segment s WHERE s.partition = p.name), p.from_position),"
    " p.dropped_at IS NOT NULL,"
    " CASE WHEN h.reached >= p.to_position THEN clock_timestamp() - (SELECT e.recorded_at FROM es.event e"
    " WHERE e.position >= p.to_position ORDER BY e.position LIMIT 1) END,"
    " greatest(h.reached - p.to_position + 1, 0),"
    " coalesce((SELECT n.version FROM es.entity n WHERE n.entity_id = 'partition/' || p.name), 0)"
    " FROM es.partition p, (SELECT coalesce(max(position), 0) AS reached FROM es.event) h ORDER BY p.from_position"
)
_KEEP: LiteralString = (
    "SELECT es.keep_segment(%s, %s, %s, %s, %s, %s, %s, %s::text[], %s, %s, %s::text[], %s::bigint[], %s::bigint[])"
)
_PATIENT = {**SETTINGS, "statement_timeout": "60s"}


class SegmentIndex:
    """Which segments there are, as es.segment says. Raises LogUnavailable."""

    def __init__(self, link: Link | Links) -> None:
        self._link = link

    async def floor(self) -> Position:
        rows = await self._link.fetch("SELECT floor FROM es.log")
        return Position(rows[0][0])

    async def overlapping(
        self, low: int, high: int, limit: int, entity_id: str | None = None, *, newest_first: bool = False
    ) -> list[tuple[Kept, bool]]:
        query = _OVERLAPPING + ("DESC LIMIT %s" if newest_first else "ASC LIMIT %s")
        rows = await self._link.fetch(query, (entity_id, entity_id, low + 1, high, limit))
        return [(_kept(row[:-1]), row[-1]) for row in rows]

    async def holding(self, entity_id: str, after: int, limit: int) -> list[Kept]:
        rows = await self._link.fetch(
            _KEPT + " FROM es.segment_entity e JOIN es.segment s USING (from_position) JOIN es.log l ON"
            " s.from_position < l.floor WHERE e.entity_id = %s AND e.last_version > %s ORDER BY e.first_version LIMIT %s",
            (entity_id, after, limit),
        )
        return [_kept(row) for row in rows]

    async def at(self, time: datetime) -> Kept | None:
        rows = await self._link.fetch(
            _KEPT + " FROM es.segment s JOIN es.log l ON s.from_position < l.floor"
            " WHERE s.first_recorded_at <= %s ORDER BY s.from_position DESC LIMIT 1",
            (time,),
        )
        return _kept(rows[0]) if rows else None

    async def all(self, after: Position, limit: int) -> list[tuple[Kept, datetime | None]]:
        """Segments that begin behind a position, rising; beside each, when its rows were dropped."""
        rows = await self._link.fetch(
            _KEPT + ", p.dropped_at FROM es.segment s JOIN es.partition p ON p.name = s.partition"
            " WHERE s.from_position > %s ORDER BY s.from_position LIMIT %s",
            (after, limit),
        )
        return [(_kept(row[:-1]), row[-1]) for row in rows]

    async def held(self, partition: str) -> list[Hold]:
        """What speaks against dropping a partition now."""
        rows = await self._link.fetch("SELECT kind, name, position FROM es.held(%s)", (partition,))
        return [Hold(*row) for row in rows]


class PostgresPartitions:
    """Partitions, for those who move them out of the database. Every method is one attempt."""

    def __init__(self, url: str) -> None:
        self._link = Link(url, "eventstore retention", _PATIENT, deadline=90.0)
        self._turn = Link(url, "eventstore retention turn", deadline=None)

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[bool]:
        """A lock of the session: it ends with whoever holds it."""
        async with self._turn.lend() as connection:
            cursor = await connection.execute("SELECT pg_try_advisory_lock(7405, 4)")
            row = await cursor.fetchone()
            try:
                yield bool(row and row[0])
            finally:
                await connection.execute("SELECT pg_advisory_unlock_all()")

    async def look(self) -> list[Partition]:
        return [Partition(*row) for row in await self._link.fetch(LOOK)]

    async def rows(self, low: int, high: int, limit: int) -> list[Row]:
        async with self._link.lend() as connection:
            cursor = await connection.execute(_ROWS, (low, high, limit))
            return [Row(Recorded._make(row[:-1]), row[-1]) for row in await cursor.fetchall()]

    async def keep(self, kept: Kept, spans: Sequence[Span]) -> bool:
        head = (kept.from_position, kept.to_position, kept.partition, kept.name, kept.sha256, kept.size, kept.events)
        tail = (list(kept.types), kept.first_recorded_at, kept.last_recorded_at)
        columns = [[getattr(span, name) for span in spans] for name in ("entity_id", "first_version", "last_version")]
        rows = await self._link.call(_KEEP, (*head, *tail, *columns))
        return bool(rows[0][0])

    async def drop(self, name: str) -> list[Hold]:
        async with self._link.lend() as connection:
            try:
                cursor = await connection.execute("SELECT kind, name, position FROM es.drop_partition(%s)", (name,))
            except LockNotAvailable:
                return [Hold("reader", "a long read of the log", 0)]
            return [Hold(*row) for row in await cursor.fetchall()]

    async def close(self) -> None:
        """Close the connections."""
        for link in (self._link, self._turn):
            await link.drop()


def _kept(row: Row_) -> Kept:
    low, high, partition, name, digest, size, events, types, first, last = row
    return Kept(low, high, partition, name, digest, size, events, tuple(types), first, last)
