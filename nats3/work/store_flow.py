"""From the source to settled chunks, for as long as one binding lasts.

Stages, each a task: take in (receive and cut), press (two batches at once), ship (link in order, PUT several at once),
settle (record, then acknowledge, strictly in order). Bounded queues and the budget between them are the back-pressure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from nats3.buffer import Seal
from nats3.chunk.layout import ChunkHeader
from nats3.jetstream.errors import MustBind, Reason
from nats3.job.gaps import PossibleGap
from nats3.job.order import StoreOrder
from nats3.job.storing import ChunkFlushed
from nats3.message import fingerprint
from nats3.objects.store import ObjectStore
from nats3.work.archive import Archive
from nats3.work.backlog import Backlog
from nats3.work.bind import Bound, require_as_bound
from nats3.work.drops import Drops
from nats3.work.endure import sole
from nats3.work.intake import Intake, Reading
from nats3.work.record import flushed
from nats3.work.run import Claimed, StoringRun
from nats3.work.shipping import Shipped, Shipping, first_origin
from nats3.work.tools import Times, Tools

_LOOK_S = 30.0
"""How often the stream is looked at again while all is quiet."""


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
        keep_house: Callable[[], Awaitable[None]],
    ) -> None:
        self._order = order
        self._bound = bound
        self._source = bound.source
        self._run = run
        self._tools = tools
        self._progressed = progressed
        archive = Archive(objects, tools.index, tools.in_thread)
        origin = first_origin(claimed, order, bound, run, tools.log_id)
        self._account = tools.budget.account(order.name)
        self._shipping = Shipping(order, bound, origin, tools, objects, self._account)
        reading = Reading(claimed.job_id, order, bound, run, archive)
        self._intake = Intake(reading, tools, self._account, self._shipping.sealed)
        self._drops = Drops(bound, run, tools.nats.streams)
        self._keep_house_for = keep_house

    async def run(self) -> None:
        """Until `finish` was asked for and everything received is settled. Raises what ends the binding."""
        try:
            async with asyncio.TaskGroup() as tasks:
                beside = [tasks.create_task(work()) for work in (self._watch, self._keep_house)]
                tasks.create_task(self._intake.run())
                tasks.create_task(self._shipping.press_all(tasks))
                tasks.create_task(self._shipping.ship_all(tasks))
                await self._settle_all()
                for task in beside:
                    task.cancel()
        except BaseExceptionGroup as group:
            raise sole(group) from None
        finally:
            self._account.close()
            await self._source.close()

    def finish(self, why: Seal) -> None:
        """Stop reading; what was received is still stored, recorded and acknowledged."""
        self._intake.finish(why)

    # --- settle

    async def _settle_all(self) -> None:
        more = True
        while more:
            shipped, more = await self._next_shipped()
            if shipped:
                await self.settle(shipped)

    async def _next_shipped(self) -> tuple[list[Shipped], bool]:
        """Everything that is under way, oldest first, to be recorded in one append; False when no more will come."""
        line = [await self._shipping.shipped.get()]
        while not self._shipping.shipped.empty():
            line.append(self._shipping.shipped.get_nowait())
        return [each for each in line if each is not None], line[-1] is not None

    async def settle(self, shipped: list[Shipped]) -> None:
        """Make chunks durable: stored, recorded, acknowledged, in this order."""
        for each in shipped:
            await each.stored
        ready = self._tools.monotonic()
        possible = await self._drops.over([each.chunk.header for each in shipped])
        await self._tools.reach("store.before_append")
        await self._run.emit(*possible, *map(self._event, shipped))
        recorded = self._tools.monotonic()
        await self._tools.reach("store.after_append")
        await self._acknowledge(shipped)
        await self._tools.reach("store.after_ack")
        await self._report(shipped, possible, (ready, recorded))

    def _event(self, shipped: Shipped) -> ChunkFlushed:
        chunk = shipped.chunk
        sealed_by = shipped.sealed_by.value
        return flushed(self._order.bucket, chunk.key, chunk.header, chunk.sha256, len(chunk.body), sealed_by=sealed_by)

    async def _acknowledge(self, shipped: list[Shipped]) -> None:
        """Only called once the chunks are in the log."""
        last = shipped[-1].chunk.header
        if shipped[0].chunk.header.origin.previous_seq < self._intake.came_again:
            await self._require_the_same(last)
        if self._bound.explicit:
            await self._source.ack_each([seq for each in shipped for seq in each.seqs])
        else:
            await self._source.ack_up_to(last.last)

    async def _require_the_same(self, header: ChunkHeader) -> None:
        """Where a stream falls back under a living consumer, what comes again is another message. Above one that differs
        all do, so the last one answers for all; the next bind judges where it differs, or is gone.
        """
        there = await self._tools.nats.streams.message(self._order.stream, header.last)
        if there is None or fingerprint(there) != header.last_fingerprint:
            raise MustBind(Reason.STREAM_CHANGED, f"seq {header.last} is not the message that was received")

    async def _report(self, shipped: list[Shipped], possible: list[PossibleGap], append: tuple[float, float]) -> None:
        now, name, signals = self._tools.monotonic(), self._order.name, self._tools.signals
        for each in shipped:
            header = each.chunk.header
            self._account.give(len(each.chunk.body))
            signals.chunk_stored(name, each.chunk, Times(each.began, await each.stored, append, now))
            signals.archived(name, self._order.stream, header.count, header.raw_bytes, header.last, header.last_time)
            for first, last in header.origin.gaps:
                signals.gap(name, first, last, "deleted")
        for gap in possible:
            signals.gap(name, gap.first, gap.last, "possible")
        await self._progressed()

    # --- watch

    async def _keep_house(self) -> None:
        await self._keep_house_for()

    async def _watch(self) -> None:
        """Look again and again at what may change under us: another stream or another configuration of it or of our
        consumer means bind, and a consumer that an owner before us made late would pin an interest stream.
        """
        streams, now = self._tools.nats.streams, self._bound.info
        backlog = Backlog(self._order, self._bound, self._run, streams, self._tools.signals)
        while True:
            await backlog.tell(now)
            await self._tools.sleep(_LOOK_S)
            now = await streams.info(self._order.stream)
            require_as_bound(now, self._bound.info)
            await self._bound.consumer.look()
            await self._progressed()
