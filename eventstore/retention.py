"""Retention of the log: a partition that is old enough is exported, proven, recorded, then dropped, then recorded.

Every step is found done or not done by looking, so a crash between any two, or two nodes at once, repeat or go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Protocol

from typing_extensions import override

from eventstore.background import Background
from eventstore.cold import aside, proven
from eventstore.errors import EventStoreError, LogUnavailable, SegmentAltered
from eventstore.event import Append, Appended, Fence, NewEvent, Position, Version
from eventstore.segment import Row, encode
from eventstore.segments import Kept, Segments, Span, described
from eventstore.store import EventStore

EXPORTED = "log_partition_exported"
DROPPED = "log_partition_dropped"

EVENTS = 5000
"""Events of one segment at most: what is decoded to read one of them."""

BYTES = 16 << 20
"""Characters of data after which a segment takes no more events."""

INTERVAL = 60.0
"""Seconds between looks."""

_PAGE = 500


@dataclass(frozen=True, slots=True)
class Policy:
    """What may leave the database: partitions whose last event is `age` old and that have `keep` positions behind them."""

    age: timedelta
    keep: int


@dataclass(frozen=True, slots=True)
class Partition:
    """Positions [from_position, to_position) of the log. `age` is that of its last event, None while it may get more.

    `exported` is the position up to which segments hold it; `behind` counts the positions that were given after it;
    `said` how much of what became of it is recorded: 1 that it was exported, 2 that it was dropped.
    """

    name: str
    from_position: Position
    to_position: Position
    exported: Position
    dropped: bool
    age: timedelta | None
    behind: int
    said: int


@dataclass(frozen=True, slots=True)
class Hold:
    """What speaks against dropping a partition, each of which goes away by itself or by a command.

    `kind` is head (it may get more events), partition (an older one is still there), segment (it is not exported),
    follower (`name` has read up to `position`), entity (`name` is open, and no snapshot covers version `position`) or
    reader (the log is read by somebody who would be cut off).
    """

    kind: str
    name: str
    position: int


class Partitions(Protocol):
    """The log's partitions. Every method is one attempt and raises LogUnavailable."""

    def turn(self) -> AbstractAsyncContextManager[bool]:
        """Whether nobody else works on partitions meanwhile: politeness, two at once do no harm."""
        ...

    async def look(self) -> list[Partition]:
        """All partitions, oldest first."""
        ...

    async def rows(self, low: int, high: int, limit: int) -> list[Row]:
        """The first `limit` events with low <= position < high."""
        ...

    async def keep(self, kept: Kept, spans: Sequence[Span]) -> bool:
        """Remember a segment, which begins where the one before ends; False: somebody else remembered one there."""
        ...

    async def drop(self, name: str) -> list[Hold]:
        """Drop a partition, unless something speaks against it; also when it was dropped before, nothing does."""
        ...


class RetentionSignal(Protocol):
    """Whom to tell. Each call is quick and does not raise."""

    def exported(self, partition: str, events: int, size: int) -> None: ...

    def dropped(self, partition: str) -> None: ...

    def held(self, partition: str, holds: Sequence[Hold]) -> None: ...

    def failed(self, reason: str) -> None: ...


class Quiet:
    """A signal that nobody hears."""

    def exported(self, partition: str, events: int, size: int) -> None: ...

    def dropped(self, partition: str) -> None: ...

    def held(self, partition: str, holds: Sequence[Hold]) -> None: ...

    def failed(self, reason: str) -> None: ...


def due(partition: Partition, policy: Policy) -> bool:
    """Whether it is old enough to leave the database."""
    return partition.age is not None and partition.age >= policy.age and partition.behind >= policy.keep


def entity_of(partition: str) -> str:
    """The entity on which is recorded what became of a partition."""
    return f"partition/{partition}"


