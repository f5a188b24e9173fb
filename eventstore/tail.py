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
        self._grown = asyncio.Event()
        self._rewound: LogRewound | None = None

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

    async def follow(self, after: Position) -> AsyncGenerator[Sequence[Recorded]]:
        """Every event with position > `after`, in order, in pages as they come, for ever.

        Raises LogRewound when an older copy of the log was put in its place meanwhile.
        """
        cursor, rewound = after, self._rewound
        while True:
            grown = self._grown
            if self._rewound is not None and self._rewound is not rewound:
                raise self._rewound
            page = await self._page_after(cursor)
            if page:
                cursor = page[-1].position
                yield page
            else:
                await grown.wait()

    async def _begin(self) -> None:
        self._position = self._floor = await self._head()
        self._announce()

    async def _read_on(self) -> None:
        self.wake.clear()
        try:
            page = await self._store.read_log(self._position, PAGE)
        except LogUnavailable as away:
            self._signal.away(away.reason)
            await self._look_back(await self._head())
            self._signal.back()
            return
        self._keep(page)
        if len(page) < PAGE:
            await self._sleep()

    async def _head(self) -> Position:
        backoff = Backoff(chance=self._chance)
        while True:
            try:
                return await self._store.head()
            except LogUnavailable as away:
                self._signal.away(away.reason)
                await asyncio.sleep(backoff.next())

    async def _look_back(self, head: Position) -> None:
        """After an outage the log may be an older copy: forget what it does not hold."""
        if head < self._position:
            self._rewound = LogRewound(self._position, head)
            self._window.clear()
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
        if not page:
            return
        self._window.extend(page)
        self._position = page[-1].position
        if len(self._window) > 2 * WINDOW:
            self._floor = self._window[-WINDOW - 1].position
            del self._window[:-WINDOW]
        self._announce()

    def _announce(self) -> None:
        grown, self._grown = self._grown, asyncio.Event()
        grown.set()

    async def _page_after(self, cursor: Position) -> Sequence[Recorded]:
        """What is known behind the cursor; from the window, or from the store for who is behind it."""
        if self._floor is None:
            return []
        if cursor < self._floor:
            return await self._from_store(cursor)
        start = bisect_right(self._window, cursor, key=attrgetter("position"))
        return self._window[start : start + PAGE]

    async def _from_store(self, cursor: Position) -> Sequence[Recorded]:
        backoff = Backoff(chance=self._chance)
        while True:
            try:
                return await self._store.read_log(cursor, PAGE)
            except LogUnavailable:
                await asyncio.sleep(backoff.next())
