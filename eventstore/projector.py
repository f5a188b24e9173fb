"""Runs views: each in a task of its own, on the shared tail, wherever no other node does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing, suppress
from random import Random
from typing import TypeAlias
from uuid import uuid4

from typing_extensions import override

from eventstore import projection
from eventstore.background import Background
from eventstore.backoff import Backoff
from eventstore.connection import DEADLINE_S, Link
from eventstore.copying import IN_ONE_MESSAGE
from eventstore.decisions import record
from eventstore.errors import LogRewound, NotPoison, SegmentFault, Superseded, UnknownProjection, Unstorable
from eventstore.event import Appended, NewEvent, NodeId, Position, Recorded, must_be_plain
from eventstore.projection import REBUILT, SKIPPED, TRANSIENT, Checkpoint, Poisoned, ProjectionStatus, View, at_version
from eventstore.rebuild import Rebuild
from eventstore.segments import Segments
from eventstore.standby import Standby
from eventstore.store import EventStore
from eventstore.tail import PAGE, Tail

PATIENT = 90.0
"""Seconds that it may take to make the tables of a view, or to fold one message of events at a Postgres that is that slow."""

REST = 0.1
"""Seconds from the end of one fold to the next while nobody waits for the view: what comes meanwhile is one transaction."""

STALLED = 5.0
"""Seconds between tries to make a view that stopped, or whose past cannot be read now."""

Stalled: TypeAlias = Callable[[str, int, str], None]
"""Hears the name of a view, the position of the event at which it stopped, and why. Quick, and does not raise."""


def _untold(_name: str, _position: int, _reason: str) -> None:
    """Nobody hears of it: the status tells all the same."""


class Keeper:
    """One view: owns it when it can, follows the tail, stops at an event that it cannot fold."""

    def __init__(
        self,
        url: str,
        store: EventStore,
        tail: Tail,
        view: View,
        node: NodeId,
        chance: Random,
        *,
        standby: Standby,
        segments: Segments | None,
        stalled: Stalled = _untold,
    ) -> None:
        self._url = url
        self._segments = segments
        self._link = Link(url, f"eventstore view {view.name}", projection.SETTINGS, deadline=PATIENT)
        self._store = store
        self._tail = tail
        self._code = view
        self._node = node
        self._chance = chance
        self._standby = standby
        self._backoff = Backoff(chance=chance)
        self._patience = DEADLINE_S
        self._skipped: set[int] = set()
        self._stalled = stalled
        self._told: Position | None = None
        self._let_go: Checkpoint | None = None
        self.at: Checkpoint | None = None
        """Where it stands; None while another node owns it."""
        self._moved = asyncio.Event()
        self._called = asyncio.Event()

    @property
    def stands(self) -> Checkpoint | None:
        """Where it is kept, or was let go and nobody has been seen to take it; None while another node owns it."""
        return self.at or self._let_go

    async def until_moved(self) -> None:
        """Wait for its next move, which comes as soon as there is something to fold."""
        self._called.set()
        await self._moved.wait()

    async def run(self) -> None:
        """Keep the view for ever: a fault of the way to Postgres or another owner begins it anew."""
        try:
            while True:
                await self._try_to_keep()
        finally:
            await self._link.drop()

    async def _try_to_keep(self) -> None:
        try:
            await self._own_for_a_while()
        except (Superseded, LogRewound, *TRANSIENT):
            self._patience = min(2 * self._patience, PATIENT)
            await asyncio.sleep(self._backoff.next())
        except (Poisoned, SegmentFault):
            # Of a newer program, or met by the rebuild that one began: whoever can read it may have the view meanwhile.
            # It is told in the status, and goes on after a skip or once the segment is back.
            await asyncio.sleep(STALLED * self._chance.uniform(0.8, 1.2))

    async def _own_for_a_while(self) -> None:
        """Whoever waits for the view is told at once that it is no longer kept here."""
        try:
            await self._own()
        finally:
            self._reached(None)

    async def _own(self) -> None:
        """Take it and fold to the end of time; return when another node has it."""
        self._link.deadline = PATIENT
        view = await self._current()
        mine = await projection.take(self._link, view, self._node, self._code.version, read=True) if view else None
        self._let_go = None
        if view is None or mine is None:
            if view is not None:
                await self._must_own(view)
            await self._standby.until_free(self._code.name, self._code.version)
            return
        await projection.prepare(self._link, view)
        self._skipped = await projection.skips(self._link, self._store, view.name)
        self._reached(mine)
        async with aclosing(self._tail.follow(mine.position)) as pages:
            async for page in pages:
                mine = await self._fold(view, mine, page)
                self._backoff.reset()
                self._patience = max(DEADLINE_S, self._patience / 2)
                if len(page) < PAGE:
                    await self._rest()

    async def _current(self) -> View | None:
        """The view on the tables that readers see; older tables are rebuilt first, newer ones are not ours to write."""
        rows = await self._link.fetch(
            "SELECT version, code FROM es.projection WHERE name = %s AND active", (self._code.name,)
        )
        if not rows:
            return self._code
        version, code = rows[0]
        if code < self._code.version:
            await Rebuild(self._url, self._store, self._code, node=self._node, segments=self._segments).run()
            return await self._current()
        return at_version(self._code, version) if code == self._code.version else None

    async def _fold(self, view: View, mine: Checkpoint, page: Sequence[Recorded]) -> Checkpoint:
        """Move over the page, waiting at an event that the view cannot take until someone lets it pass."""
        last = page[-1].position
        while mine.position < last:
            # Others wait for these rows, so that each piece is written in one message.
            rest = [event for event in page if event.position > mine.position][:IN_ONE_MESSAGE]
            self._link.deadline = self._patience
            try:
                mine = await projection.fold(self._link, view, mine, rest, rest[-1].position, self._skipped)
            except Poisoned as poisoned:
                mine = poisoned.at
                await self._stall(view, poisoned)
                self._reached(mine)
                if poisoned.is_newer:
                    await projection.let_go(self._link, view, mine)
                    self._let_go = mine
                    raise
                await self._until_skipped(view, poisoned.event.position)
            self._reached(mine)
        return mine

    async def _rest(self) -> None:
        """Let events gather: a transaction costs the same for one and for many, and waits for the disk."""
        with suppress(TimeoutError):
            async with asyncio.timeout(REST):
                await self._called.wait()

    async def _stall(self, view: View, poisoned: Poisoned) -> None:
        await projection.stall(self._link, view, poisoned)
        if self._told != poisoned.event.position:
            self._told = poisoned.event.position
            self._stalled(view.name, self._told, poisoned.reason)

    async def _until_skipped(self, view: View, poison: Position) -> None:
        async with aclosing(self._tail.follow(poison)) as pages:
            self._skipped = await projection.skips(self._link, self._store, view.name)
            while poison not in self._skipped:
                page = await anext(pages)
                if any(event.type in {SKIPPED, REBUILT} for event in page):
                    self._skipped = await projection.skips(self._link, self._store, view.name)
                    await self._must_own(view)

    async def _must_own(self, view: View) -> None:
        """Raises Superseded where readers see another version, or none yet."""
        rows = await self._link.fetch(
            "SELECT active FROM es.projection WHERE name = %s AND version = %s", (view.name, view.version)
        )
        if not (rows and rows[0][0]):
            raise Superseded(view.name, view.version)

    def _reached(self, at: Checkpoint | None) -> None:
        self.at = at
        self._called.clear()
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()


class Projector(Background):
    """Many views on one tail.

    `node` is the id under which this process holds a lease (claims.Claims); without a lease its views are taken over
    by any other projector that starts, which is safe and slow.
    """

    def __init__(
        self,
        url: str,
        store: EventStore,
        tail: Tail,
        views: Sequence[View],
        *,
        node: NodeId | None = None,
        stalled: Stalled = _untold,
        chance: Random | None = None,
        segments: Segments | None = None,
    ) -> None:
        chance = chance or Random()  # noqa: S311 - jitter is no secret
        node = node or NodeId(uuid4())
        self._store = store
        self._tail = tail
        self._link = Link(url, "eventstore projections")
        standby = Standby(self._link, node, chance)
        self._keepers = {
            view.name: Keeper(url, store, tail, view, node, chance, standby=standby, segments=segments, stalled=stalled)
            for view in views
        }

    @override
    async def run(self) -> None:
        """Keep all views for ever."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for name, keeper in self._keepers.items():
                    tasks.create_task(keeper.run(), name=f"eventstore view {name}")
        finally:
            await self._link.drop()

    async def wait_for(self, name: str, position: Position, timeout: float = 2.0) -> bool:  # noqa: ASYNC109 - a deadline is the point
        """Whether readers see all events up to `position` within `timeout` seconds, wherever the view is kept."""
        try:
            async with asyncio.timeout(timeout):
                while not await self._passed(name, position):
                    continue
        except TimeoutError:
            return False
        return True

    def behind(self) -> dict[str, int]:
        """Events that this node has read and the views that it keeps have not folded yet, by view."""
        kept = {name: keeper.stands for name, keeper in self._keepers.items()}
        head = self._tail.position
        return {name: max(0, head - at.position) for name, at in kept.items() if at is not None}

    async def status(self) -> list[ProjectionStatus]:
        """All projections, by name and version. Raises LogUnavailable."""
        return await projection.statuses(self._link)

    async def unmade(self) -> frozenset[str]:
        """Names of its views that nobody can read yet. Raises LogUnavailable."""
        seen = {status.name for status in await self.status() if status.active}
        return frozenset(self._keepers) - seen

    async def skip(self, name: str, position: Position, reason: str, actor: str) -> Appended:
        """Record that a projection may pass over the event at which it stopped; it goes on by itself.

        Raises UnknownProjection, Unstorable without a reason, NotPoison for an event at which it did not stop.
        """
        if name not in self._keepers:
            raise UnknownProjection(name)
        if not reason.strip():
            raise Unstorable("reason", "must not be empty")
        must_be_plain("reason", reason)
        stopped = {row.error["position"] for row in await self.status() if row.name == name and row.error}
        if position not in stopped:
            raise NotPoison(name, position, min(stopped, default=None))
        return await record(self._store, name, NewEvent(SKIPPED, {"position": position, "reason": reason}), actor)

    async def close(self) -> None:
        """Close the connection of one that is asked, but does not run."""
        await self._link.drop()

    async def _passed(self, name: str, position: Position) -> bool:
        keeper = self._keepers.get(name)
        if keeper is None:
            raise UnknownProjection(name)
        if keeper.at is None:
            return await self._passed_elsewhere(name, position)
        if keeper.at.position >= position:
            return True
        await keeper.until_moved()
        return False

    async def _passed_elsewhere(self, name: str, position: Position) -> bool:
        rows = await self._link.fetch(
            "SELECT position >= %s FROM es.projection WHERE name = %s AND active", (position, name)
        )
        if rows and rows[0][0]:
            return True
        await asyncio.sleep(0.025)
        return False
