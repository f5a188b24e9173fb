"""Walking the hash chain: is history as it was written?"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from eventstore import chain
from eventstore.cold import Cold
from eventstore.connection import SETTINGS, Connection, Link
from eventstore.event import NewEvent, Position, Version
from eventstore.partitions import SegmentIndex
from eventstore.segment import Row
from eventstore.segments import Segments

PAGE = 5000

_SETTINGS = {**SETTINGS, "idle_in_transaction_session_timeout": "60s"}
"""It holds no lock that others wait for, and whoever is told may be slow to read."""


@dataclass(frozen=True, slots=True)
class Broken:
    """The first thing that does not fit: an event, or (with no position) the end of an entity."""

    entity_id: str
    version: Version
    position: Position | None
    fault: str


@dataclass(frozen=True, slots=True)
class Verified:
    """How many events were walked up to which position, and the first that does not fit, if any."""

    events: int
    position: Position
    broken: Broken | None


@dataclass(slots=True)
class _Walk:
    """What was seen of each entity: its version and hash."""

    ends: dict[str, tuple[int, bytes]]
    events: int = 0
    position: int = 0

    def told(self, broken: Broken | None) -> Verified:
        return Verified(self.events, Position(self.position), broken)

    def over(self, rows: Iterable[tuple[Any, ...]]) -> Broken | None:
        """Judge a page of events, up to the first that does not fit."""
        return next((broken for row in rows if (broken := self.step(row))), None)

    def step(self, row: tuple[Any, ...]) -> Broken | None:
        """Judge the next event of the log."""
        position, entity_id, version, type_, schema_version, event_id, data, hash_ = row
        before, link = self.ends.get(entity_id, (0, chain.START))
        if version != before + 1:
            return Broken(entity_id, version, position, f"version {before + 1} is missing before it")
        expected = chain.link(link, entity_id, version, NewEvent(type_, data, schema_version, event_id))
        if hash_ != expected:
            return Broken(entity_id, version, position, "it or an event before it was changed: its hash does not fit")
        self.ends[entity_id] = (version, hash_)
        self.events += 1
        self.position = position
        return None


async def verify(
    url: str, progress: Callable[[Position], None] | None = None, *, segments: Segments | None = None
) -> Verified:
    """The verdict of `walk`; `progress` hears how far it is."""
    seen = Verified(0, Position(0), None)
    async with aclosing(walk(url, segments=segments)) as steps:
        async for seen in steps:
            if progress is not None:
                progress(seen.position)
    return seen


async def walk(url: str, page: int = PAGE, *, segments: Segments | None = None) -> AsyncGenerator[Verified]:
    """Walk all events in the order of positions, on one snapshot, and compare with what the entities' rows say.

    Tells after each page of events how far it is; the last one is the verdict. It finds what was changed, removed from
    the middle or cut from the end of an entity; not an entity that was removed with its row, nor a history that was
    forged with all its hashes. What was moved into `segments` is walked too; one that cannot be read is raised as
    SegmentMissing or SegmentAltered. Raises LogUnavailable.
    """
    seen = _Walk({})
    link = Link(url, "eventstore verify segments")
    try:
        async with _snapshot(url) as connection:
            async with aclosing(_pages(connection, Cold(SegmentIndex(link), segments), page)) as pages:
                async for rows in pages:
                    broken = seen.over(rows)
                    yield seen.told(broken)
                    if broken:
                        return
            yield seen.told(await _compare_ends(connection, seen))
    finally:
        await link.drop()


@asynccontextmanager
async def _snapshot(url: str) -> AsyncGenerator[Connection]:
    link = Link(url, "eventstore verify", _SETTINGS, deadline=None)
    try:
        async with link.lend() as connection, connection.transaction():
            await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            # Before the snapshot is taken: then no partition can go that the snapshot still counts on.
            await connection.execute("LOCK TABLE es.event IN ACCESS SHARE MODE")
            yield connection
    finally:
        await link.drop()


async def _pages(connection: Connection, cold: Cold, limit: int) -> AsyncGenerator[list[tuple[Any, ...]]]:
    """All events in the order of positions, first those that are in segments."""
    cursor = await connection.execute("SELECT floor FROM es.log")
    floor: int = (await cursor.fetchone() or (1,))[0]
    async with aclosing(cold.pages(0, floor)) as segments:
        async for rows in segments:
            for begin in range(0, len(rows), limit):
                yield [_columns(row) for row in rows[begin : begin + limit]]
    after = floor - 1
    while page := await _page(connection, after, limit):
        yield page
        after = page[-1][0]


def _columns(row: Row) -> tuple[Any, ...]:
    event = row.event
    head = (event.position, event.entity_id, event.version, event.type, event.schema_version, event.event_id)
    return (*head, event.data, row.hash)


async def _page(connection: Connection, after: int, limit: int) -> list[tuple[Any, ...]]:
    cursor = await connection.execute(
        "SELECT position, entity_id, version, type, schema_version, event_id, data, hash FROM es.event"
        " WHERE position > %s ORDER BY position LIMIT %s",
        (after, limit),
    )
    return await cursor.fetchall()


async def _compare_ends(connection: Connection, walk: _Walk) -> Broken | None:
    cursor = await connection.execute("SELECT entity_id, version, hash FROM es.entity ORDER BY entity_id")
    async for entity_id, version, hash_ in cursor:
        seen = walk.ends.get(entity_id, (0, chain.START))
        if seen[0] < version:
            return Broken(entity_id, Version(seen[0] + 1), None, f"it ends at {seen[0]}, but {version} were written")
        if seen != (version, hash_):
            return Broken(entity_id, version, None, "its last hash is not that of its row")
    return None
