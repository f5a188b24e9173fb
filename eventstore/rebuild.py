"""Making a view anew beside the one that readers see: swap it in, or compare the two."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from psycopg import IntegrityError
from psycopg.errors import LockNotAvailable
from psycopg.sql import SQL, Identifier

from eventstore import projection
from eventstore.backoff import Backoff
from eventstore.connection import Connection, Link
from eventstore.decisions import decide
from eventstore.errors import EventStoreError, LogUnavailable, OverLimit, SegmentFault, Superseded
from eventstore.event import NewEvent, NodeId, Position, Recorded
from eventstore.postgres import PostgresStore
from eventstore.projection import REBUILT, Checkpoint, Poisoned, View, at_version, table_of, tables_of
from eventstore.remains import Remains, drop, remains
from eventstore.segments import Segments
from eventstore.store import EventStore
from eventstore.together import together

PAGE = 1000
"""Events per transaction: a page is folded in one turn of the loop, which the node's other work waits for."""

SWAP_WAIT_S = 0.025
"""How long a swap waits for readers, and those who come after it for the swap."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a rebuild is: it has folded up to `position` of a log that ended at `head`."""

    name: str
    version: int
    position: Position
    head: Position


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a fresh fold said of the tables that readers see, both at `position`: `differ` names those unlike it."""

    name: str
    version: int
    position: Position
    differ: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Page:
    """Events to fold, and where the view stands after them; the log ended at `head`."""

    events: Sequence[Recorded]
    to: Position
    head: Position
    is_full: bool


class NothingBefore(EventStoreError):
    """There is no older version of this view to return to."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} has no version before the current one")
        self.name = name


