"""An actor whose state is a fold of its log."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import reduce
from typing import Generic, TypeVar, cast

from actors.actor import Actor
from actors.errors import Conflict, Fenced
from actors.journal import Journal

S = TypeVar("S")
E = TypeVar("E")


class DurableActor(Actor, ABC, Generic[S, E]):
    """Gives `initial` and `evolve`, both pure; has `state` and `version`, there from `on_start` on.

    `state` is never ahead of the log. It is behind it only between an append and the step that follows.
    """

    state: S
    version: int

    def __init__(self, journal: Journal[E], snapshot_every: int | None = None) -> None:
        self._journal = journal
        self._snapshot_every = snapshot_every
        self._writing = asyncio.Lock()
        self._in_doubt = True

    @abstractmethod
    def initial(self) -> S:
        """State before the first event."""

    @abstractmethod
    def evolve(self, state: S, event: E) -> S:
        """State after the event; a new value, `state` stays as it is. An event it refuses is never written."""

    def restore(self, snapshot: object) -> S:
        """State out of what `save` was given."""
        return cast("S", snapshot)

    async def prepare(self) -> None:  # pyright: ignore[reportImplicitOverride]  typing.override is younger than 3.11
        await self.recover()

    async def recover(self) -> None:
        """Read the log again: snapshot and tail. After a Conflict: then decide anew."""
        async with self._writing:
            await self._read()

    async def emit(self, *events: E) -> int:
        """Append, then apply; return the version. One emit at a time, in the order of the calls.

        Raises Fenced and Conflict: nothing of this call is written. After any other error or a cancellation it may be
        in the log; so the next emit reads that first, and raises Conflict if it was: to repeat it would write it twice.
        """
        async with self._writing:
            if self._in_doubt:
                await self._settle_doubt()
            if events:
                await self._append(events)
                await self._snapshot(len(events))
            return self.version

    async def _read(self) -> None:
        history = await self._journal.recover()
        start = self.initial() if history.snapshot is None else self.restore(history.snapshot)
        self.state = reduce(self.evolve, history.events, start)
        self.version = history.version
        self._in_doubt = False

    async def _settle_doubt(self) -> None:
        """Find out what became of the append before. If it was written, the caller decided on what is no longer so."""
        before = self.version
        await self._read()
        if self.version != before:
            raise Conflict(self.context.name, before, self.version)

    async def _append(self, events: Sequence[E]) -> None:
        state = reduce(self.evolve, events, self.state)  # first: what does not fold must not get into the log
        self._in_doubt = True
        try:
            version = await self._journal.append(self.version, events)
        except (Fenced, Conflict):
            self._in_doubt = False
            raise
        self.state, self.version, self._in_doubt = state, version, False

    async def _snapshot(self, written: int) -> None:
        every = self._snapshot_every
        if every is None or self.version // every == (self.version - written) // every:
            return
        try:
            await self._journal.save(self.version, self.state)
        except Exception as error:  # noqa: BLE001  the events are durable: the emit has succeeded, only recovery is slower
            self.context.notice(error)
