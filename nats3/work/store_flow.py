"""From the source to settled chunks, for as long as one binding lasts.

Three stages, each a task: fill (receive and cut), ship (encode in order, PUT several at once), settle (record, then
acknowledge, strictly in order). Bounded queues between them are the back-pressure.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from nats3.buffer import Buffer, BufferLimits, Seal, Sealed
from nats3.chunk.encode import encode
from nats3.chunk.layout import Codec, Encoded, Origin
from nats3.chunk.object_key import parse_key
from nats3.jetstream.errors import MustBind, Reason
from nats3.job.order import StoreOrder
from nats3.job.storing import ChunkFlushed, gaps_within, lineage
from nats3.message import Batch
from nats3.objects.store import ObjectStore
from nats3.work.archive import Archive
from nats3.work.bind import Bound
from nats3.work.endure import sole
from nats3.work.record import flushed
from nats3.work.run import Claimed, StoringRun
from nats3.work.tools import Tools

IN_FLIGHT = 4
"""Chunks that are encoded and not yet settled, when they are large."""

MOST_IN_FLIGHT = 12
"""The same when they are small: each waits as long for the bucket and the log, and all of them take no more memory."""

_LARGEST_SHARE = 64 * 1024 * 1024

_WAITING = 1
"""Sealed batches that wait for the encoder."""

_GRAIN_S = 0.001
"""Wake up surely after what is waited for, not a rounding before it."""

_LOOK_S = 30.0
"""How often the stream is looked at again while all is quiet."""


@dataclass(frozen=True, slots=True)
class Shipped:
    """A chunk on its way to the bucket; `stored` ends once its bytes are proven to be there.

    `seqs` are those of its messages where each is acknowledged by itself, else none.
    """

    chunk: Encoded
    sealed_by: Seal
    began: float
    seqs: tuple[int, ...]
    stored: asyncio.Task[object]


class StoreFlow:
    """One binding at work."""

    def __init__(
        self,
        claimed: Claimed,
        order: StoreOrder,
        bound: Bound,
        run: StoringRun,
        tools: Tools,
        objects: ObjectStore,
        *,
        progressed: Callable[[], Awaitable[None]],
    ) -> None:
        self._job_id = claimed.job_id
        self._order = order
        self._bound = bound
        self._source = bound.source
        self._run = run
        self._tools = tools
        self._objects = objects
        self._account = tools.budget.account(order.name)
        self._progressed = progressed
        self._archive = Archive(objects, tools.index, tools.in_thread)
        self._buffer = Buffer(self._limits())
        self._sealed: asyncio.Queue[Sealed | None] = asyncio.Queue(_WAITING)
        self._shipped: asyncio.Queue[Shipped | None] = asyncio.Queue(self._in_flight())
        self._patience: asyncio.Timeout | None = None
        self._ending: Seal | None = None
        self._settled = run.state.cursor
        self._origin = self._first_origin(claimed)

    def _limits(self) -> BufferLimits:
        """The order's limits, under this job's share of the memory: max_bytes is a ceiling, not a promise."""
        ordered = self._order.limits
        share = min(_LARGEST_SHARE, self._tools.budget.share) // (IN_FLIGHT + _WAITING + 2)
        return BufferLimits(min(ordered.max_bytes, share), ordered.max_count, ordered.max_age_s)

    def _in_flight(self) -> int:
        """As many chunks of the ordered size as this job's share of the memory holds, within bounds."""
        fit = min(_LARGEST_SHARE, self._tools.budget.share) // self._order.limits.max_bytes - _WAITING - 2
        return max(IN_FLIGHT, min(MOST_IN_FLIGHT, fit))

    def _first_origin(self, claimed: Claimed) -> Origin:
        state = self._run.state
        last = state.last_chunk
        return Origin(
            log_id=self._tools.log_id,
            job_id=claimed.job_id,
            stream=self._order.stream,
            subject_filter=self._order.subject,
            consumer=self._order.consumer,
            opening=state.lives[-1],
            previous_seq=state.cursor,
            previous_sha256=state.tip,
            activation=claimed.fence,
            bind=self._bound.bind,
            prefix=self._order.prefix or "",
            date_floor=_date(last.key) if last is not None and last.life == state.lives[-1].uuid else "",
        )

    async def run(self) -> None:
        """Until `finish` was asked for and everything received is settled. Raises what ends the binding."""
        try:
            async with asyncio.TaskGroup() as tasks:
                watch = tasks.create_task(self._watch())
                tasks.create_task(self._fill())
                tasks.create_task(self._ship(tasks))
                await self._settle_all()
                watch.cancel()
        except BaseExceptionGroup as group:
            raise sole(group) from None
        finally:
            self._account.close()
            await self._source.close()

    def finish(self, why: Seal) -> None:
        """Stop reading; what was received is still stored, recorded and acknowledged."""
        self._ending = self._ending or why
        if self._patience is not None and not self._patience.expired():
            self._patience.reschedule(0)

    # --- fill

    async def _fill(self) -> None:
        while self._ending is None:
            fresh = await self._receive()
            await self._pass_on(*self._buffer.add(fresh, self._tools.monotonic()))
            await self._pass_on(self._buffer.tick(self._tools.monotonic()))
        await self._pass_on(self._buffer.flush(self._ending))
        await self._sealed.put(None)

    async def _receive(self) -> Batch:
        """What is new, waiting at most until the buffer is due or somebody asks to finish; perhaps nothing."""
        self._ask()
        try:
            async with asyncio.timeout(self._due_in()) as self._patience:
                delivered = await self._source.receive()
        except TimeoutError:
            return Batch()
        finally:
            self._patience = None
        await self._tools.reach("store.after_recv")
        if len(delivered.again):
            await self._acknowledge_again(delivered.again)
        return await self._unsettled(delivered.batch)

    def _ask(self) -> None:
        """Keep as much under way as fills the open chunk and the next one, so that the server never waits for us."""
        room, limits = self._buffer.room(), self._buffer.limits
        self._source.ask(room.messages + limits.max_count, room.bytes + limits.max_bytes)

    def _due_in(self) -> float | None:
        if self._ending is not None:
            return 0
        deadline = self._buffer.deadline()
        return None if deadline is None else max(0.0, deadline - self._tools.monotonic()) + _GRAIN_S

    async def _pass_on(self, *sealed: Sealed | None) -> None:
        for batch in sealed:
            if batch is not None:
                await self._tools.reach("store.after_seal")
                await self._sealed.put(batch)

    async def _unsettled(self, batch: Batch) -> Batch:
        """What is new of a delivery. Only a work queue delivers what is settled: its consumer starts at the beginning."""
        if not len(batch) or batch.seqs[0] > self._settled:
            return batch
        if not self._bound.explicit:
            raise MustBind(Reason.OUT_OF_ORDER)
        cut = bisect_right(batch.seqs, self._settled)
        await self._drop_settled(batch.slice(0, cut))
        return batch.slice(cut, len(batch))

    async def _drop_settled(self, batch: Batch) -> None:
        """Acknowledge what is archived already and equal; leave alone what lies in a recorded gap."""
        state = self._run.state
        equal: list[int] = []
        for message in batch:
            life = lineage(state, state.lives[-1], message.seq)
            holds = await self._archive.holds(self._job_id, life, message) if life is not None else None
            if holds is False:
                raise MustBind(Reason.STREAM_CHANGED, f"seq {message.seq} is not the message that was archived")
            if holds:
                equal.append(message.seq)
        await self._source.ack_each(equal)
        self._tools.signals.redelivered(self._order.name, len(equal))

    async def _acknowledge_again(self, again: Batch) -> None:
        """A redelivery of this consumer: acknowledge what is settled; the rest is under way and will be."""
        settled = [seq for seq in again.seqs if seq <= self._run.state.cursor]
        self._tools.signals.redelivered(self._order.name, len(again))
        if not settled:
            return
        if self._bound.explicit:
            await self._source.ack_each(settled)
        else:
            await self._source.ack_up_to(max(settled))

    # --- ship

    async def _ship(self, tasks: asyncio.TaskGroup) -> None:
        while (sealed := await self._sealed.get()) is not None:
            began = self._tools.monotonic()
            chunk = await self._encode(sealed.batch)
            await self._tools.reach("store.after_encode")
            stored = tasks.create_task(self._put(chunk))
            seqs = tuple(sealed.batch.seqs) if self._bound.explicit else ()
            await self._shipped.put(Shipped(chunk, sealed.reason, began, seqs, stored))
        await self._shipped.put(None)

    async def _encode(self, batch: Batch) -> Encoded:
        """The next chunk, linked to the one before it by its object's hash: so chunks are encoded one by one."""
        origin = self._origin
        if not self._bound.filtered:
            origin = replace(origin, gaps=gaps_within(origin.previous_seq, batch.seqs))
        codec, level = Codec(self._order.codec), self._order.level
        chunk = await self._tools.in_thread(lambda: encode(batch, origin, codec, level))
        self._origin = replace(
            origin,
            previous_seq=chunk.header.last,
            previous_sha256=chunk.sha256,
            date_floor=_date(chunk.key),
            gaps=(),
        )
        return chunk

    async def _put(self, chunk: Encoded) -> object:
        await self._tools.reach("store.before_put")
        stored = await self._objects.put_new(self._order.bucket, chunk.key, chunk.body, chunk.sha256)
        await self._tools.reach("store.after_put")
        return stored

    # --- settle

    async def _settle_all(self) -> None:
        more = True
        while more:
            shipped, more = await self._next_shipped()
            if shipped:
                await self.settle(shipped)

    async def _next_shipped(self) -> tuple[list[Shipped], bool]:
        """Everything that is under way, oldest first, to be recorded in one append; False when no more will come."""
        line = [await self._shipped.get()]
        while not self._shipped.empty():
            line.append(self._shipped.get_nowait())
        return [each for each in line if each is not None], line[-1] is not None

    async def settle(self, shipped: list[Shipped]) -> None:
        """Make chunks durable: stored, recorded, acknowledged, in this order."""
        for each in shipped:
            await each.stored
        await self._tools.reach("store.before_append")
        await self._run.emit(*map(self._event, shipped))
        await self._tools.reach("store.after_append")
        await self._acknowledge(shipped)
        await self._tools.reach("store.after_ack")
        await self._report(shipped)

    def _event(self, shipped: Shipped) -> ChunkFlushed:
        chunk = shipped.chunk
        sealed_by = shipped.sealed_by.value
        return flushed(self._order.bucket, chunk.key, chunk.header, chunk.sha256, len(chunk.body), sealed_by=sealed_by)

    async def _acknowledge(self, shipped: list[Shipped]) -> None:
        """Only called once the chunks are in the log."""
        if self._bound.explicit:
            await self._source.ack_each([seq for each in shipped for seq in each.seqs])
        else:
            await self._source.ack_up_to(shipped[-1].chunk.header.last)

    async def _report(self, shipped: list[Shipped]) -> None:
        now, name, signals = self._tools.monotonic(), self._order.name, self._tools.signals
        for each in shipped:
            header = each.chunk.header
            signals.chunk_stored(name, each.chunk, now - each.began)
            signals.archived(name, self._order.stream, header.count, header.raw_bytes, header.last, header.last_time)
            for first, last in header.origin.gaps:
                signals.gap(name, first, last, "deleted")
        await self._progressed()

    # --- watch

    async def _watch(self) -> None:
        """Look at the stream again and again: deleted and made anew, or configured otherwise, means bind."""
        while True:
            await self._tools.sleep(_LOOK_S)
            now = await self._tools.nats.streams.info(self._order.stream)
            if (now.created, now.config) != (self._bound.info.created, self._bound.info.config):
                raise MustBind(Reason.STREAM_CHANGED)


def _date(key: str) -> str:
    """The day in an object key: the next key's is never before it, so that keys sort by seq whatever clocks do."""
    parsed = parse_key(key)
    return parsed.date if parsed is not None else ""
