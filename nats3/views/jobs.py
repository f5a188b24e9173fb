"""The view `jobs`: one row per job that was ever ordered, deleted ones included. Written here and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from uuid import UUID

from eventstore import Connection, Recorded, table_of
from nats3.job.history import job_of, types_of
from nats3.views.job_row import FOLDED, JobRow, fold
from nats3.views.writing import make_durable, plain

COLUMNS = tuple(field.name for field in fields(JobRow))
_WRITTEN = (*COLUMNS, "answer", "resource")

_TABLE = """
CREATE TABLE IF NOT EXISTS {table} (
    job_id           uuid        PRIMARY KEY,
    kind             text        NOT NULL,
    name             text        NOT NULL,
    api              integer     NOT NULL,
    ordered          jsonb       NOT NULL,
    stream           text        NOT NULL,
    bucket           text        NOT NULL,
    created          timestamptz NOT NULL,
    updated          timestamptz NOT NULL,
    created_position bigint      NOT NULL,
    position         bigint      NOT NULL,
    version          bigint      NOT NULL,
    wanted           text        NOT NULL,
    condition        text        NOT NULL,
    reason           text        NOT NULL,
    state            text        NOT NULL,
    completed        boolean     NOT NULL,
    attempts         integer     NOT NULL,
    generation       integer     NOT NULL,
    resumed          integer     NOT NULL,
    node             text,
    node_id          uuid,
    lives            integer     NOT NULL,
    messages         bigint      NOT NULL,
    chunks           bigint      NOT NULL,
    raw_bytes        bigint      NOT NULL,
    stored_bytes     bigint      NOT NULL,
    gaps             bigint      NOT NULL,
    last_seq         bigint      NOT NULL,
    last_time        bigint,
    planned          bigint      NOT NULL,
    planned_chunks   bigint      NOT NULL,
    published        bigint      NOT NULL,
    duplicates       bigint      NOT NULL,
    displaced        bigint      NOT NULL,
    skipped          bigint      NOT NULL,
    published_bytes  bigint      NOT NULL,
    loaded_chunks    bigint      NOT NULL,
    last_error       text,
    last_error_at    timestamptz,
    answer           text        NOT NULL,
    resource         text        NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX IF NOT EXISTS {table}_newest ON {table} (created_position DESC) WHERE wanted <> 'deleted';
CREATE INDEX IF NOT EXISTS {table}_name ON {table} (name) WHERE wanted <> 'deleted';
CREATE INDEX IF NOT EXISTS {table}_runnable ON {table} (created_position)
    WHERE wanted = 'active' AND NOT completed AND condition <> 'failed';
"""

_READ = "SELECT {columns} FROM {table} WHERE job_id = ANY (%s::uuid[])"

_WRITE = """
INSERT INTO {table} ({columns})
SELECT {columns} FROM jsonb_populate_recordset(NULL::{table}, %s::jsonb)
ON CONFLICT (job_id) DO UPDATE SET {assignments}
"""


@dataclass(frozen=True)
class JobsView:
    """Each page reads the rows it touches, folds them, and writes them back: three statements, however many jobs.

    `answer` writes a row out as the list of version 1 tells it, `resource` as version 2 does. Kept beside the row, a list
    is one aggregate of Postgres and not so many rows to decode and encode, for every one who looks.
    """

    answer: Callable[[JobRow], str]
    resource: Callable[[JobRow], str]
    version: int = 5

    @property
    def name(self) -> str:
        return "jobs"

    @property
    def types(self) -> frozenset[str]:
        return types_of(*FOLDED)

    async def create(self, connection: Connection) -> None:
        await connection.execute(_TABLE.format(table=table_of(self)).encode())

    async def apply(self, connection: Connection, events: Sequence[Recorded]) -> None:
        await make_durable(connection)
        rows = await self._read(connection, {job_of(event.entity_id) for event in events})
        for event in events:
            job_id = job_of(event.entity_id)
            row = fold(rows.get(job_id), event)
            if row is not None:
                rows[job_id] = row
        await self._write(connection, list(rows.values()))

    async def _read(self, connection: Connection, job_ids: set[UUID]) -> dict[UUID, JobRow]:
        query = _READ.format(table=table_of(self), columns=", ".join(COLUMNS))
        cursor = await connection.execute(query.encode(), (list(job_ids),))
        return {row[0]: JobRow(*row) for row in await cursor.fetchall()}

    async def _write(self, connection: Connection, rows: Sequence[JobRow]) -> None:
        assignments = ", ".join(f"{name} = excluded.{name}" for name in _WRITTEN if name != "job_id")
        query = _WRITE.format(table=table_of(self), columns=", ".join(_WRITTEN), assignments=assignments)
        written = [{**plain(row), "answer": self.answer(row), "resource": self.resource(row)} for row in rows]
        await connection.execute(query.encode(), (json.dumps(written),))
