"""Hands the log to somewhere else: in order, from a checkpoint of its own, and never past what was not kept there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from random import Random
from typing import Protocol
from uuid import uuid4

from typing_extensions import override

from eventstore import projection
from eventstore.background import Background
from eventstore.backoff import Backoff
from eventstore.connection import Connection, Link
from eventstore.errors import EventStoreError, LogRewound, SegmentFault, Superseded
from eventstore.event import NodeId, Position, Recorded
from eventstore.projection import TRANSIENT, Checkpoint
from eventstore.standby import Standby
from eventstore.tail import Tail


class NotKept(EventStoreError):
    """The sink takes nothing now; `reason` says why. It is asked again for as long as it takes."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Sink(Protocol):
    """Where events go."""

    async def take(self, events: Sequence[Recorded]) -> int:
        """Keep these, in order. Returns how many are kept, from the first on and without a gap: at least one.

        It may be given again what it has: at least once is the promise. Raises NotKept.
        """
        ...

    async def holds(self) -> Position | None:
        """The last event that it holds, 0 for none, None where it cannot tell. Asked each time before taking begins.

        Where that is behind the checkpoint, the sink has lost what it had kept, and gets it again. Raises NotKept.
        """
        ...


class Heard(Protocol):
    """Who is told of the sink. Each call is quick and does not raise."""

    def away(self, reason: str) -> None: ...

    def relayed(self, count: int) -> None: ...


class Relay(Background):
    """Hands the log on to a sink, page by page, for ever.

    It has a row of `es.projection` under its name, so it is owned by one node at a time, is seen with the projections,
    and nothing is taken off the log before it passed.
    """

    def __init__(
        self,
        url: str,
        tail: Tail,
        name: str,
        sink: Sink,
        *,
        heard: Heard,
        node: NodeId | None = None,
        chance: Random | None = None,
    ) -> None:
        self._link = Link(url, f"eventstore relay {name}", projection.SETTINGS)
        self._tail = tail
        self._view = _Tableless(name)
        self._sink = sink
        self._heard = heard
        self._node = node or NodeId(uuid4())
        chance = chance or Random()  # noqa: S311 - jitter is no secret
        self._standby = Standby(self._link, self._node, chance)
        self._backoff = Backoff(ceiling=5.0, chance=chance)
        self._at: Checkpoint | None = None

    @override
    async def run(self) -> None:
        """Relay for ever, whatever happens to Postgres or the sink."""
        try:
            while True:
                await self._try_to_relay()
        finally:
            await self._link.drop()

    def behind(self) -> dict[str, int]:
        """Events read by this node that were not relayed yet, by name; nothing where another node relays."""
        return {} if self._at is None else {self._view.name: max(0, self._tail.position - self._at.position)}

    async def _try_to_relay(self) -> None:
        try:
            await self._own()
        except (NotKept, SegmentFault) as refused:
            self._heard.away(str(refused))
            await asyncio.sleep(self._backoff.next())
        except (Superseded, LogRewound, *TRANSIENT):
            await asyncio.sleep(self._backoff.next())
        finally:
            self._at = None

    async def _own(self) -> None:
        """Take the checkpoint and relay to the end of time; return when another node has it."""
        mine = await projection.take(self._link, self._view, self._node, self._view.version)
        if mine is None:
            await self._standby.until_free(self._view.name, self._view.version)
            return
        await projection.prepare(self._link, self._view)
        held = await self._sink.holds()
        self._at = mine
        async with aclosing(self._tail.follow(mine.position if held is None else min(held, mine.position))) as pages:
            async for page in pages:
                await self._relay(page)

    async def _relay(self, page: Sequence[Recorded]) -> None:
        while page and self._at is not None:
            await self._still_mine(self._at)
            kept = await self._sink.take(page)
            self._at = await projection.advance(self._link, self._view, self._at, (), page[kept - 1].position)
            self._heard.relayed(kept)
            self._backoff.reset()
            page = page[kept:]

    async def _still_mine(self, mine: Checkpoint) -> None:
        """An owner that was frozen must not repeat what its heir has sent long ago.

        Asked on the connection that the checkpoint was read on, or not at all: behind another may be an older copy.
        """
        rows = await self._link.call(
            "SELECT fence = %s AND position = %s FROM es.projection WHERE name = %s AND version = %s",
            (mine.fence, mine.position, self._view.name, self._view.version),
        )
        if not (rows and rows[0][0]):
            raise Superseded(self._view.name, self._view.version)


class _Tableless:
    """A view of nothing: only its checkpoint counts."""

    version = 1
    types: frozenset[str] = frozenset()
    tables: tuple[str, ...] = ()

    def __init__(self, name: str) -> None:
        self.name = name

    async def create(self, connection: Connection) -> None:
        del connection

    async def apply(self, connection: Connection, events: Sequence[Recorded]) -> None:
        del connection, events
