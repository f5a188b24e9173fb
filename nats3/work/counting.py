"""What a load would publish, counted beforehand: out of the index where that can tell, else by reading. Nothing is written."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from itertools import groupby

from typing_extensions import override

from nats3.errors import Blocked
from nats3.job.loading import Loading, PlannedRange, evolve
from nats3.job.order import LoadOrder
from nats3.job.storing import ChunkFlushed
from nats3.message import Batch
from nats3.objects.store import AccessDenied, BucketMissing, Readable
from nats3.work.archive import Archive
from nats3.work.load_plan import Planner
from nats3.work.outgoing import Dresser, require_safe
from nats3.work.pieces import Reader, overlapping, selection_of
from nats3.work.ranged import takes_all
from nats3.work.tools import ChunkIndex, InThread, PlanIndex

AT_A_TIME = 2
"""Counts that read at once; others wait."""

PATIENCE_S = 10.0
"""So long chunks are read for one count; what is left then is told by the index alone."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What a load that is ordered now would do. `raw_bytes` are subjects, header blocks and payloads as archived; of chunks
    that were not read with what a chunk adds to them, some bytes a message: an upper bound.

    `exact` False: messages are one too, because not all that would have to be read was. Requests and
    fetched bytes are those of its chunks, each read once. `refusal` is the first reason for which the load would block.
    """

    position: int
    ranges: tuple[PlannedRange, ...]
    chunks: int
    messages: int
    raw_bytes: int
    requests: int
    fetched_bytes: int
    exact: bool
    refusal: str | None


class LoadCounter:
    """Counts orders. Methods raise Unavailable."""

    def __init__(
        self,
        objects: Readable,
        index: ChunkIndex,
        plans: PlanIndex,
        in_thread: InThread,
        monotonic: Callable[[], float],
    ) -> None:
        self._objects = objects
        self._index = index
        self.plans = plans
        self.in_thread = in_thread
        self._monotonic = monotonic
        self._turns = asyncio.Semaphore(AT_A_TIME)

    async def sleep(self, _: float) -> None:
        """Somebody waits for the answer: what is missing or corrupt is looked at again at once."""

    async def count(self, order: LoadOrder, most_read: int) -> Counted:
        """What the load would publish; of objects at most some `most_read` bytes are read for it."""
        planned = await Planner(order, self.plans).plan(Loading(), 1, 1)
        state = evolve(Loading(), planned)
        async with self._turns:
            tally = _Tally(order, self._objects, most_read, self._monotonic)
            archive = Archive(tally.objects, self._index, self.in_thread)
            reader = Reader(order, archive, self)
            try:
                for _, same in groupby(state.ranges, key=lambda each: each.rank):
                    sources = list(same)
                    merged = len(sources) > 1 or bool(overlapping(state.ranges, sources))
                    await (_merged if merged else _single)(reader, archive, tally, state, sources)
            except (Blocked, BucketMissing, AccessDenied) as fault:
                tally.refuse(str(fault))
        return tally.told(planned.position, planned.ranges)


async def _single(reader: Reader, archive: Archive, tally: _Tally, state: Loading, sources: list[PlannedRange]) -> None:
    """The chunks of one job's life: of one that is meant whole the index knows enough."""
    async for indexed in reader.rows(sources[0], state.position, 0):
        if tally.full:
            return
        flushed = indexed.flushed
        if tally.known(flushed):
            tally.add_unread(flushed)
        elif tally.may_read(flushed.stored_bytes):
            tally.chunks += 1
            tally.add(await archive.confirmed(flushed, reader.tools.sleep, tally.selection))
        else:
            tally.exact = False
            tally.add_unread(flushed)


async def _merged(reader: Reader, archive: Archive, tally: _Tally, state: Loading, sources: list[PlannedRange]) -> None:
    """What several jobs kept is counted once: its seqs are only in the chunks."""
    del archive
    rows = [
        each.flushed for source in sources for each in [row async for row in reader.rows(source, state.position, 0)]
    ]
    if not tally.may_read(sum(each.stored_bytes for each in rows)):
        tally.exact = False
        for each in rows:
            tally.add_unread(each)
        return
    tally.chunks += len(rows)
    async with aclosing(reader.of_rank(replace(state, rank=sources[0].rank, seq=0), sources)) as pieces:
        async for piece in pieces:
            if tally.full:
                return
            tally.add(piece.batch)


class _Tally:
    """The sums so far."""

    def __init__(self, order: LoadOrder, objects: Readable, most_read: int, monotonic: Callable[[], float]) -> None:
        self.selection = selection_of(order)
        self.objects = _Metered(objects)
        self.chunks = self.messages = self.raw_bytes = self._requests = self._fetched = 0
        self.exact = True
        self._limit = order.limit
        self._most_read = most_read
        self._monotonic = monotonic
        self._until = monotonic() + PATIENCE_S
        self._dresser = Dresser("", order, 1)
        self._refusal: str | None = None

    @property
    def full(self) -> bool:
        return self._limit is not None and self.messages >= self._limit

    def known(self, flushed: ChunkFlushed) -> bool:
        """Whether the index says all of this chunk: every message of it is meant."""
        fits = self._limit is None or flushed.count <= self._limit - self.messages
        return fits and not self.selection.headers and takes_all(self.selection, flushed)

    def may_read(self, size: int) -> bool:
        return self.objects.fetched + size <= self._most_read and self._monotonic() < self._until

    def add_unread(self, flushed: ChunkFlushed) -> None:
        self.chunks += 1
        self._requests += 1
        self._fetched += flushed.stored_bytes
        self.messages += flushed.count
        self.raw_bytes += flushed.raw_bytes

    def add(self, batch: Batch) -> None:
        """Selected messages; raises Blocked where one of them may not be published."""
        left = len(batch) if self._limit is None else self._limit - self.messages
        batch = batch if left >= len(batch) else batch.slice(0, left)
        self.messages += len(batch)
        self.raw_bytes += batch.raw_bytes()
        require_safe(self._dresser.subjects_of(batch.subjects))

    def refuse(self, reason: str) -> None:
        self.exact = False
        self._refusal = reason

    def told(self, position: int, ranges: tuple[PlannedRange, ...]) -> Counted:
        return Counted(
            position=position,
            ranges=ranges,
            chunks=self.chunks,
            messages=self.messages if self._limit is None else min(self.messages, self._limit),
            raw_bytes=self.raw_bytes,
            requests=self._requests + self.objects.requests,
            fetched_bytes=self._fetched + self.objects.fetched,
            exact=self.exact,
            refusal=self._refusal,
        )


class _Metered(Readable):
    """Counts what is asked of a store."""

    def __init__(self, objects: Readable) -> None:
        self._get: Callable[[str, str, int, int | None], Awaitable[bytes]] = objects.get
        self.requests = 0
        self.fetched = 0

    @override
    async def get(self, bucket: str, key: str, start: int = 0, length: int | None = None) -> bytes:
        self.requests += 1
        body = await self._get(bucket, key, start, length)
        self.fetched += len(body)
        return body
