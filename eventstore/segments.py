"""Where segments are kept, and what the log remembers of each: the log knows no S3."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Protocol
from uuid import UUID, uuid4

from eventstore.errors import SegmentAltered, SegmentMissing
from eventstore.event import Position
from eventstore.segment import Row


class Segments(Protocol):
    """Keeps bytes under names for ever. Methods raise LogUnavailable for what passes by itself."""

    async def put(self, name: str, body: bytes) -> None:
        """Keep `body`; it is durable when this returns. Nothing is ever overwritten: equal bytes that are there are
        well, other bytes raise SegmentAltered.
        """
        ...

    async def get(self, name: str) -> bytes:
        """The whole body. Raises SegmentMissing."""
        ...


@dataclass(frozen=True, slots=True)
class Span:
    """An entity in a segment: its first and last version there."""

    entity_id: str
    first_version: int
    last_version: int


@dataclass(frozen=True, slots=True)
class Kept:
    """What the log remembers of a segment: all events with `from_position` <= position < `to_position`.

    `sha256` is hex, over the object of `size` bytes. The times are those of its first and last event, None in a range
    without events; they never fall from one segment to the next.
    """

    from_position: Position
    to_position: Position
    partition: str
    name: str
    sha256: str
    size: int
    events: int
    types: tuple[str, ...]
    first_recorded_at: datetime | None
    last_recorded_at: datetime | None


class Index(Protocol):
    """Which segments there are. Raises LogUnavailable."""

    async def floor(self) -> Position:
        """Events below this position are in segments alone."""
        ...

    async def overlapping(
        self, low: int, high: int, limit: int, entity_id: str | None = None, *, newest_first: bool = False
    ) -> list[tuple[Kept, bool]]:
        """Up to `limit` segments with a position in (low, high], rising (or falling), none left out.

        Beside each: whether it holds an event of `entity_id` (None: of any).
        """
        ...

    async def holding(self, entity_id: str, after: int, limit: int) -> list[Kept]:
        """Up to `limit` segments with events of the entity of versions > `after`, rising."""
        ...

    async def at(self, time: datetime) -> Kept | None:
        """The last segment whose first event was recorded at or before a time."""
        ...


def described(
    log_id: UUID, partition: str, reach: tuple[int, int], rows: Sequence[Row], body: bytes
) -> tuple[Kept, list[Span]]:
    """What to remember of a segment over `reach` (from, to); its name says what it holds and cannot meet another's."""
    low, high = reach
    digest = sha256(body).hexdigest()
    kept = Kept(
        from_position=Position(low),
        to_position=Position(high),
        partition=partition,
        name=f"{log_id}/{low:019d}-{high:019d}-{digest[:16]}.ndjson.zst",
        sha256=digest,
        size=len(body),
        events=len(rows),
        types=tuple(sorted({row.event.type for row in rows})),
        first_recorded_at=rows[0].event.recorded_at if rows else None,
        last_recorded_at=rows[-1].event.recorded_at if rows else None,
    )
    spans: dict[str, Span] = {}
    for event, _ in rows:
        first = spans[event.entity_id].first_version if event.entity_id in spans else event.version
        spans[event.entity_id] = Span(event.entity_id, first, event.version)
    return kept, list(spans.values())


class MemorySegments:
    """Segments in memory; `bodies` may be read and damaged by a test at will."""

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}

    async def put(self, name: str, body: bytes) -> None:
        if self.bodies.setdefault(name, body) != body:
            raise SegmentAltered(name, "other bytes are kept under its name")

    async def get(self, name: str) -> bytes:
        if name not in self.bodies:
            raise SegmentMissing(name)
        return self.bodies[name]


class FileSegments:
    """Segments as files below a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def put(self, name: str, body: bytes) -> None:
        await asyncio.to_thread(self._put, name, body)

    async def get(self, name: str) -> bytes:
        return await asyncio.to_thread(self._get, name)

    def _put(self, name: str, body: bytes) -> None:
        """Written whole beside its place and linked to it, which fails where something is."""
        path = self._directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{uuid4()}")
        try:
            with beside.open("xb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            os.link(beside, path)
        except FileExistsError:
            if self._get(name) != body:
                raise SegmentAltered(name, "other bytes are kept under its name") from None
        finally:
            beside.unlink(missing_ok=True)

    def _get(self, name: str) -> bytes:
        try:
            return (self._directory / name).read_bytes()
        except FileNotFoundError:
            raise SegmentMissing(name) from None
