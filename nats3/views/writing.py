"""What all views write with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from eventstore import Connection


async def make_durable(connection: Connection) -> None:
    """Let the open transaction wait for the disk at its end.

    A projection that lost its last pages with a crash of Postgres would fold them again, but not before it notices;
    until then jobs that were shown are gone, and a load that is planned meanwhile would miss chunks.
    """
    await connection.execute("SET LOCAL synchronous_commit = on")


def as_json(rows: Sequence[dict[str, object]]) -> str:
    """Rows as one JSON text for jsonb_populate_recordset; uuids and times as text."""
    return json.dumps(rows, default=_text)


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    message = f"{type(value).__name__} has no place in a row"
    raise TypeError(message)
