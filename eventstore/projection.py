"""Views: tables made from events, each moved in one transaction with its checkpoint."""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar, runtime_checkable
from uuid import UUID

from psycopg import ProgrammingError
from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb

from eventstore.connection import AWAY, Connection, Link
from eventstore.decisions import history
from eventstore.errors import EventStoreError, LogUnavailable, Superseded, UnknownType
from eventstore.event import NodeId, Position, Recorded
from eventstore.store import EventStore

SKIPPED = "projection_event_skipped"
REBUILT = "projection_rebuilt"

TRANSIENT = (LogUnavailable, *AWAY)
"""Faults of the way to Postgres: wait and begin again."""

SETTINGS = {
    "statement_timeout": "60s",
    "lock_timeout": "5s",
    # See connection.SETTINGS: a frozen owner's locks would stop its views on every node.
    "idle_in_transaction_session_timeout": "5s",
    # Effect and checkpoint are one transaction: a lost one is done again.
    "synchronous_commit": "off",
    "TimeZone": "UTC",
}


class View(Protocol):
    """A table that is a fold of the log. It is written here and nowhere else.

    It keeps its rows in tables named `table_of(self)` (and `table_of(self, other)` for each name in an optional
    attribute `tables: tuple[str, ...]`), and readers read the SQL view of the bare name, which the projector makes:
    that is what lets it be rebuilt beside the old one. A copy with another `version` must write other tables.
    """

    @property
    def name(self) -> str:
        """Its name, which is also that of the SQL view."""
        ...

    @property
    def version(self) -> int:
        """Which of its tables this object writes; raise it when the table or the fold changes."""
        ...

    @property
    def types(self) -> frozenset[str]:
        """The types of events it wants; others are passed over."""
        ...

    async def create(self, connection: Connection) -> None:
        """Make the tables unless they are there, with the indexes that `apply` needs."""
        ...

    async def apply(self, connection: Connection, events: Sequence[Recorded]) -> None:
        """Fold these into the tables, set-based, inside the transaction that is open. No other effect."""
        ...


@runtime_checkable
class Indexed(Protocol):
    """A view with indexes that only its readers need: a rebuild makes them after it has filled the tables."""

    async def index(self, connection: Connection) -> None:
        """Make these indexes unless they are there."""
        ...


