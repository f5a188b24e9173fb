"""From sealed batches to objects in the bucket: pressed two at once, linked in order, sent several at once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from nats3.buffer import Seal, Sealed
from nats3.chunk.encode import Pressed, press, seal
from nats3.chunk.layout import Codec, Encoded, Origin
from nats3.chunk.object_key import parse_key
from nats3.job.order import StoreOrder
from nats3.job.storing import gaps_within
from nats3.objects.store import ObjectStore
from nats3.work.bind import Bound
from nats3.work.budget import Account
from nats3.work.effort import effort_of
from nats3.work.intake import cost
from nats3.work.run import Claimed, StoringRun
from nats3.work.tools import Tools

AT_ONCE = 2
"""Batches of one job that are pressed at once: what comes next fills meanwhile."""

IN_FLIGHT = 12
"""Chunks that are sent and not yet settled: small ones wait as long for the bucket and the log as large ones."""


@dataclass(frozen=True, slots=True)
class Shipped:
    """A chunk on its way to the bucket; `stored` ends once its bytes are proven to be there, with the time that it took.

    `seqs` are those of its messages where each is acknowledged by itself, else none.
    """

    chunk: Encoded
    sealed_by: Seal
    began: float
    seqs: tuple[int, ...]
    stored: asyncio.Task[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class _Ready:
    """A pressed batch that waits for the chunk before it."""

    pressed: Pressed
    gaps: tuple[tuple[int, int], ...]
    sealed_by: Seal
    began: float
    seqs: tuple[int, ...]


class Shipping:
    """One binding's chunks, from `sealed` to `shipped`, which both end with None."""

    def __init__(
        self,
        order: StoreOrder,
        bound: Bound,
        origin: Origin,
        tools: Tools,
        objects: ObjectStore,
        account: Account,
    ) -> None:
        self._order = order
        self._bound = bound
        self._origin = origin
        self._tools = tools
        self._objects = objects
        self._account = account
        self._effort = effort_of(order.level)
        self._seen = origin.previous_seq
        self._ready_at = tools.monotonic()
        self._free = asyncio.Semaphore(AT_ONCE)
        self._pressing: asyncio.Queue[asyncio.Task[_Ready] | None] = asyncio.Queue()
        self.sealed: asyncio.Queue[Sealed | None] = asyncio.Queue(1)
        self.shipped: asyncio.Queue[Shipped | None] = asyncio.Queue(IN_FLIGHT)

    async def press_all(self, tasks: asyncio.TaskGroup) -> None:
        """Press every batch, a few at once; `ship_all` takes them in order."""
        while (sealed := await self.sealed.get()) is not None:
            await self._free.acquire()
            began, self._ready_at = self._ready_at, self._tools.monotonic()
            gaps = () if self._bound.filtered else gaps_within(self._seen, sealed.batch.seqs)
            self._seen = sealed.batch.seqs[-1]
            await self._pressing.put(tasks.create_task(self._press(sealed, gaps, self._ready_at - began)))
            del sealed
        await self._pressing.put(None)

    async def _press(self, sealed: Sealed, gaps: tuple[tuple[int, int], ...], passed_s: float) -> _Ready:
        began, batch, level = self._tools.monotonic(), sealed.batch, self._effort.level
        codec = Codec(self._order.codec)
        self._account.hold(sealed.message_bytes)
        try:
            pressed = await self._tools.in_thread(lambda: press(batch, codec, level))
        finally:
            self._free.release()
        self._effort = self._effort.after(self._tools.monotonic() - began, passed_s)
        self._account.hold(pressed.stored_bytes)
        self._account.give(sealed.message_bytes + cost(len(batch), sealed.message_bytes))
        seqs = tuple(batch.seqs) if self._bound.explicit else ()
        return _Ready(pressed, gaps, sealed.reason, began, seqs)

    async def ship_all(self, tasks: asyncio.TaskGroup) -> None:
        """Link each chunk to the one before it, then let it go."""
        while (pressing := await self._pressing.get()) is not None:
            shipped = await self._ship(await pressing, tasks)
            del pressing  # it holds the frames
            await self.shipped.put(shipped)
        await self.shipped.put(None)

    async def _ship(self, ready: _Ready, tasks: asyncio.TaskGroup) -> Shipped:
        chunk = await self._link(ready)
        await self._tools.reach("store.after_encode")
        return Shipped(chunk, ready.sealed_by, ready.began, ready.seqs, tasks.create_task(self._put(chunk)))

    async def _link(self, ready: _Ready) -> Encoded:
        """The chunk, linked to the one before it by that one's hash: so this is done one by one."""
        origin = replace(self._origin, gaps=ready.gaps)
        chunk = await self._tools.in_thread(lambda: seal(ready.pressed, origin))
        self._origin = replace(
            origin,
            previous_seq=chunk.header.last,
            previous_sha256=chunk.sha256,
            date_floor=date_of(chunk.key),
        )
        self._account.hold(len(chunk.body) - ready.pressed.stored_bytes)
        return chunk

    async def _put(self, chunk: Encoded) -> tuple[float, float]:
        """Only what the consumer gave as we made it is sent: any later bind may adopt what lies in the bucket."""
        await self._bound.consumer.require_unchanged()
        began = self._tools.monotonic()
        await self._tools.reach("store.before_put")
        await self._objects.put_new(self._order.bucket, chunk.key, chunk.body, chunk.sha256)
        await self._tools.reach("store.after_put")
        return began, self._tools.monotonic()


def first_origin(claimed: Claimed, order: StoreOrder, bound: Bound, run: StoringRun, log_id: str) -> Origin:
    """What the first chunk of a binding follows."""
    state = run.state
    last = state.last_chunk
    return Origin(
        log_id=log_id,
        job_id=claimed.job_id,
        stream=order.stream,
        subject_filter=order.subject,
        consumer=order.consumer,
        opening=state.lives[-1],
        previous_seq=state.cursor,
        previous_sha256=state.tip,
        activation=claimed.fence,
        bind=bound.bind,
        prefix=order.prefix or "",
        date_floor=date_of(last.key) if last is not None and last.life == state.lives[-1].uuid else "",
    )


def date_of(key: str) -> str:
    """The day in an object key: the next key's is never before it, so that keys sort by seq whatever clocks do."""
    parsed = parse_key(key)
    return parsed.date if parsed is not None else ""
