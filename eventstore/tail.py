"""The end of the log, read once per node and shared by all who follow it."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncGenerator, Sequence
from operator import attrgetter
from random import Random

from typing_extensions import override

from eventstore.background import Background
from eventstore.backoff import Backoff
from eventstore.batcher import Signal, Silent
from eventstore.errors import LogRewound, LogUnavailable
from eventstore.event import Position, Recorded
from eventstore.listener import Listener
from eventstore.store import EventStore

PAGE = 1000
"""Events per read."""

WINDOW = 2 * PAGE
"""Events kept for followers; who falls farther behind reads the store by himself."""

INTERVAL = 1.0
"""Seconds between looks when nothing wakes us, give or take a fifth."""


class Tail(Background):
    """Reads new events as they commit.

    Three wakers, each enough alone: `wake` (set by the local batcher), `listener` (NOTIFY of any node), a timer.
    """

    def __init__(
        self,
        store: EventStore,
        wake: asyncio.Event | None = None,
        listener: Listener | None = None,
        *,
        signal: Signal | None = None,
        interval: float = INTERVAL,
        chance: Random | None = None,
    ) -> None:
        self.wake = wake or asyncio.Event()
        self._store = store
        self._listener = listener
        self._signal = signal or Silent()
        self._interval = interval
        self._chance = chance or Random()  # noqa: S311 - jitter is no secret
        self._window: list[Recorded] = []
        self._floor: Position | None = None
        self._position = Position(0)
        self._last: Recorded | None = None
        self._grown = asyncio.Event()
        self._rewound: LogRewound | None = None
        self.rewinds = 0
        """How often an older copy of the log took its place; who reads by himself begins anew when it has risen."""
        self._reads = 0
        self._proven = 0
        self._asked = 0

    @property
    def position(self) -> Position:
        """How far this tail has read."""
        return self._position

    @override
    async def run(self) -> None:
        """Read for ever, whatever happens to Postgres."""
        async with asyncio.TaskGroup() as tasks:
            if self._listener is not None:
                tasks.create_task(self._listener.run(self.wake.set), name="eventstore listener")
            await self._begin()
            while True:
                await self._read_on()

    async def follow(self, after: Position, *, idle: float | None = None) -> AsyncGenerator[Sequence[Recorded]]:
        """Every event with position > `after`, in order, in pages as they come, for ever.

        With `idle` a page is empty when nothing came for so many seconds: who must do something then stays here, for
        who comes back is not told what happened between.
        Raises LogRewound when an older copy of the log was put in its place meanwhile.
        """
        cursor, rewound = after, self._rewound
        proof, due = None, _after(idle)
        while True:
            grown = self._grown
            if self._rewound is not None and self._rewound is not rewound:
                raise self._rewound
            page: Sequence[Recorded] = []
            if self._floor is not None and cursor < self._floor:
                page, proof = await self._from_store(cursor), None
            else:
                proof = self._proof_of(cursor) if proof is None else proof
                page = self._in_window(cursor) if self._proven >= proof else ()
            if page:
                cursor = page[-1].position
            elif await _happens(grown, due):
                continue
            yield page
            due = _after(idle)

    async def _begin(self) -> None:
        self._position = self._floor = await self._head()
        self._announce()

    async def _read_on(self) -> None:
        """Read what is new, and with it the last event that was read: only behind that one does a page go on."""
        self.wake.clear()
        self._reads += 1
        try:
            page = await self._store.read_log(Position(max(self._position - 1, 0)), PAGE + 1)
        except LogUnavailable as away:
            self._signal.away(away.reason)
            await self._head()
            self._signal.back()
            return
        if self._position and not self._is_known(page):
            self._fall_back(await self._head())
            return
        self._keep(page[1:] if self._position else page)
        if len(page) < PAGE:
            await self._sleep()

    def _is_known(self, page: Sequence[Recorded]) -> bool:
        """Whether a page begins with the last event that was read; of what stood there before us any is as good."""
        if not page or page[0].position != self._position:
            return False
        self._last = self._last or page[0]
        return page[0] == self._last

    def _proof_of(self, cursor: Position) -> int:
        """Which read proves what the window has behind the cursor: the first that begins from now on.

        Whoever stands at the cursor knows it from a log that is younger than the window, which may be of one that is no more.
        """
        if cursor >= self._position:
            return 0
        self._asked = self._reads + 1
        self.wake.set()
        return self._asked

    async def _head(self) -> Position:
        backoff = Backoff(chance=self._chance)
        while True:
            try:
                return await self._store.head()
            except LogUnavailable as away:
                self._signal.away(away.reason)
                await asyncio.sleep(backoff.next())

    def _fall_back(self, head: Position) -> None:
        """An older copy of the log is in its place: forget what it does not hold."""
        self._rewound = LogRewound(self._position, head)
        self.rewinds += 1
        self._window.clear()
        self._last = None
        self._position = self._floor = head
        self._announce()

    async def _sleep(self) -> None:
        seconds = self._interval * self._chance.uniform(0.8, 1.2)
        try:
            async with asyncio.timeout(seconds):
                await self.wake.wait()
        except TimeoutError:
            return

    def _keep(self, page: Sequence[Recorded]) -> None:
        asked = self._proven < self._asked <= self._reads
        self._proven = self._reads
        if page:
            self._window.extend(page)
            self._last = page[-1]
            self._position = self._last.position
        if len(self._window) > 2 * WINDOW:
            self._floor = self._window[-WINDOW - 1].position
            del self._window[:-WINDOW]
        if page or asked:
            self._announce()

    def _announce(self) -> None:
        grown, self._grown = self._grown, asyncio.Event()
        grown.set()

    def _in_window(self, cursor: Position) -> Sequence[Recorded]:
        start = bisect_right(self._window, cursor, key=attrgetter("position"))
        return self._window[start : start + PAGE]

    async def _from_store(self, cursor: Position) -> Sequence[Recorded]:
        backoff = Backoff(chance=self._chance)
        while True:
            try:
                return await self._store.read_log(cursor, PAGE)
            except LogUnavailable:
                await asyncio.sleep(backoff.next())


def _after(seconds: float | None) -> float | None:
    return None if seconds is None else asyncio.get_running_loop().time() + seconds


async def _happens(event: asyncio.Event, before: float | None) -> bool:
    try:
        async with asyncio.timeout_at(before):
            return await event.wait()
    except TimeoutError:
        return False
