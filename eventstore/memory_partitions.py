"""Partitions and the index of segments of a log in memory: the promises of `partitions`, for tests and simulation."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from eventstore.event import Position, Recorded, Version
from eventstore.retention import Hold, Partition, entity_of
from eventstore.segment import Row
from eventstore.segments import Kept, Span

if TYPE_CHECKING:
    from eventstore.memory import MemoryStore


@dataclass(slots=True)
class MemoryIndex:
    """What a log in memory remembers of its segments. Events below `low` are in segments alone."""

    kept: list[tuple[Kept, list[Span]]] = field(default_factory=list[tuple[Kept, list[Span]]])
    low: int = 1

    async def floor(self) -> Position:
        return Position(self.low)

    async def overlapping(
        self, low: int, high: int, limit: int, entity_id: str | None = None, *, newest_first: bool = False
    ) -> list[tuple[Kept, bool]]:
        found = [
            (kept, entity_id is None or any(span.entity_id == entity_id for span in spans))
            for kept, spans in self.kept
            if kept.to_position > low + 1 and kept.from_position <= high
        ]
        return (found[::-1] if newest_first else found)[:limit]

    async def holding(self, entity_id: str, after: int, limit: int) -> list[Kept]:
        return [
            kept
            for kept, spans in self.kept
            if kept.from_position < self.low
            and any(span.entity_id == entity_id and span.last_version > after for span in spans)
        ][:limit]

    async def at(self, time: datetime) -> Kept | None:
        begun = [kept for kept, _ in self.kept if kept.first_recorded_at is not None and kept.first_recorded_at <= time]
        return begun[-1] if begun else None


class MemoryPartitions:
    """Partitions of `size` positions. `followers` is what else follows the log, and how far each has read;
    `snapshots` the version that a snapshot of each entity covers.
    """

    def __init__(
        self, store: MemoryStore, size: int, followers: Mapping[str, int], snapshots: Mapping[str, int]
    ) -> None:
        self._store = store
        self._size = size
        self._followers = followers
        self._snapshots = snapshots
        self._busy = False

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[bool]:
        mine, self._busy = not self._busy, True
        try:
            yield mine
        finally:
            if mine:
                self._busy = False

    async def look(self) -> list[Partition]:
        head = await self._store.head()
        return [self._partition(low, head) for low in range(1, head + 1, self._size)]

    async def rows(self, low: int, high: int, limit: int) -> list[Row]:
        return [row for row in self._store.rows if low <= row.event.position < high][:limit]

    async def keep(self, kept: Kept, spans: Sequence[Span]) -> bool:
        index = self._store.index
        ends = index.kept[-1][0].to_position if index.kept else 1
        if kept.from_position != ends:
            return any(other == kept for other, _ in index.kept)
        index.kept.append((kept, list(spans)))
        return True

    async def drop(self, name: str) -> list[Hold]:
        low = int(name)
        if low < self._store.index.low:
            return []
        holds = await self.held(name)
        if not holds:
            self._store.drop_below(low + self._size)
        return holds

    async def held(self, name: str) -> list[Hold]:
        """What speaks against dropping a partition now."""
        low, high = int(name), int(name) + self._size
        index = self._store.index
        head = await self._store.head()
        ends = index.kept[-1][0].to_position if index.kept else 1
        spans = {
            span.entity_id: span.last_version for kept, spans in index.kept if kept.partition == name for span in spans
        }
        return [
            *([Hold("head", "", head)] if head < high else []),
            *([Hold("partition", str(index.low), index.low)] if index.low < low else []),
            *([Hold("segment", "", ends)] if ends < high else []),
            *(Hold("follower", each, at) for each, at in self._followers.items() if at < high - 1),
            *(
                Hold("entity", entity_id, last)
                for entity_id, last in spans.items()
                if not self._store.entities[entity_id].closed and self._snapshots.get(entity_id, 0) < last
            ),
        ]

    def _partition(self, low: int, head: int) -> Partition:
        high = low + self._size
        mine = [kept.to_position for kept, _ in self._store.index.kept if kept.partition == str(low)]
        behind: Recorded | None = next((e for e, _ in self._store.rows if e.position >= high), None)
        said = self._store.entities.get(entity_of(str(low)))
        return Partition(
            name=str(low),
            from_position=Position(low),
            to_position=Position(high),
            exported=max(mine, default=Position(low)),
            dropped=low < self._store.index.low,
            age=None if behind is None else self._store.clock() - behind.recorded_at,
            behind=max(head - high + 1, 0),
            said=0 if said is None else Version(said.version),
        )
