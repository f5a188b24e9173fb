"""From the source to sealed batches: asks for no more than the budget has, and cuts what arrives into chunks."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from dataclasses import dataclass
from itertools import groupby

from nats3.buffer import Buffer, BufferLimits, Seal, Sealed
from nats3.errors import Blocked
from nats3.jetstream.errors import MustBind, Reason
from nats3.job.order import StoreOrder
from nats3.job.storing import lineage
from nats3.message import Batch, one
from nats3.work.archive import Archive
from nats3.work.bind import Bound, most_unsettled
from nats3.work.budget import OVERHEAD, Account
from nats3.work.run import StoringRun
from nats3.work.tools import Tools

QUIET = 128 * 1024
"""Bytes that a job asks for while little comes: many quiet jobs together must leave room for a busy one."""

_QUIETEST = 16 * 1024
_PART = 4
"""Where many share little, a quiet job asks for this part of its share, but not for less than `_QUIETEST`."""

_EAGER = 4
"""How many times as much is asked for as came within the last second."""

_PACE_S = 1.0

_CHUNKS = 5
"""Parts of what one job may have: the open chunk, what is asked for beside it, and two that are being pressed."""

_GRAIN_S = 0.001
"""Wake up surely after what is waited for, not a rounding before it."""


def cost(count: int, message_bytes: int) -> int:
    """Bytes that a batch takes in memory."""
    return message_bytes + OVERHEAD * count


@dataclass(frozen=True, slots=True)
class Reading:
    """What an intake reads from, and whose."""

    job_id: str
    order: StoreOrder
    bound: Bound
    run: StoringRun
    archive: Archive


class Intake:
    """One binding's reading. `sealed` gets each batch that is ready to become a chunk, in order, and None at the end."""

    def __init__(self, reading: Reading, tools: Tools, account: Account, sealed: asyncio.Queue[Sealed | None]) -> None:
        self._reading = reading
        self._order = reading.order
        self._source = reading.bound.source
        self._run = reading.run
        self._tools = tools
        self._sealed = sealed
        self._account = account
        account.flush = self.relieve
        self._appetite = QUIET
        self._come = 0
        self._since = tools.monotonic()
        self._buffer = Buffer(self._limits())
        self._patience: asyncio.Timeout | None = None
        self._ending: Seal | None = None
        self._due: Seal | None = None
        self._settled = reading.run.state.cursor
        self.came_again = 0
        """Up to which seq something was delivered again while it was under way."""

    def _limits(self) -> BufferLimits:
        """The order's limits, under what this job may have of the memory and what the stream lets be unacknowledged:
        they are ceilings, not promises.
        """
        ordered = self._order.limits
        max_bytes = min(ordered.max_bytes, self._tools.budget.most // _CHUNKS)
        max_count = min(ordered.max_count, most_unsettled(self._reading.bound.info) or ordered.max_count)
        return BufferLimits(max_bytes, max_count, ordered.max_age_s)

    async def run(self) -> None:
        """Until `finish` was asked for."""
        while self._ending is None:
            fresh = await self._receive()
            for sealed in self._take(fresh):
                await self._tools.reach("store.after_seal")
                await self._sealed.put(sealed)
        last = self._buffer.flush(self._ending)
        if last is not None:
            await self._sealed.put(last)
        await self._sealed.put(None)

    def finish(self, why: Seal) -> None:
        """Read nothing more."""
        self._ending = self._ending or why
        self._wake()

    def relieve(self) -> None:
        """Others are short of memory: let go what the open chunk holds."""
        self._due = Seal.MEMORY
        self._wake()

    def _wake(self) -> None:
        if self._patience is not None and not self._patience.expired():
            self._patience.reschedule(0)

    def _take(self, fresh: Batch) -> list[Sealed]:
        """The chunks that are ready now: full, old enough, or wanted by others."""
        now = self._tools.monotonic()
        ready = self._buffer.add(fresh, now)
        late = self._buffer.tick(now)
        if late is None and self._due is not None:
            late = self._buffer.flush(self._due)
        if late is not None:
            self._appetite, self._come = QUIET, 0
        self._due = None
        self._account.open_bytes = cost(len(self._buffer), self._buffer.message_bytes)
        return [*ready, late] if late is not None else ready

    async def _receive(self) -> Batch:
        """What is new, waiting at most until the buffer is due or somebody asks to finish; perhaps nothing."""
        try:
            async with asyncio.timeout(self._due_in()) as self._patience:
                await self._ask()
                delivered = await self._source.receive()
        except TimeoutError:
            return Batch()
        finally:
            self._patience = None
        await self._tools.reach("store.after_recv")
        self._book(delivered.batch)
        if len(delivered.again):
            await self._acknowledge_again(delivered.again)
        return await self._unsettled(delivered.batch)

    def _due_in(self) -> float | None:
        if self._ending is not None or self._due is not None:
            return 0
        deadline = self._buffer.deadline()
        return None if deadline is None else max(0.0, deadline - self._tools.monotonic()) + _GRAIN_S

    # --- memory

    async def _ask(self) -> None:
        """Keep as much under way as fills the open chunk and the next one, so that the server never waits for us.

        Little at first, and more when that comes at once. Waits for memory while there is none for a first request.
        """
        room, limits, account = self._buffer.room(), self._buffer.limits, self._account
        least = self._least()
        wanted = max(min(room.bytes + limits.max_bytes, self._appetite), least)
        more = wanted - account.coming
        if account.coming < least:
            taken = account.take(more, least - account.coming) or await self._wait_for(least)
            account.coming += taken  # which waiting may have lessened
        elif _EAGER * more >= wanted:
            account.coming += account.take(more)
        self._source.ask(room.messages + limits.max_count, min(account.coming, wanted))
        self._give_unused()

    async def _wait_for(self, least: int) -> int:
        """Wait in turn until `least` may come; meanwhile hold nothing that others may wait for. What was given for it."""
        self._source.ask(0, 0)
        self._give_unused()
        return await self._account.obtain(least - self._account.coming)

    def _least(self) -> int:
        """Bytes of a request that brings the next message. Raises Blocked for one that no budget of this size can hold."""
        refused, any_message, most = self._source.refused, self._source.least_bytes, self._tools.budget.most
        if refused >= min(any_message, most):
            reason = (
                f"the next message of {self._order.stream} is larger than {refused} bytes, and one job may have {most}"
            )
            raise Blocked("message_too_large", f"{reason}: raise limits.memory")
        return min(any_message, most) if refused else min(self._quiet(), any_message, most)

    def _quiet(self) -> int:
        return min(QUIET, max(_QUIETEST, self._tools.budget.share // _PART))

    def _book(self, batch: Batch) -> None:
        """What has arrived is held; what was asked for and may still come stays reserved."""
        account, size = self._account, batch.raw_bytes()
        self._learn(size)
        account.hold(cost(len(batch), size))
        if not len(batch) and self._tools.budget.crowded:
            self._source.ask(0, 0)  # a request ended and brought nothing: let others have a turn
        self._give_unused()

    def _give_unused(self) -> None:
        """What will not come is held no more."""
        account = self._account
        unused = max(0, account.coming - self._source.may_arrive)
        account.coming -= unused
        account.give(unused)

    def _learn(self, size: int) -> None:
        """Ask for as much as comes in a few seconds."""
        now = self._tools.monotonic()
        if now - self._since > _PACE_S:
            self._appetite = max(QUIET, _EAGER * self._come)
            self._come, self._since = 0, now
        self._come += size
        self._appetite = max(self._appetite, _EAGER * self._come)

    # --- what came before

    async def _unsettled(self, batch: Batch) -> Batch:
        """What is new of a delivery. Only a work queue delivers what is settled: its consumer starts at the beginning."""
        if not len(batch) or batch.seqs[0] > self._settled:
            return batch
        if not self._reading.bound.explicit:
            raise MustBind(Reason.OUT_OF_ORDER)
        cut = bisect_right(batch.seqs, self._settled)
        known = batch.slice(0, cut)
        await self._drop_settled(known)
        self._account.give(cost(len(known), known.raw_bytes()))
        return batch.slice(cut, len(batch))

    async def _drop_settled(self, batch: Batch) -> None:
        """Acknowledge what is archived already and equal; leave alone what lies in a recorded gap."""
        same = await self._compared(batch)
        equal = [seq for seq, held in zip(batch.seqs, same, strict=True) if held]
        await self._source.ack_each(equal)
        self._tools.signals.redelivered(self._order.name, len(equal))

    async def _compared(self, batch: Batch) -> list[bool | None]:
        """Whether each message is archived, None in a recorded gap. Raises MustBind where another is, and Blocked."""
        state, archive, found = self._run.state, self._reading.archive, list[bool | None]()
        for holder, seqs in groupby(batch.seqs, lambda seq: lineage(state, state.lives[-1], seq)):
            part = batch.slice(len(found), len(found) + len(list(seqs)))
            unheld: list[bool | None] = [None] * len(part)
            job_id, sleep = self._reading.job_id, self._tools.sleep
            found += unheld if holder is None else await archive.compare(job_id, holder, part, sleep)
        if False in found:
            seq = batch.seqs[found.index(False)]
            raise MustBind(Reason.STREAM_CHANGED, f"seq {seq} is not the message that was archived")
        return found

    async def _acknowledge_again(self, again: Batch) -> None:
        """A redelivery of this consumer: acknowledge what is settled and equal; what is under way will be."""
        cursor = self._run.state.cursor
        self._tools.signals.redelivered(self._order.name, len(again))
        self.came_again = max(self.came_again, *(seq for seq in again.seqs if seq > cursor), 0)
        settled = Batch()
        for message in sorted({message.seq: message for message in again if message.seq <= cursor}.values()):
            settled.extend(one(message))
        same = await self._compared(settled)
        if not len(settled):
            return
        if self._reading.bound.explicit:
            await self._source.ack_each([seq for seq, held in zip(settled.seqs, same, strict=True) if held])
        else:
            await self._source.ack_up_to(settled.seqs[-1])
