"""How far a store job is behind its stream, by the server's own count and clock."""

from __future__ import annotations

from contextlib import suppress

from nats3.errors import Nats3Error
from nats3.jetstream.streams import StreamInfo, Streams
from nats3.job.order import StoreOrder
from nats3.work.bind import Bound
from nats3.work.run import StoringRun
from nats3.work.tools import Signals

_NS = 1_000_000_000


class Backlog:
    """Of one binding. Asks nothing while all that the stream has is archived."""

    def __init__(self, order: StoreOrder, bound: Bound, run: StoringRun, streams: Streams, signals: Signals) -> None:
        self._order = order
        self._consumer = bound.consumer.name
        self._run = run
        self._streams = streams
        self._signals = signals
        self._oldest: tuple[int, int] = (-1, 0)

    async def tell(self, info: StreamInfo) -> None:
        """Signal how many messages are not archived, and since when the oldest of them stands in the stream.

        Nothing is told where the server does not say, such as to a user who may not ask it: archiving goes on without.
        """
        with suppress(Nats3Error):
            pending, now = await self._waiting(info)
            since = await self._since(now) if pending else now
            self._signals.lag(self._order.name, self._order.stream, pending, max(0, now - since) / _NS)

    async def _waiting(self, info: StreamInfo) -> tuple[int, int]:
        """Messages that the consumer has yet to give or to hear an acknowledgement of, and the server's time."""
        if info.last <= self._run.state.cursor:
            return 0, 0
        found = await self._streams.consumer(self._order.stream, self._consumer)
        return (0, 0) if found is None else (found.pending + found.unacknowledged, found.now)

    async def _since(self, now: int) -> int:
        """Server time of the first message behind the cursor; the same one is not fetched twice."""
        cursor, (known, since) = self._run.state.cursor, self._oldest
        if known == cursor:
            return since
        first = await self._streams.message(self._order.stream, cursor + 1, self._order.subject or ">")
        if first is None:
            return now
        self._oldest = (cursor, first.time_ns)
        return first.time_ns
