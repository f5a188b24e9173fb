"""The view `leftovers`: what has still to be cleared away: condemned objects in buckets, and consumers of deleted jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from eventstore import Connection, Recorded, table_of
from nats3.job.history import HISTORY, job_of, types_of
from nats3.job.order import StoreOrder
from nats3.job.ordering import JobCreated, JobDeleted
from nats3.job.storing import ConsumersForgotten, ObjectsCondemned, ObjectsSwept
from nats3.views.writing import as_json, make_durable


@dataclass(frozen=True, slots=True)
class CondemnedRow:
    """An object that no event will ever refer to and that is not known to be gone. `position` is that of its condemnation."""

    job_id: UUID
    bucket: str
    key: str
    reason: str
    position: int
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class UntidyRow:
    """A store job; once `deleted`, consumers of it may be left in NATS."""

    job_id: UUID
    stream: str
    deleted: bool


_TABLES = """
CREATE TABLE IF NOT EXISTS {condemned} (
    job_id      uuid        NOT NULL,
    bucket      text        NOT NULL,
    key         text        NOT NULL,
    reason      text        NOT NULL,
    position    bigint      NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (bucket, key, job_id)
);
CREATE INDEX IF NOT EXISTS {condemned}_job ON {condemned} (job_id, position);
CREATE TABLE IF NOT EXISTS {untidy} (
    job_id  uuid    PRIMARY KEY,
    stream  text    NOT NULL,
    deleted boolean NOT NULL
);
CREATE INDEX IF NOT EXISTS {untidy}_deleted ON {untidy} (job_id) WHERE deleted;
"""

_CONDEMN = """
INSERT INTO {table} (job_id, bucket, key, reason, position, recorded_at)
SELECT job_id, bucket, key, reason, position, recorded_at FROM jsonb_populate_recordset(NULL::{table}, %s::jsonb)
ON CONFLICT (bucket, key, job_id) DO UPDATE
SET reason = excluded.reason, position = excluded.position, recorded_at = excluded.recorded_at
"""

_SWEEP = """
DELETE FROM {table} c USING unnest(%s::uuid[], %s::text[], %s::text[], %s::bigint[]) AS s (job_id, bucket, key, position)
WHERE c.job_id = s.job_id AND c.bucket = s.bucket AND c.key = s.key AND c.position < s.position
"""

_ORDERED = """
INSERT INTO {table} (job_id, stream, deleted)
SELECT job_id, stream, deleted FROM jsonb_populate_recordset(NULL::{table}, %s::jsonb)
ON CONFLICT DO NOTHING
"""

_DELETED = "UPDATE {table} SET deleted = true WHERE job_id = ANY (%s::uuid[])"

_FORGOTTEN = "DELETE FROM {table} WHERE job_id = ANY (%s::uuid[])"


@dataclass(frozen=True)
class LeftoversView:
    """Two tables from which a row goes once what it names is cleared away."""

    version: int = 1
    tables: tuple[str, ...] = ("condemned", "untidy")

    @property
    def name(self) -> str:
        return "leftovers"

    @property
    def types(self) -> frozenset[str]:
        return types_of(ObjectsCondemned, ObjectsSwept, JobCreated, JobDeleted, ConsumersForgotten)

    async def create(self, connection: Connection) -> None:
        tables = _TABLES.format(condemned=table_of(self, "condemned"), untidy=table_of(self, "untidy"))
        await connection.execute(tables.encode())

    async def apply(self, connection: Connection, events: Sequence[Recorded]) -> None:
        """Each kind of event in one statement. Positions tell a sweep from a condemnation that came after it."""
        await make_durable(connection)
        decoded = [(event, HISTORY.decode(event)) for event in events]
        await self._objects(connection, decoded)
        await self._jobs(connection, decoded)

    async def _objects(self, connection: Connection, decoded: Sequence[tuple[Recorded, object]]) -> None:
        table = table_of(self, "condemned")
        rows = [row for event, said in decoded for row in condemned_of(event, said)]
        condemned = {(row.job_id, row.bucket, row.key): row for row in rows}  # the last word of a page counts
        if condemned:
            await connection.execute(_CONDEMN.format(table=table).encode(), (as_json([*condemned.values()]),))
        swept = [
            (job_of(event.entity_id), said.bucket, key, event.position)
            for event, said in decoded
            if isinstance(said, ObjectsSwept)
            for key in said.keys
        ]
        if swept:
            columns = [list(column) for column in zip(*swept, strict=True)]
            await connection.execute(_SWEEP.format(table=table).encode(), columns)

    async def _jobs(self, connection: Connection, decoded: Sequence[tuple[Recorded, object]]) -> None:
        table = table_of(self, "untidy")
        ordered = [
            UntidyRow(job_of(event.entity_id), said.order.stream, deleted=False)
            for event, said in decoded
            if isinstance(said, JobCreated) and isinstance(said.order, StoreOrder)
        ]
        if ordered:
            await connection.execute(_ORDERED.format(table=table).encode(), (as_json(ordered),))
        for kind, query in ((JobDeleted, _DELETED), (ConsumersForgotten, _FORGOTTEN)):
            jobs = [job_of(event.entity_id) for event, said in decoded if isinstance(said, kind)]
            if jobs:
                await connection.execute(query.format(table=table).encode(), (jobs,))


def condemned_of(event: Recorded, said: object) -> list[CondemnedRow]:
    if not isinstance(said, ObjectsCondemned):
        return []
    job_id, at = job_of(event.entity_id), event.recorded_at
    return [CondemnedRow(job_id, said.bucket, key, said.reason, event.position, at) for key in dict.fromkeys(said.keys)]