@dataclass(frozen=True, slots=True)
class ProjectionStatus:
    """Where a projection stands. `status` is building, live, stalled or retired; `error` says where and why it stalled.

    `active` is the version that readers see.
    """

    name: str
    version: int
    position: Position
    status: str
    active: bool
    owner: UUID | None
    error: dict[str, Any] | None
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a projection stands, and the fence that lets its owner move it."""

    position: Position
    fence: int


class Poisoned(EventStoreError):
    """A view cannot take this event; it stands at `at`, right before it. `is_newer`: a newer program could."""

    def __init__(self, at: Checkpoint, event: Recorded, fault: Exception) -> None:
        super().__init__(f"position {event.position} ({event.type} of {event.entity_id}): {fault}")
        self.at = at
        self.event = event
        self.reason = f"{type(fault).__name__}: {fault}"
        self.is_newer = isinstance(fault, UnknownType)


V = TypeVar("V", bound=View)


def at_version(view: V, version: int) -> V:
    """The same view, writing the tables of another version."""
    if view.version == version:
        return view
    other = copy.copy(view)
    object.__setattr__(other, "version", version)
    return other


def table_of(view: View, name: str | None = None) -> str:
    """The name of a table of this version of the view."""
    return f"{name or view.name}__v{view.version}"


def tables_of(view: View) -> tuple[str, ...]:
    """The bare names of all its tables, which are the SQL views that readers read."""
    return tuple(getattr(view, "tables", (view.name,)))


async def take(link: Link, view: View, node: NodeId, code: int, *, read: bool = False) -> Checkpoint | None:
    """Own the projection, unless a living node does; a raised fence shuts out the owner before.

    The clock in the fence keeps it above those of a version of this number that was dropped, and of a restored copy.

    `read`: only while readers see this version, or none at all. Who was about to keep a version that was swapped out
    meanwhile would keep it for ever, and nobody the one in its place.
    """
    async with link.lend() as connection:
        await connection.execute(
            "INSERT INTO es.projection (name, version, code) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            (view.name, view.version, code),
        )
        cursor = await connection.execute(
            "UPDATE es.projection p SET owner = %s, updated_at = clock_timestamp(),"
            " fence = greatest(fence + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)"
            " WHERE name = %s AND version = %s AND (owner IS NULL OR owner = %s OR NOT EXISTS (SELECT FROM es.node n"
            " WHERE n.node_id = p.owner AND n.lease_until > clock_timestamp()))"
            " AND (NOT %s OR active OR NOT EXISTS (SELECT FROM es.projection o WHERE o.name = p.name AND o.active))"
            " RETURNING position, fence",
            (node, view.name, view.version, node, read),
        )
        row = await cursor.fetchone()
        return Checkpoint(Position(row[0]), row[1]) if row else None


async def prepare(link: Link, view: View, *, filled: bool = True) -> None:
    """Make the tables of this version, and show them to readers where they see none yet.

    What only readers need is left to `index` where the tables are yet to be filled and nobody sees them.
    """
    async with link.lend() as connection, connection.transaction():
        await alone(connection, view.name)
        await view.create(connection)
        cursor = await connection.execute("SELECT 1 FROM es.projection WHERE name = %s AND active", (view.name,))
        first = await cursor.fetchone() is None
        if isinstance(view, Indexed) and (first or filled):
            await view.index(connection)
        if first:
            await activate(connection, view)


async def index(link: Link, view: View) -> None:
    """Make what readers of filled tables need, however long it takes: indexes, and statistics for their plans."""
    async with link.lend() as connection, connection.transaction():
        await connection.execute("SET LOCAL statement_timeout = 0; SET LOCAL synchronous_commit = on")
        if isinstance(view, Indexed):
            await view.index(connection)
        for name in tables_of(view):
            if await exists(connection, table_of(view, name)):
                await connection.execute(SQL("ANALYZE {}").format(Identifier(table_of(view, name))))


async def alone(connection: Connection, name: str) -> None:
    """Keep others from changing which tables there are of this name, until the end of the transaction."""
    await connection.execute("SELECT pg_advisory_xact_lock(7406, hashtext(%s))", (name,))


async def activate(connection: Connection, view: View) -> None:
    """Let readers see this version, inside the transaction that is open. Raises Superseded where it is no more."""
    await connection.execute(
        "UPDATE es.projection SET active = false, status = 'retired', fence = fence + 1, owner = NULL"
        " WHERE name = %s AND active",
        (view.name,),
    )
    cursor = await connection.execute(
        "UPDATE es.projection SET active = true, status = 'live', updated_at = clock_timestamp()"
        " WHERE name = %s AND version = %s",
        (view.name, view.version),
    )
    if cursor.rowcount != 1:
        raise Superseded(view.name, view.version)
    # Last: from here to the commit readers wait.
    for name in tables_of(view):
        if await exists(connection, table_of(view, name)):
            await _show(connection, name, table_of(view, name))


async def vacate(connection: Connection, view: View) -> None:
    """Leave this version to whoever comes first, inside the transaction that is open."""
    await connection.execute(
        "UPDATE es.projection SET owner = NULL WHERE name = %s AND version = %s", (view.name, view.version)
    )


async def exists(connection: Connection, table: str) -> bool:
    cursor = await connection.execute("SELECT to_regclass(quote_ident(%s)) IS NOT NULL", (table,))
    row = await cursor.fetchone()
    return bool(row and row[0])


async def _show(connection: Connection, name: str, table: str) -> None:
    """Point the SQL view at a table; it is made anew only where the columns changed, so that grants stay."""
    select = SQL("VIEW {} AS SELECT * FROM {}").format(Identifier(name), Identifier(table))
    try:
        async with connection.transaction():
            await connection.execute(SQL("CREATE OR REPLACE ") + select)
    except ProgrammingError:
        await connection.execute(SQL("DROP VIEW IF EXISTS {}").format(Identifier(name)))
        await connection.execute(SQL("CREATE ") + select)


async def advance(
    link: Link, view: View, read_from: Checkpoint, events: Sequence[Recorded], to: Position
) -> Checkpoint:
    """Apply and move the checkpoint in one transaction. Raises Superseded unless nobody else moved it meanwhile."""
    async with link.lend() as connection:
        if not events:
            return await advance_within(connection, view, read_from, events, to)  # one statement is a transaction
        async with connection.transaction():
            return await advance_within(connection, view, read_from, events, to)


async def advance_within(
    connection: Connection, view: View, read_from: Checkpoint, events: Sequence[Recorded], to: Position
) -> Checkpoint:
    """`advance`, inside the transaction that is open; without events, none need be."""
    cursor = await connection.execute(
        "UPDATE es.projection SET position = %s, status = CASE WHEN active THEN 'live' ELSE 'building' END,"
        " error = NULL, updated_at = clock_timestamp()"
        " WHERE name = %s AND version = %s AND position = %s AND fence = %s",
        (to, view.name, view.version, read_from.position, read_from.fence),
    )
    if cursor.rowcount != 1:
        raise Superseded(view.name, view.version)
    if events:
        await view.apply(connection, events)
    return Checkpoint(to, read_from.fence)


async def fold(
    link: Link, view: View, at: Checkpoint, page: Sequence[Recorded], to: Position, skipped: Collection[int]
) -> Checkpoint:
    """Move over a page up to position `to`. Raises Poisoned right before an event that the view cannot take.

    A fault of the way to Postgres is no fault of an event: it is raised as it is.
    """
    types = view.types
    wanted = [event for event in page if event.type in types and event.position not in skipped]
    try:
        return await advance(link, view, at, wanted, to)
    except (Superseded, *TRANSIENT):
        raise
    except Exception as fault:
        if len(page) == 1:
            raise Poisoned(at, page[0], fault) from fault
    half = len(page) // 2
    at = await fold(link, view, at, page[:half], page[half - 1].position, skipped)
    return await fold(link, view, at, page[half:], to, skipped)


async def skips(link: Link, store: EventStore, name: str) -> set[int]:
    """Positions that operators let this projection pass over."""
    return {event.data["position"] for event in await history(link, store, name) if event.type == SKIPPED}


async def stall(link: Link, view: View, poisoned: Poisoned) -> None:
    """Say where and why it stopped. Raises Superseded when it is no longer ours."""
    event = poisoned.event
    error = {
        "position": event.position,
        "entity_id": event.entity_id,
        "type": event.type,
        "reason": poisoned.reason,
    }
    await halt(link, view, poisoned.at, error)


async def halt(link: Link, view: View, at: Checkpoint, error: dict[str, Any]) -> None:
    """Say why it stands where it stands. Raises Superseded when it is no longer ours."""
    async with link.lend() as connection:
        cursor = await connection.execute(
            "UPDATE es.projection SET status = 'stalled', error = %s, updated_at = clock_timestamp()"
            " WHERE name = %s AND version = %s AND fence = %s",
            (Jsonb(error), view.name, view.version, at.fence),
        )
        if cursor.rowcount != 1:
            raise Superseded(view.name, view.version)


async def let_go(link: Link, view: View, at: Checkpoint) -> None:
    """Let any node have it at once; nothing happens where somebody has it already."""
    async with link.lend() as connection:
        await connection.execute(
            "UPDATE es.projection SET owner = NULL WHERE name = %s AND version = %s AND fence = %s",
            (view.name, view.version, at.fence),
        )


async def statuses(link: Link) -> list[ProjectionStatus]:
    """All projections of the log, by name and version."""
    rows = await link.fetch(
        "SELECT name, version, position, status, active, owner, error, updated_at FROM es.projection"
        " ORDER BY name, version"
    )
    return [ProjectionStatus(*row) for row in rows]
