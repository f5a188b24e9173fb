"""From verified chunks to acknowledged publishes, for as long as one link to the target lasts.

Read runs ahead through a bounded queue, publish fills the publisher's window, settle records what is acknowledged.
Progress is the unbroken acknowledged prefix and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Protocol

from nats3.errors import Blocked, Unavailable
from nats3.jetstream.errors import MustBind, PublishRefused, Reason, TargetBusy, TargetMoved
from nats3.jetstream.publisher import Publisher
from nats3.job.loading import (
    ChunkDeleteRequested,
    ChunkLoaded,
    ChunkSkipped,
    Loading,
    LoadingEvent,
    LoadProgressed,
    MessagesDisplaced,
)
from nats3.job.order import LoadOrder
from nats3.job.storing import ChunkFlushed
from nats3.pace import Pace
from nats3.work.displaced import told, within
from nats3.work.endure import sole
from nats3.work.outgoing import Dresser, Outgoing, Takes
from nats3.work.pieces import Piece, Reader
from nats3.work.prefetch import Prefetch, size_of
from nats3.work.run import LoadingRun
from nats3.work.sent import Line, Reached
from nats3.work.tools import Tools

_AHEAD = 2
"""Pieces that are read and verified while one is published."""

CHECKPOINT_S = 1.0
_CHECKPOINT_MESSAGES = 10_000

_SLICE = 999
"""Messages handed to the publisher between two looks at the lease."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A piece as it is sent, or why nothing of it may be; it takes `size` bytes."""

    piece: Piece
    outgoing: Outgoing | Blocked
    size: int