class Retention(Background):
    """Moves what is due out of the database; it runs on every node.

    `snapshot` keeps a snapshot of an entity's newest state where it can; an open entity without one stays in the way.
    """

    def __init__(
        self,
        partitions: Partitions,
        store: EventStore,
        segments: Segments,
        policy: Policy,
        snapshot: Callable[[str], Awaitable[None]],
        *,
        signal: RetentionSignal | None = None,
        actor: str = "",
        events: int = EVENTS,
        interval: float = INTERVAL,
        chance: Random | None = None,
    ) -> None:
        self._partitions = partitions
        self._store = store
        self._segments = segments
        self._policy = policy
        self._snapshot = snapshot
        self._signal = signal or Quiet()
        self._actor = actor
        self._events = events
        self._interval = interval
        self._chance = chance or Random()  # noqa: S311 - jitter is no secret

    @override
    async def run(self) -> None:
        """A round every `interval` seconds, give or take a fifth, for ever; a fault is told, and the next one is a new try."""
        while True:
            try:
                await self.round()
            except EventStoreError as fault:
                self._signal.failed(str(fault))
            await asyncio.sleep(self._interval * self._chance.uniform(0.8, 1.2))

    async def round(self) -> None:
        """Do all that is due now. Raises LogUnavailable, SegmentFault."""
        async with self._partitions.turn() as mine:
            if not mine:
                return
            for partition in await self._partitions.look():
                if partition.dropped:
                    await self._record(partition, 1, DROPPED)
                elif not due(partition, self._policy) or not await self._move(partition):
                    return

    async def _move(self, partition: Partition) -> bool:
        """Export, record, drop, record: in this order. False: something speaks against dropping it now."""
        if not await self._export(partition):
            return False
        await self._record(partition, 0, EXPORTED)
        if holds := await self._drop(partition.name):
            self._signal.held(partition.name, holds)
            return False
        await self._record(partition, 1, DROPPED)
        self._signal.dropped(partition.name)
        return True

    async def _export(self, partition: Partition) -> bool:
        """Write all segments that are missing. False: somebody else writes them too."""
        log_id = await self._store.log_id()
        at, events, size = partition.exported, 0, 0
        while at < partition.to_position:
            rows, to = await self._cut(at, partition.to_position)
            body = await aside(len(rows), encode, log_id, at, to, rows)
            kept, spans = described(log_id, partition.name, (at, to), rows, body)
            await self._segments.put(kept.name, body)
            if not (await self._proven(kept) and await self._partitions.keep(kept, spans)):
                return False
            at, events, size = kept.to_position, events + kept.events, size + kept.size
        if events:
            self._signal.exported(partition.name, events, size)
        return True

    async def _cut(self, at: int, end: int) -> tuple[list[Row], int]:
        """The next rows of a segment, and the position where the one after it begins."""
        rows: list[Row] = []
        size, low = 0, at
        while page := await self._partitions.rows(low, end, _PAGE):
            for row in page:
                if len(rows) == self._events or size > BYTES:
                    return rows, row.event.position
                rows.append(row)
                size += len(str(row.event.data))
            low = page[-1].event.position + 1
        return rows, end

    async def _proven(self, kept: Kept) -> bool:
        """Read it back from where it is kept, and compare it with the rows as the database has them now.

        False: somebody else has dropped them meanwhile. Raises SegmentMissing, SegmentAltered.
        """
        read = await aside(kept.events, proven, kept, await self._segments.get(kept.name))
        rows: list[Row] = []
        low: int = kept.from_position
        while page := await self._partitions.rows(low, kept.to_position, _PAGE):
            rows += page
            low = page[-1].event.position + 1
        if any(each.name == kept.partition and each.dropped for each in await self._partitions.look()):
            return False
        if read != rows:
            raise SegmentAltered(kept.name, "what it gives back is not what the log holds")
        return True

    async def _drop(self, name: str) -> list[Hold]:
        """Drop it; entities that are in the way get a snapshot first."""
        holds = await self._partitions.drop(name)
        open_ = [hold.name for hold in holds if hold.kind == "entity"]
        for entity_id in open_:
            await self._snapshot(entity_id)
        return await self._partitions.drop(name) if open_ else holds

    async def _record(self, partition: Partition, place: int, type_: str) -> None:
        """Say it, unless it is said already."""
        if partition.said > place:
            return
        event = NewEvent(type_, {"from": partition.from_position, "to": partition.to_position})
        append = Append(entity_of(partition.name), Version(place), Fence(0), (event,), self._actor)
        (outcome,) = await self._store.append([append])
        if isinstance(outcome, Appended):
            return
        said = await self._store.read(append.entity_id, append.expected, 1)
        if [each.type for each in said] != [type_]:
            raise LogUnavailable(f"{type_} of {partition.name} could not be recorded: {outcome}")


def ends(event: NewEvent) -> bool:
    """Whether the history of a partition ends with this event."""
    return event.type == DROPPED


def never(_event: NewEvent) -> bool:
    """What to say of events that end nothing."""
    return False
