"""What was decided about a projection, read without any segment: its short history is kept beside the log, whole."""

from __future__ import annotations

from collections.abc import Iterable

from eventstore.connection import Link
from eventstore.event import Recorded, Version
from eventstore.segment import Row, line, row_of
from eventstore.snapshots import Snapshot, Snapshots, unpack
from eventstore.store import EventStore

CATEGORY = "projection"
_SHAPE = 1
_NO_HASH = b""


def entity_of(name: str) -> str:
    """The entity on which what was decided about a projection is recorded."""
    return f"{CATEGORY}/{name}"


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
