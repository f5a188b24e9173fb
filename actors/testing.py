"""The test kit: a clock that is moved, a log in memory, a seeded event loop, and actors and observers that tell."""

from __future__ import annotations

import asyncio
import heapq
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Generic, TypeVar, cast

from actors.actor import Actor
from actors.errors import Conflict, Fenced, Kind
from actors.journal import History
from actors.seeded import SeededLoop, Stuck, run_seeded
from actors.supervision import StopReason

E = TypeVar("E")

__all__ = [
    "Failed",
    "ManualClock",
    "MemoryJournal",
    "MemoryLog",
    "Noticed",
    "Probe",
    "Recorder",
    "Restarted",
    "SeededLoop",
    "Stopped",
    "Stuck",
    "run_seeded",
    "settle",
]


async def settle() -> None:
    """Let every other task go on until all of them wait. For asyncio's own loops: there is no public way to ask."""
    ready = cast("Any", asyncio.get_running_loop())._ready  # noqa: SLF001
    await asyncio.sleep(0)
    while ready:  # noqa: ASYNC110  emptiness of the run queue has no event
        await asyncio.sleep(0)


@dataclass(order=True, slots=True)
class _Alarm:
    at: float
    number: int
    ring: Callable[[], object] = field(compare=False)


class ManualClock:
    """A Clock that stands still until `advance` moves it."""

    def __init__(self, now: float = 0.0) -> None:
        self._now = now
        self._alarms: list[_Alarm] = []
        self._numbers = count()

    def monotonic(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            return await asyncio.sleep(0)
        over = asyncio.Event()
        alarm = self._set(seconds, over.set)
        try:
            await over.wait()
        finally:
            self._unset(alarm)
        return None

    def timeout(self, seconds: float) -> AbstractAsyncContextManager[object]:
        return self._timeout(seconds)

    async def advance(self, seconds: float) -> None:
        """Move on, stopping at every moment that someone waits for until all that follows from it has happened."""
        await settle()
        end = self._now + seconds
        while self._alarms and self._alarms[0].at <= end:
            alarm = heapq.heappop(self._alarms)
            self._now = alarm.at
            alarm.ring()
            await settle()
        self._now = end

    @asynccontextmanager
    async def _timeout(self, seconds: float) -> AsyncGenerator[None]:
        if seconds <= 0:
            async with asyncio.timeout(0):
                yield
            return
        async with asyncio.timeout(None) as scope:
            alarm = self._set(seconds, lambda: scope.reschedule(0))
            try:
                yield
            finally:
                self._unset(alarm)

    def _set(self, seconds: float, ring: Callable[[], object]) -> _Alarm:
        alarm = _Alarm(self._now + seconds, next(self._numbers), ring)
        heapq.heappush(self._alarms, alarm)
        return alarm

    def _unset(self, alarm: _Alarm) -> None:
        if alarm in self._alarms:
            self._alarms.remove(alarm)
            heapq.heapify(self._alarms)


@dataclass(slots=True)
class _Entity(Generic[E]):
    fence: int = 0
    events: list[E] = field(default_factory=list["E"])
    fences: list[int] = field(default_factory=list[int])  # under which each event was written
    snapshot: tuple[int, object] | None = None


class MemoryLog(Generic[E]):
    """Entities of one process. `claim` gives the journal of one under a new fence; older journals are refused."""

    def __init__(self) -> None:
        self._entities: defaultdict[str, _Entity[E]] = defaultdict(_Entity[E])

    def claim(self, entity: str) -> MemoryJournal[E]:
        self._entities[entity].fence += 1
        return MemoryJournal(entity, self._entities[entity].fence, self._entities[entity])

    def events(self, entity: str) -> list[E]:
        return list(self._entities[entity].events)

    def fences(self, entity: str) -> list[int]:
        """The fence that each event was written under, by version."""
        return list(self._entities[entity].fences)


class MemoryJournal(Generic[E]):
    """A Journal. Every method gives way once before and once after it acts, so that a cancellation can strike at both.

    `fail_next_append` plants what a call of `append` raises, one call each; with `written=True` it strikes after the
    events were written, like a connection lost before the answer.
    """

    def __init__(self, name: str, fence: int, entity: _Entity[E]) -> None:
        self.name = name
        self.fence = fence
        self._entity = entity
        self._faults: list[tuple[BaseException, bool]] = []

    def fail_next_append(self, error: BaseException, *, written: bool) -> None:
        self._faults.append((error, written))

    async def recover(self) -> History[E]:
        await asyncio.sleep(0)
        snapshot, events = self._entity.snapshot, tuple(self._entity.events)
        await asyncio.sleep(0)
        if snapshot is None:
            return History(None, events, len(events))
        version, state = snapshot
        return History(state, events[version:], len(events))

    async def append(self, expected: int, events: Sequence[E]) -> int:
        await asyncio.sleep(0)
        error, written = self._faults.pop(0) if self._faults else (None, True)
        if written:
            self._write(expected, events)
        version = len(self._entity.events)
        if error is not None:
            raise error
        await asyncio.sleep(0)
        return version

    async def save(self, version: int, state: object) -> None:
        await asyncio.sleep(0)
        if self._entity.snapshot is None or self._entity.snapshot[0] < version:
            self._entity.snapshot = (version, state)
        await asyncio.sleep(0)

    def _write(self, expected: int, events: Sequence[E]) -> None:
        if self.fence != self._entity.fence:
            raise Fenced(self.name, self.fence)
        if expected != len(self._entity.events):
            raise Conflict(self.name, expected, len(self._entity.events))
        self._entity.events.extend(events)
        self._entity.fences.extend([self.fence] * len(events))


class Probe(Actor):
    """Keeps what it receives and answers with it. `gate` holds it up within `receive` while it is cleared."""

    def __init__(self) -> None:
        self.received: list[object] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self._changed = asyncio.Condition()

    async def receive(self, message: object) -> object:  # pyright: ignore[reportImplicitOverride]  as above
        self.received.append(message)
        async with self._changed:
            self._changed.notify_all()
        await self.gate.wait()
        return message

    async def has_received(self, number: int) -> list[object]:
        """Wait for the `number`th message; return all."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.received) >= number)
        return self.received


@dataclass(frozen=True, slots=True)
class Restarted:
    name: str
    error: BaseException
    kind: Kind
    delay: float


@dataclass(frozen=True, slots=True)
class Failed:
    name: str
    error: BaseException


@dataclass(frozen=True, slots=True)
class Stopped:
    name: str
    reason: StopReason


@dataclass(frozen=True, slots=True)
class Noticed:
    name: str
    error: BaseException


Heard = Restarted | Failed | Stopped | Noticed


class Recorder:
    """An Observer that keeps all it hears, in order."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []

    def on_restarted(self, name: str, error: BaseException, kind: Kind, delay: float) -> None:
        self.heard.append(Restarted(name, error, kind, delay))

    def on_failed(self, name: str, error: BaseException) -> None:
        self.heard.append(Failed(name, error))

    def on_stopped(self, name: str, reason: StopReason) -> None:
        self.heard.append(Stopped(name, reason))

    def on_noticed(self, name: str, error: BaseException) -> None:
        self.heard.append(Noticed(name, error))
