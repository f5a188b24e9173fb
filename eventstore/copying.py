"""Many rows into a table at once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncClientCursor
from psycopg.adapt import Dumper
from psycopg.sql import SQL, Identifier
from typing_extensions import override

from eventstore.connection import Connection

IN_ONE_MESSAGE = 500
"""Up to so many rows nothing is left half said.

A writer that is frozen within a COPY holds its transaction open for as long as it is frozen, and every other owner of
the table waits for it: Postgres ends a session that idles in a transaction, but to it this one is at work.
"""


async def copy_in(connection: Connection, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Add rows inside the transaction that is open: their values stand as `columns` do, tuples as JSON.

    Up to IN_ONE_MESSAGE rows are one message to Postgres; more are one COPY, which is twice as fast.
    """
    if not rows:
        return
    if len(rows) <= IN_ONE_MESSAGE:
        await _insert(connection, table, columns, rows)
    else:
        await _copy(connection, table, columns, rows)


async def _insert(connection: Connection, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    names = SQL(", ").join(map(Identifier, columns))
    insert = SQL("INSERT INTO {} ({}) SELECT {} FROM json_populate_recordset(NULL::{}, %s)").format(
        Identifier(table), names, names, Identifier(table)
    )
    text = _dense([dict(zip(columns, row, strict=True)) for row in rows])
    # Of a client cursor the statement and its values are one message; the usual one sends them as three.
    await AsyncClientCursor(connection).execute(insert, (text,))


async def _copy(connection: Connection, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    into = SQL("COPY {} ({}) FROM STDIN").format(Identifier(table), SQL(", ").join(map(Identifier, columns)))
    async with connection.cursor() as cursor, cursor.copy(into) as copy:
        cursor.adapters.register_dumper(tuple, _AsJson)
        for row in rows:
            await copy.write_row(row)


class _AsJson(Dumper):
    """A tuple as JSON, where psycopg's own way is a composite type."""

    @override
    def dump(self, obj: tuple[Any, ...]) -> bytes:
        return _dense(obj).encode()


def _written(value: object) -> str:
    """What JSON has no word for, as Postgres reads it."""
    if isinstance(value, UUID | datetime):
        return str(value)
    raise TypeError(f"no column takes a {type(value).__name__}")


_dense = json.JSONEncoder(separators=(",", ":"), default=_written).encode
