"""Many rows into a table at once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from psycopg.sql import SQL, Identifier

from eventstore.connection import Connection


async def copy_in(connection: Connection, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Add rows in one COPY inside the transaction that is open: their values stand as `columns` do, tuples as JSON."""
    if not rows:
        return
    into = SQL("COPY {} ({}) FROM STDIN").format(Identifier(table), SQL(", ").join(map(Identifier, columns)))
    async with connection.cursor() as cursor, cursor.copy(into) as copy:
        for row in rows:
            await copy.write_row([_DENSE(value) if isinstance(value, tuple) else value for value in row])


_DENSE = json.JSONEncoder(separators=(",", ":")).encode