class LoadFlow:
    """One link's worth of publishing."""

    def __init__(
        self,
        order: LoadOrder,
        run: LoadingRun,
        reader: Reader,
        dresser: Dresser,
        publisher: Publisher,
        tools: Tools,
        *,
        line: Line,
        limits: Takes,
        progressed: Callable[[], Awaitable[None]],
    ) -> None:
        self._order = order
        self._run = run
        self._reader = reader
        self._dresser = dresser
        self._publisher = publisher
        self._tools = tools
        self._limits = limits
        self._progressed = progressed
        self._read: asyncio.Queue[Ready | None] = asyncio.Queue(_AHEAD)
        self._line = line
        self._base = (run.state.published, run.state.duplicates)
        self._recorded = 0
        self._displaced_acks = 0
        self._ending = False
        self._patience: asyncio.Timeout | None = None
        self._finished = False
        self._pace = None if order.pace.unlimited else Pace(order.pace, tools.monotonic())
        self._told_to_end = asyncio.Event()
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Until everything planned is acknowledged and recorded, or `finish` was asked for and what was sent is."""
        prefetch = Prefetch(self._tools.budget, f"load {self._order.name}", rests=self._pace is not None)
        try:
            with prefetch:
                await self._publish_what_is_read(prefetch)
        except BaseExceptionGroup as group:
            fault = sole(group)
            if isinstance(fault, MustBind | PublishRefused):
                await self._settle()
            raise _translated(fault) from None
        finally:
            await self._publisher.close()

    async def _publish_what_is_read(self, prefetch: Prefetch) -> None:
        """Raises Blocked once all is recorded that comes before a piece which may not be sent."""
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(self._fill(prefetch))
            tasks.create_task(self._checkpoints())
            blocked = await self._publish_until_blocked(prefetch)
            reading.cancel()
            await self._publisher.drain()
            await self._tools.reach("load.after_drain")
            self._finished = True
            self._wake.set()
        if blocked is not None:
            raise blocked

    async def _publish_until_blocked(self, prefetch: Prefetch) -> Blocked | None:
        while (ready := await self._next_piece()) is not None:
            if isinstance(ready.outgoing, Blocked):
                return ready.outgoing
            await self._publish(ready.piece, ready.outgoing)
            prefetch.give()
        return None

    def finish(self) -> None:
        """Publish nothing more."""
        self._ending = True
        self._told_to_end.set()
        if self._patience is not None and not self._patience.expired():
            self._patience.reschedule(0)

    async def _fill(self, prefetch: Prefetch) -> None:
        """Read and dress ahead what there is memory for; the next piece will be as large as the last, as far as anybody knows."""
        pieces = self._reader.pieces(self._run.state)
        async with aclosing(pieces):
            async for piece in pieces:
                await self._tools.reach("load.after_verify")
                ready = await self._dress(piece)
                prefetch.hold(ready.size)
                await self._read.put(ready)
                await prefetch.room_for(ready.size)
        await self._read.put(None)

    async def _dress(self, piece: Piece) -> Ready:
        """While others are published, which is idle time where batches are waited for. What may not be sent blocks in its turn."""
        try:
            outgoing = await self._tools.in_thread(lambda: self._dresser.dress(piece, self._limits))
        except Blocked as blocked:
            return Ready(piece, blocked, size_of(piece.batch))
        return Ready(piece, outgoing, size_of(piece.batch) + outgoing.added_bytes)

    async def _next_piece(self) -> Ready | None:
        """None at the end, and when told to end: the bucket may be away for long.

        A piece that waits already is not taken then: the one before it may have been held back, and progress would jump
        over that.
        """
        if self._ending:
            return None
        if self._read.empty():
            await self._publisher.flush()
            if self._ending:
                return None
        try:
            async with asyncio.timeout(None) as self._patience:
                return await self._read.get()
        except TimeoutError:
            return None
        finally:
            self._patience = None

    async def _publish(self, piece: Piece, outgoing: Outgoing) -> None:
        """Hand the whole piece to the publisher, unless told to end in between."""
        start = 0
        while start < len(outgoing.payloads):
            part = await self._due(piece, outgoing, start)
            if self._ending:
                return
            self._require_lease()
            self._note(piece, part, outgoing.message_bytes)
            await self._tools.reach("load.before_publish")
            await self._publisher.send(outgoing.subjects[part], outgoing.blocks[part], outgoing.payloads[part])
            await self._tools.reach("load.after_publish")
            start = part.stop
        if not outgoing.payloads:
            self._note(piece, slice(0, 0), 0)

    async def _due(self, piece: Piece, outgoing: Outgoing, start: int) -> slice:
        """What may be published next, once the pace of the order lets it; at once when told to end."""
        seqs = piece.batch.seqs
        part = slice(start, _behind_equals(seqs, min(start + _SLICE, len(seqs))))
        if self._pace is None:
            return part
        times, sizes = piece.batch.times[part], outgoing.sizes[part]
        while not self._ending:
            count, wait = self._pace.due(times, sizes, self._tools.monotonic())
            if count:
                stop = _behind_equals(seqs, start + count)
                count = stop - start
                self._pace.sent(times[:count], sum(sizes[:count]), self._tools.monotonic())
                return slice(start, stop)
            await self._publisher.flush()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._told_to_end.wait()
        return part

    def _note(self, piece: Piece, part: slice, message_bytes: int) -> None:
        self._line.add(piece, part, message_bytes)
        if self._publisher.acked - self._recorded >= _CHECKPOINT_MESSAGES:
            self._wake.set()

    def _require_lease(self) -> None:
        """A node that was frozen must not publish for a job that another one has taken over."""
        if not self._tools.lease.valid():
            raise MustBind(Reason.CONNECTION_LOST, "the lease of this node has run out")

    # --- settle

    async def _checkpoints(self) -> None:
        """Record progress every second, or sooner when much was acknowledged."""
        while not self._finished:
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(CHECKPOINT_S):
                    await self._wake.wait()
            await self._settle()
        await self._settle()  # what came during the last one

    async def _settle(self) -> None:
        """Record the acknowledged prefix, and the chunks that lie in it as a whole."""
        acked = self._publisher.acked
        settled, reached = self._line.acknowledged(acked, self._recorded, self._publisher.beyond)
        if reached is None:
            return
        size = sum(sent.message_bytes for sent in settled)
        ends = [event for sent in settled for event in endings(sent)]
        displaced, count = self._displaced(acked, reached), self._publisher.displaced_count
        before = self._run.state
        await self._tools.reach("load.before_progress")
        await self._run.emit(self._progress(reached, size), *displaced, *ends)
        await self._tools.reach("load.after_progress")
        self._line.drop(settled, reached)
        self._displaced_acks = count
        self._report(acked - self._recorded, size, before)
        self._recorded = acked
        await self._progressed()

    def _displaced(self, acked: int, reached: Reached) -> list[MessagesDisplaced]:
        """What of that which is recorded now stands in the target in another order."""
        count = self._publisher.displaced_count - self._displaced_acks
        ranges = [*reached.displaced]
        for each in within(self._publisher.displaced if count else (), self._recorded, acked - 1):
            ranges += self._line.ranges(each.first, each.last)
        farthest = max(self._publisher.farthest, reached.known_at)
        return told(ranges, count + sum(each.count for each in reached.displaced), farthest)

    def _report(self, count: int, size: int, before: Loading) -> None:
        name, state, signals = self._order.name, self._run.state, self._tools.signals
        signals.published(name, count, size)
        signals.load_progressed(name, state.published, state.planned_messages)
        if state.duplicates > before.duplicates:
            signals.duplicates(name, state.duplicates - before.duplicates)
        if state.displaced > before.displaced:
            signals.displaced(name, state.displaced - before.displaced, state.displaced)

    def _progress(self, reached: Reached, size: int) -> LoadProgressed:
        published, duplicates = self._base
        return LoadProgressed(
            rank=reached.rank,
            seq=reached.seq,
            published=published + reached.messages,
            duplicates=duplicates + self._publisher.duplicates,
            target_seq=max(self._publisher.target_seq or self._run.state.target_seq, reached.known_at),
            bytes=self._run.state.bytes + size,
        )


def _behind_equals(seqs: Sequence[int], stop: int) -> int:
    """`stop`, or behind the messages that have the seq of the one before it: progress cannot stand between them."""
    while 0 < stop < len(seqs) and seqs[stop] == seqs[stop - 1]:
        stop += 1
    return stop


class Ended(Protocol):
    """What a piece, or the last of what was sent of it, says of chunks."""

    @property
    def finishes(self) -> tuple[ChunkFlushed, ...]: ...

    @property
    def deletions(self) -> tuple[ChunkDeleteRequested, ...]: ...

    @property
    def skipped(self) -> ChunkSkipped | None: ...


def endings(ended: Ended) -> list[LoadingEvent]:
    """What there is to say once the last message of a chunk is acknowledged."""
    if ended.skipped is not None:
        return [ended.skipped]
    loaded = [ChunkLoaded(chunk.bucket, chunk.key, chunk.count) for chunk in ended.finishes]
    return [*loaded, *ended.deletions]


def _translated(fault: BaseException) -> BaseException:
    """What a refusal of the target means for the run."""
    if not isinstance(fault, PublishRefused):
        return fault
    if isinstance(fault, TargetMoved):
        return MustBind(Reason.STREAM_CHANGED, fault.reason)
    if isinstance(fault, TargetBusy):
        return Unavailable("nats", f"the target takes nothing just now: {fault.reason} ({fault.code})")
    if fault.code == PublishRefused.NO_RESPONDERS:
        return Unavailable("nats", "nobody takes the subject just now")
    return Blocked("target_refuses", f"{fault}: change the target stream, then resume")
