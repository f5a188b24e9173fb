"""Requests that are done once: who asks again under the same key is given the answer of the first time, for a day.

The table is no part of the log: it may be dropped at any time, and who asks again is then served anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID

from psycopg.errors import UndefinedTable
from psycopg.types.json import Jsonb

from eventstore.connection import Link

HELD = "24h"
"""How long an answer is kept."""
UNDER_WAY = "30s"
"""So long a request without an answer counts as being under way: longer than any request may take."""

_TABLE = """
CREATE TABLE IF NOT EXISTS once__v1 (
    asker   text        NOT NULL,
    key     text        NOT NULL,
    asked   text        NOT NULL,
    id      uuid        NOT NULL,
    began   timestamptz NOT NULL,
    status  integer,
    headers jsonb,
    body    bytea,
    PRIMARY KEY (asker, key)
);
CREATE INDEX IF NOT EXISTS once__v1_began ON once__v1 (began);
"""

# Whoever gets a row back has the turn. A turn that was never answered is taken over under the same id.
_BEGIN = """
INSERT INTO once__v1 AS o (asker, key, asked, id, began)
VALUES (%(asker)s, %(key)s, %(asked)s, gen_random_uuid(), clock_timestamp())
ON CONFLICT (asker, key) DO UPDATE SET
    asked = excluded.asked, began = excluded.began, status = NULL, headers = NULL, body = NULL,
    id = CASE WHEN o.began < clock_timestamp() - %(held)s::interval THEN excluded.id ELSE o.id END
WHERE o.began < clock_timestamp() - %(held)s::interval
   OR (o.status IS NULL AND o.asked = excluded.asked AND o.began < clock_timestamp() - %(under_way)s::interval)
RETURNING id
"""
_FIND = "SELECT asked, status, headers, body FROM once__v1 WHERE asker = %s AND key = %s"
_SETTLE = (
    "UPDATE once__v1 SET status = %s, headers = %s, body = %s WHERE asker = %s AND key = %s AND id = %s RETURNING 1"
)
_SWEEP = "DELETE FROM once__v1 WHERE began < clock_timestamp() - %s::interval RETURNING 1"
_FORGET = "DELETE FROM once__v1 WHERE asker = %s AND key = %s AND id = %s AND status IS NULL RETURNING 1"
_LEAVE = "UPDATE once__v1 SET began = began - %s::interval WHERE asker = %s AND key = %s AND id = %s AND status IS NULL RETURNING 1"


@dataclass(frozen=True, slots=True)
class Turn:
    """The request is ours to do. `id` is the same when a turn that nobody answered is taken over."""

    asker: str
    key: str
    id: UUID


@dataclass(frozen=True, slots=True)
class Answered:
    """It was answered before: this was said."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class UnderWay:
    """The same request is being done."""


@dataclass(frozen=True, slots=True)
class Another:
    """The key was used for another request."""


Begun: TypeAlias = Turn | Answered | UnderWay | Another


class Once:
    """Requests by asker and key. Every method raises LogUnavailable."""

    def __init__(self, url: str) -> None:
        self._link = Link(url, "eventstore requests", deadline=5.0)

    async def begin(self, asker: str, key: str, asked: str) -> Begun:
        """`asked` is equal for equal requests, and short."""
        try:
            return await self._begin(asker, key, asked)
        except UndefinedTable:
            async with self._link.lend() as connection:
                await connection.execute(_TABLE)
        return await self._begin(asker, key, asked)

    async def settle(self, turn: Turn, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Keep the answer, and let go of those that are too old."""
        await self._link.call(_SETTLE, (status, Jsonb(dict(headers)), body, turn.asker, turn.key, turn.id))
        await self._link.call(_SWEEP, (HELD,))

    async def forget(self, turn: Turn) -> None:
        """Nothing was done: the key is free."""
        await self._link.call(_FORGET, (turn.asker, turn.key, turn.id))

    async def leave(self, turn: Turn) -> None:
        """Whether something was done is not known: who asks again takes the turn over at once."""
        await self._link.call(_LEAVE, (UNDER_WAY, turn.asker, turn.key, turn.id))

    async def close(self) -> None:
        """Close the connection."""
        await self._link.drop()

    async def _begin(self, asker: str, key: str, asked: str) -> Begun:
        values = {"asker": asker, "key": key, "asked": asked, "held": HELD, "under_way": UNDER_WAY}
        async with self._link.lend() as connection:
            row = await (await connection.execute(_BEGIN, values)).fetchone()
            if row is not None:
                return Turn(asker, key, row[0])
            found = await (await connection.execute(_FIND, (asker, key))).fetchone()
        if found is None:
            return UnderWay()  # it was forgotten just now: the next try has the turn
        was, status, headers, body = found
        if was != asked:
            return Another()
        return UnderWay() if status is None else Answered(status, headers, bytes(body))
