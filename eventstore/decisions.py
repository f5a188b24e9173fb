"""What was decided about a projection: recorded in the transaction that does it, and read without any segment, for its short
history is kept beside the log, whole.
"""

from __future__ import annotations

from collections.abc import Iterable

from eventstore import chain
from eventstore.connection import Connection, Link
from eventstore.event import Append, Appended, Fence, NewEvent, NodeId, Recorded, Version
from eventstore.postgres import append_within
from eventstore.segment import Row, line, row_of
from eventstore.snapshots import Snapshot, Snapshots, unpack
from eventstore.store import EventStore

CATEGORY = "projection"
_SHAPE = 1
_NO_HASH = b""


def entity_of(name: str) -> str:
    """The entity on which what was decided about a projection is recorded."""
    return f"{CATEGORY}/{name}"


async def record(store: EventStore, name: str, event: NewEvent, actor: str) -> Appended:
    """Put what was decided about a projection on its entity, behind whatever is there."""
    version = Version(0)
    while True:
        (outcome,) = await store.append([Append(entity_of(name), version, Fence(0), (event,), actor)])
        if isinstance(outcome, Appended):
            return outcome
        version = getattr(outcome, "actual", version)


async def decide(connection: Connection, node: NodeId, name: str, event: NewEvent, actor: str) -> None:
    """Record it in the transaction that is open: both are, or neither. Last in it, for the log is in no one else's order."""
    while True:
        cursor = await connection.execute(
            "SELECT version, hash FROM es.entity WHERE entity_id = %s", (entity_of(name),)
        )
        version, before = await cursor.fetchone() or (0, chain.START)
        append = Append(entity_of(name), Version(version), Fence(0), (event,), actor)
        if isinstance(await append_within(connection, node, append, before), Appended):
            return


async def history(link: Link, store: EventStore, name: str) -> list[Recorded]:
    """All events of a projection's entity, oldest first. Raises LogUnavailable."""
    rows = await link.fetch(
        "SELECT state FROM es.snapshot WHERE entity_id = %s AND schema_version = %s", (entity_of(name), _SHAPE)
    )
    return await _read_on(store, name, unpack(rows[0][0]) if rows else ())


async def keep(snapshots: Snapshots, store: EventStore, name: str) -> None:
    """Keep the history as it is now: then the events of its entity may leave the database."""
    kept = await snapshots.load(entity_of(name))
    events = await _read_on(store, name, kept.state if kept and kept.schema_version == _SHAPE else ())
    if events:
        state = [line(Row(event, _NO_HASH)) for event in events]
        last = events[-1]
        await snapshots.save(Snapshot(last.entity_id, last.version, last.position, _SHAPE, state))


async def _read_on(store: EventStore, name: str, lines: Iterable[bytes]) -> list[Recorded]:
    events = [row_of(each).event for each in lines]
    while page := await store.read(entity_of(name), Version(len(events)), 1000):
        events += page
    return events
