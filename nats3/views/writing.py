"""What all views write with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import Field, fields
from datetime import datetime
from typing import Any, ClassVar, Protocol
from uuid import UUID

from eventstore import Connection


class Row(Protocol):
    """A dataclass whose fields are the columns of a table."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


async def make_durable(connection: Connection) -> None:
    """Let the open transaction wait for the disk at its end.

    A projection that lost its last pages with a crash of Postgres would fold them again, but not before it notices;
    until then jobs that were shown are gone, and a load that is planned meanwhile would miss chunks.
    """
    await connection.execute("SET LOCAL synchronous_commit = on")


def as_json(rows: Sequence[Row]) -> str:
    """Rows as one JSON text for jsonb_populate_recordset."""
    return json.dumps([plain(row) for row in rows])


def plain(row: Row) -> dict[str, Any]:
    """A row by its columns, as JSON has it; uuids and times as text."""
    return {field.name: _plain(getattr(row, field.name)) for field in fields(row)}


def _plain(value: Any) -> Any:  # noqa: ANN401 - any value of a row
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value
