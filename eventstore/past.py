"""What people ask about the part of the log that left the database, or is to leave it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime

from eventstore.cold import Cold
from eventstore.connection import Link
from eventstore.errors import SegmentFault
from eventstore.event import Position
from eventstore.partitions import LOOK, SegmentIndex
from eventstore.retention import Hold, Partition
from eventstore.segments import Kept, Segments
from eventstore.verify import PAGE, Verified, walk

_AT_A_TIME = 100


@dataclass(frozen=True, slots=True)
class Standing:
    """A partition, and what keeps it in the database: nothing where it is gone, or where nothing is exported of it."""

    partition: Partition
    held_by: tuple[Hold, ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """A segment that was read back; `fault` says what is wrong with it. `up_to` is how far the segments are checked."""

    kept: Kept
    fault: str | None
    up_to: Position


class Past:
    """Questions about partitions and segments. Raises LogUnavailable."""

    def __init__(self, url: str, segments: Segments | None = None) -> None:
        self._url = url
        self._segments = segments
        self._link = Link(url, "eventstore past")
        self._index = SegmentIndex(self._link)

    async def partitions(self) -> list[Standing]:
        """All partitions, oldest first."""
        found = [Partition(*row) for row in await self._link.fetch(LOOK)]
        return [Standing(each, await self._held(each)) for each in found]

    async def segments(self, after: Position, limit: int) -> list[tuple[Kept, datetime | None]]:
        """Segments that begin behind a position, rising; beside each, when its rows left the database."""
        return await self._index.all(after, limit)

    async def check(self) -> AsyncGenerator[Checked]:
        """Read every segment back and compare it with what the log remembers of it. Goes on behind one that is not well."""
        cold, after = Cold(self._index, self._segments), Position(0)
        while found := await self.segments(after, _AT_A_TIME):
            for kept, _ in found:
                yield Checked(kept, await _fault_of(cold, kept), kept.to_position)
            after = found[-1][0].from_position

    def walk(self, page: int = PAGE) -> AsyncGenerator[Verified]:
        """See `verify.walk`."""
        return walk(self._url, page, segments=self._segments)

    async def close(self) -> None:
        """Close the connection."""
        await self._link.drop()

    async def _held(self, partition: Partition) -> tuple[Hold, ...]:
        if partition.dropped or partition.exported == partition.from_position:
            return ()
        return tuple(await self._index.held(partition.name))


async def _fault_of(cold: Cold, kept: Kept) -> str | None:
    try:
        await cold.fetched(kept)
    except SegmentFault as fault:
        return fault.fault
    return None