class Rebuild:
    """A fresh fold of the whole log into new tables of one view, while the old ones are read and written.

    It can be cancelled at any time and goes on where it stopped when it is run again, on any node. It reads the log
    on a connection of its own; decisions are recorded in `store`.
    Raises Poisoned where the view cannot take an event, Superseded when someone else rebuilds the same view.
    """

    def __init__(
        self,
        url: str,
        store: EventStore,
        view: View,
        *,
        node: NodeId | None = None,
        page: int = PAGE,
        progress: Callable[[Progress], None] | None = None,
        segments: Segments | None = None,
    ) -> None:
        self._link = Link(url, f"eventstore rebuild {view.name}", projection.SETTINGS, deadline=None)
        self._beside = Link(url, f"eventstore rebuild {view.name} beside", projection.SETTINGS, deadline=None)
        self._reading = Link(url, f"eventstore rebuild {view.name} reading")
        self._log = PostgresStore(url, segments=segments)
        self._store = store
        self._code = view
        self._node = node or NodeId(uuid4())
        self._page = page
        self._progress = progress or _unseen

    async def run(self, actor: str = "") -> Progress:
        """Fold everything into new tables and show them to readers; the old tables stay for `return_to_before`."""
        try:
            view, at = await self._catch_up()
            at = await self._swap(view, at, actor)
            # What somebody still reads of a version that nobody needs stays until the next rebuild.
            with suppress(LogUnavailable):
                await self._drop(await remains(self._link, self._code, self._node))
            return Progress(view.name, view.version, at.position, at.position)
        finally:
            await self._close()

    async def verify(self) -> Verdict:
        """Fold everything into new tables, compare them with those that readers see, drop them."""
        try:
            view, at = await self._catch_up()
            verdict = await self._compare(view, at)
            await drop(self._link, view, at.fence)
            return verdict
        finally:
            await self._close()

    async def discard(self) -> None:
        """Drop what unfinished rebuilds left, those of other programs too. Raises Superseded while a living node rebuilds."""
        try:
            version = await self._unfinished()
            if version is not None:
                view, at = await self._taken(version)
                await drop(self._link, view, at.fence)
            found = await remains(self._link, self._code, self._node)
            await self._drop([each for each in found if not each.is_finished])
        finally:
            await self._close()

    async def return_to_before(self, actor: str = "") -> int:
        """Show readers the version before, at once; it catches up from where it was left. Raises NothingBefore."""
        try:
            async with self._link.lend() as connection, connection.transaction():
                await projection.alone(connection, self._code.name)
                version = await self._before(connection)
                await self._show(connection, at_version(self._code, version), {}, actor)
            return version
        finally:
            await self._close()

    async def _catch_up(self, *, checked: bool = False) -> tuple[View, Checkpoint]:
        """New tables, folded up to (nearly) the end of the log; their indexes come after the rows, unless `checked`."""
        view, at = await self._taken(await self._version())
        await projection.prepare(self._link, view, filled=checked)
        at = await self._fill(view, at)
        try:
            await projection.index(self._link, view)
        except (IntegrityError, OverLimit):
            # Rows that no index can hold: with the indexes there from the start the fold stops at the guilty event.
            await drop(self._link, view, at.fence)
            return await self._catch_up(checked=True)
        return view, await self._fill(view, at)

    async def _taken(self, version: int) -> tuple[View, Checkpoint]:
        """A version, as ours from now on. Raises Superseded while a living node has it."""
        view = at_version(self._code, version)
        at = await projection.take(self._link, view, self._node, self._code.version)
        if at is None:
            raise Superseded(view.name, view.version)
        return view, at

    async def _fill(self, view: View, at: Checkpoint) -> Checkpoint:
        """Fold page by page, each while the next is read. After a short page nothing is left up to the head before it."""
        skipped = await projection.skips(self._reading, self._store, view.name)
        try:
            page = await self._read(view, at.position)
            while page.is_full:
                folding = self._fold(view, at, page, skipped)
                at, page = await together(folding, self._read(view, page.to))
        except SegmentFault as fault:
            await projection.halt(self._link, view, at, {"reason": str(fault)})
            raise
        return await self._fold(view, at, page, skipped)

    async def _read(self, view: View, after: Position) -> _Page:
        head = await self._log.head()
        events = await self._log.read_log(after, self._page, view.types)
        last = events[-1].position if events else after
        is_full = len(events) == self._page
        return _Page(events, last if is_full else max(head, last), max(head, last), is_full)

    async def _fold(self, view: View, at: Checkpoint, page: _Page, skipped: set[int]) -> Checkpoint:
        try:
            at = await projection.fold(self._link, view, at, page.events, page.to, skipped)
        except Poisoned as poisoned:
            await projection.stall(self._link, view, poisoned)
            raise
        self._progress(Progress(view.name, view.version, at.position, page.head))
        return at

    async def _swap(self, view: View, at: Checkpoint, actor: str) -> Checkpoint:
        """Take the place of the old version, as soon as no reader is in the way.

        Whoever waits to change what readers see holds up all who come to read after him: so he does not wait.
        """
        backoff = Backoff(first=SWAP_WAIT_S)
        while True:
            async with self._link.lend() as connection:
                try:
                    return await self._try_to_swap(connection, view, at, actor)
                except LockNotAvailable:
                    pass
            await asyncio.sleep(backoff.next())

    async def _try_to_swap(self, connection: Connection, view: View, at: Checkpoint, actor: str) -> Checkpoint:
        """In one transaction: be as far as the old version, which waits meanwhile, and take its place."""
        async with connection.transaction():
            await projection.alone(connection, view.name)
            at = await self._level(connection, view, at)
            await projection.vacate(connection, view)
            await connection.execute(f"SET LOCAL lock_timeout = '{SWAP_WAIT_S}s'".encode())
            await self._show(connection, view, {"position": at.position}, actor)
        return at

    async def _show(self, connection: Connection, view: View, said: dict[str, Any], actor: str) -> None:
        """Let readers see this version and say so in the log, in one transaction: who keeps another hears of it there."""
        await connection.execute("SET LOCAL synchronous_commit = on")
        await projection.activate(connection, view)
        # Appends wait for each other, and for the disk: that is no reader who stays.
        await connection.execute(f"SET LOCAL lock_timeout = '{projection.SETTINGS['lock_timeout']}'".encode())
        event = NewEvent(REBUILT, {"version": view.version, **said})
        await decide(connection, self._node, view.name, event, actor)

    async def _drop(self, found: Sequence[Remains]) -> None:
        for each in found:
            with suppress(Superseded):  # somebody needs it after all
                await drop(self._link, at_version(self._code, each.version), each.fence)

    async def _compare(self, view: View, at: Checkpoint) -> Verdict:
        """Compare both as they are when they are equally far; what readers see goes on meanwhile, however long it takes."""
        async with self._beside.lend() as connection:
            at, old = await self._both(connection, view, at)
            await connection.execute("SET LOCAL statement_timeout = 0")
            differ = [
                name
                for name in tables_of(view)
                if await checksum(connection, table_of(old, name)) != await checksum(connection, table_of(view, name))
            ]
            await connection.execute("ROLLBACK")
        return Verdict(view.name, old.version, at.position, tuple(differ))

    async def _both(self, connection: Connection, view: View, at: Checkpoint) -> tuple[Checkpoint, View]:
        """Begin a transaction that sees the fresh version as far as the active one, and let go of the active one."""
        async with self._link.lend() as holding, holding.transaction():
            await projection.alone(holding, view.name)
            at = await self._level(holding, view, at, connection)
            old = at_version(self._code, await self._active(holding) or view.version)
            tables = [Identifier(table_of(each, name)) for name in tables_of(view) for each in (old, view)]
            await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            await connection.execute(SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(SQL(", ").join(tables)))
            await connection.execute("SELECT 1")  # what it sees is what there is by now
        return at, old

    async def _level(
        self, holding: Connection, view: View, at: Checkpoint, folding: Connection | None = None
    ) -> Checkpoint:
        """Hold the active version where it is until the end of a transaction, and fold up to there, in it or elsewhere.

        Raises Superseded, also where nothing is left to fold.
        """
        cursor = await holding.execute(
            "SELECT position FROM es.projection WHERE name = %s AND active FOR UPDATE", (view.name,)
        )
        row = await cursor.fetchone()
        goal = Position(row[0]) if row else at.position
        folding = folding or holding
        at = await projection.advance_within(folding, view, at, (), at.position)
        skipped = await projection.skips(self._reading, self._store, view.name)
        types = view.types
        while at.position < goal:
            page = await self._log.read_log(at.position, self._page)
            due = [event for event in page if event.position <= goal]
            wanted = [event for event in due if event.type in types and event.position not in skipped]
            to = due[-1].position if len(due) == self._page else goal
            async with folding.transaction():
                at = await projection.advance_within(folding, view, at, wanted, to)
        return at

    async def _version(self) -> int:
        """That of the rebuild to go on with, or a new one."""
        unfinished = await self._unfinished()
        if unfinished is not None:
            return unfinished
        rows = await self._link.fetch(
            "SELECT coalesce(max(version), 0) FROM es.projection WHERE name = %s", (self._code.name,)
        )
        return max(rows[0][0] + 1, self._code.version)

    async def _unfinished(self) -> int | None:
        rows = await self._link.fetch(
            "SELECT max(version) FROM es.projection p WHERE name = %s AND code = %s"
            " AND NOT active AND status IN ('building', 'stalled')",
            (self._code.name, self._code.version),
        )
        return rows[0][0]

    async def _active(self, connection: Connection) -> int | None:
        cursor = await connection.execute(
            "SELECT version FROM es.projection WHERE name = %s AND active", (self._code.name,)
        )
        row = await cursor.fetchone()
        return row[0] if row else None

    async def _before(self, connection: Connection) -> int:
        cursor = await connection.execute(
            "SELECT max(o.version) FROM es.projection o JOIN es.projection a ON a.name = o.name AND a.active"
            " WHERE o.name = %s AND o.status = 'retired' AND o.version < a.version AND o.code = %s",
            (self._code.name, self._code.version),
        )
        row = await cursor.fetchone()
        if row is None or row[0] is None:
            raise NothingBefore(self._code.name)
        return row[0]

    async def _close(self) -> None:
        for link in (self._link, self._beside, self._reading):
            await link.drop()
        await self._log.close()


async def checksum(connection: Connection, table: str) -> tuple[Any, ...]:
    """How many rows, and a sum over them that is equal for equal rows in any order."""
    cursor = await connection.execute(
        SQL("SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)), 0) FROM {} t").format(Identifier(table))
    )
    return await cursor.fetchone() or ()


def _unseen(_progress: Progress) -> None:
    return
