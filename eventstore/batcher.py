"""Many appends, one call: what is queued while a call is under way is the next call."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from types import TracebackType
from typing import Protocol, assert_never

from typing_extensions import override

from eventstore.background import Background
from eventstore.backoff import Backoff
from eventstore.errors import EventStoreError, Fenced, LogUnavailable, Stopped, VersionConflict
from eventstore.event import Append, Appended, Conflict, Outcome, Position, Refused
from eventstore.store import EventStore

_DRAIN_S = 2.0
"""How long the end waits for what is queued: Postgres may be away."""


class Signal(Protocol):
    """Whom to tell how the log is. Each call is quick and does not raise."""

    def away(self, reason: str) -> None: ...

    def back(self) -> None: ...

    def appended(self, count: int, head: Position, seconds: float) -> None:
        """`count` events are durable, the last at position `head`; one call of the store took `seconds`."""
        ...


class Silent:
    """A signal that nobody hears."""

    def away(self, reason: str) -> None: ...

    def back(self) -> None: ...

    def appended(self, count: int, head: Position, seconds: float) -> None: ...


class Settable(Protocol):
    """What is set after each success: an asyncio.Event will do."""

    def set(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one call carries, and how many appends may wait behind the next one before their writers wait too."""

    events: int = 1000
    bytes: int = 1 << 20
    queued: int = 1024


@dataclass(slots=True)
class _Pending:
    append: Append
    done: asyncio.Future[Appended]


class Batcher(Background):
    """The one writer of a node. As an async context manager it drains at its end."""

    def __init__(
        self,
        store: EventStore,
        *,
        wake: Settable | None = None,
        signal: Signal | None = None,
        limits: Limits | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self._store = store
        self._wake = wake
        self._signal = signal or Silent()
        self._limits = limits or Limits()
        self._backoff = backoff or Backoff()
        self._queue: asyncio.Queue[_Pending] = asyncio.Queue(self._limits.queued)
        self._held: _Pending | None = None
        self._ended = False

    async def append(self, append: Append) -> Appended:
        """Wait until it is durable. Raises VersionConflict, Fenced, or Stopped when the batcher ends first.

        While Postgres is away this waits. Who gives up waiting (is cancelled) does not know whether it was written.
        """
        if self._ended:
            raise Stopped(append.entity_id)
        pending = _Pending(append, asyncio.get_running_loop().create_future())
        await self._queue.put(pending)
        if self._ended:
            self._give_up()
        return await pending.done

    @property
    def queued(self) -> int:
        """How many appends wait for the next call."""
        return self._queue.qsize() + (self._held is not None)

    async def drain(self) -> None:
        """Wait until all that was queued is written; bound it with asyncio.timeout, for Postgres may be away."""
        await self._queue.join()

    @override
    async def run(self) -> None:
        """Write for ever; when cancelled, whoever still waits gets Stopped."""
        batch: list[_Pending] = []
        try:
            while True:
                batch = await self._next_batch()
                await self._write(batch)
        finally:
            self._ended = True
            _stop(batch)
            self._give_up()

    @override
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_DRAIN_S):
                        await self.drain()
        finally:
            await super().__aexit__(kind, error, trace)

    async def _next_batch(self) -> list[_Pending]:
        """What waits now, within the limits; at least one, and none whose writer gave up."""
        first = self._held or await self._queue.get()
        self._held = None
        batch: list[_Pending] = []
        events = size = 0
        pending: _Pending | None = first
        while pending is not None:
            events += len(pending.append.events)
            size += pending.append.bytes
            if batch and (events > self._limits.events or size > self._limits.bytes):
                self._held = pending
                break
            batch.append(pending)
            pending = None if self._queue.empty() else self._queue.get_nowait()
        return batch

    async def _write(self, batch: Sequence[_Pending]) -> None:
        """Settle everyone in the batch: written, refused, or failed by its own fault."""
        live = [pending for pending in batch if not pending.done.done()]
        try:
            outcomes = await self._insist([pending.append for pending in live]) if live else []
        except Exception:  # noqa: BLE001 - the guilty one of many is found by sending each alone
            await self._write_alone(live)
        else:
            for pending, outcome in zip(live, outcomes, strict=True):
                self._settle(pending, outcome)
        for _ in batch:
            self._queue.task_done()

    async def _write_alone(self, live: Sequence[_Pending]) -> None:
        """A call is several transactions where an entity is in it twice: what failed may have written some of it."""
        for pending in live:
            try:
                (outcome,) = await self._insist([pending.append], doubtful=True)
            except Exception as own:  # noqa: BLE001 - it is handed to the one whose append caused it
                _fail(pending, own)
            else:
                self._settle(pending, outcome)

    def _settle(self, pending: _Pending, outcome: Outcome) -> None:
        _tell(pending, outcome)
        if self._wake is not None and isinstance(outcome, Appended):
            self._wake.set()

    async def _insist(self, appends: Sequence[Append], *, doubtful: bool = False) -> list[Outcome]:
        """The outcomes, however long Postgres is away; an attempt that may have committed is recognised."""
        away = False
        while True:
            try:
                outcomes = await self._timed(appends)
                if doubtful:
                    outcomes = [await self._resolve(a, o) for a, o in zip(appends, outcomes, strict=True)]
                if away:
                    self._signal.back()
            except LogUnavailable as fault:
                doubtful = away = True
                self._signal.away(fault.reason)
                await asyncio.sleep(self._backoff.next())
            else:
                self._backoff.reset()
                return outcomes

    async def _timed(self, appends: Sequence[Append]) -> list[Outcome]:
        begun = monotonic()
        outcomes = await self._store.append(appends)
        written = [(append, each) for append, each in zip(appends, outcomes, strict=True) if isinstance(each, Appended)]
        if written:
            head = max(each.last for _, each in written)
            self._signal.appended(sum(len(append.events) for append, _ in written), head, monotonic() - begun)
        return outcomes

    async def _resolve(self, append: Append, outcome: Outcome) -> Outcome:
        """What an attempt before this one did: it wrote, if the events at our place carry our ids."""
        if isinstance(outcome, Appended):
            return outcome
        found = await self._store.read(append.entity_id, append.expected, len(append.events))
        if [event.event_id for event in found] != [event.event_id for event in append.events]:
            return outcome
        return Appended(append.entity_id, found[-1].version, found[0].position, found[-1].position)

    def _give_up(self) -> None:
        waiting = [self._held] if self._held else []
        self._held = None
        while not self._queue.empty():
            waiting.append(self._queue.get_nowait())
        _stop(waiting)
        for _ in waiting:
            self._queue.task_done()


def _tell(pending: _Pending, outcome: Outcome) -> None:
    append = pending.append
    match outcome:
        case Appended():
            if not pending.done.done():
                pending.done.set_result(outcome)
        case Conflict(actual=actual):
            _fail(pending, VersionConflict(append.entity_id, append.expected, actual))
        case Refused(fence=fence):
            _fail(pending, Fenced(append.entity_id, append.fence, fence))
        case _:
            assert_never(outcome)


def _fail(pending: _Pending, fault: Exception | EventStoreError) -> None:
    if not pending.done.done():
        pending.done.set_exception(fault)


def _stop(waiting: Sequence[_Pending]) -> None:
    for pending in waiting:
        _fail(pending, Stopped(pending.append.entity_id))
