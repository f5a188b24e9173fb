"""The view `chunks`: the index of what lies in the buckets, one row per recorded chunk. Loads are planned from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from operator import attrgetter
from typing import Any, Literal
from uuid import UUID

from eventstore import Connection, Recorded, copy_in, table_of
from nats3.job.history import HISTORY, job_of, types_of
from nats3.job.loading import ChunkDeleted, ChunkDeleteRequested
from nats3.job.storing import ChunkFlushed
from nats3.views.writing import make_durable

Deletion = Literal["requested", "done"]


@dataclass(frozen=True, slots=True)
class ChunkRow:
    """A recorded chunk: the fields of `ChunkFlushed`, and what became of it.

    `position` and `recorded_at` are those of its event. `deletion` is None while the object is in the bucket, and
    `deletion_position` where the log asks for its deletion.
    """

    position: int
    recorded_at: datetime
    job_id: UUID
    bucket: str
    key: str
    codec: str
    stream: str
    subject: str
    consumer: str | None
    prefix: str
    life: str
    ordinal: int
    created: int
    previous_seq: int
    first: int
    last: int
    count: int
    first_time: int
    last_time: int
    raw_bytes: int
    stored_bytes: int
    sha256: str
    content_sha256: str
    previous_sha256: str
    last_fingerprint: str
    sealed_by: str
    gaps: tuple[tuple[int, int], ...]
    gap_count: int
    adopted_from: str | None
    deletion: Deletion | None = None
    deletion_position: int | None = None


COLUMNS = tuple(field.name for field in fields(ChunkRow))
_OF_LOG = ("position", "recorded_at", "job_id")
_OF_EVENT = tuple(field.name for field in fields(ChunkFlushed))
_said = attrgetter(*_OF_EVENT)

_TABLE = """
CREATE TABLE IF NOT EXISTS {table} (
    position         bigint      PRIMARY KEY,
    recorded_at      timestamptz NOT NULL,
    job_id           uuid        NOT NULL,
    bucket           text        NOT NULL,
    key              text        NOT NULL,
    codec            text        NOT NULL,
    stream           text        NOT NULL,
    subject          text        NOT NULL,
    consumer         text,
    prefix           text        NOT NULL,
    life             text        NOT NULL,
    ordinal          integer     NOT NULL,
    created          bigint      NOT NULL,
    previous_seq     bigint      NOT NULL,
    first            bigint      NOT NULL,
    last             bigint      NOT NULL,
    count            bigint      NOT NULL,
    first_time       bigint      NOT NULL,
    last_time        bigint      NOT NULL,
    raw_bytes        bigint      NOT NULL,
    stored_bytes     bigint      NOT NULL,
    sha256           text        NOT NULL,
    content_sha256   text        NOT NULL,
    previous_sha256  text        NOT NULL,
    last_fingerprint text        NOT NULL,
    sealed_by        text        NOT NULL,
    gaps             jsonb       NOT NULL,
    gap_count        bigint      NOT NULL,
    adopted_from     text,
    deletion         text,
    deletion_position bigint
);
"""

_BY_KEY = """
CREATE INDEX IF NOT EXISTS {table}_key ON {table} (bucket, key);
"""

_INDEXES = (
    _BY_KEY
    + """
CREATE UNIQUE INDEX IF NOT EXISTS {table}_job_id_life_previous_seq_key ON {table} (job_id, life, previous_seq);
CREATE INDEX IF NOT EXISTS {table}_planned ON {table} (bucket, stream, created, ordinal, first, position)
    WHERE deletion IS NULL;
CREATE INDEX IF NOT EXISTS {table}_job ON {table} (job_id, position);
CREATE INDEX IF NOT EXISTS {table}_covering ON {table} (job_id, life, last);
"""
)

_DELETE = """
UPDATE {table} c
SET deletion = d.deletion, deletion_position = coalesce(c.deletion_position, d.position)
FROM (SELECT bucket, key, min(deletion) AS deletion, min(position) AS position
      FROM unnest(%s::text[], %s::text[], %s::text[], %s::bigint[]) AS said (bucket, key, deletion, position)
      GROUP BY bucket, key) d
WHERE c.bucket = d.bucket AND c.key = d.key AND c.deletion IS DISTINCT FROM 'done'
"""


@dataclass(frozen=True)
class ChunksView:
    """Chunks of a page are inserted first, then what the page says of deletions: a chunk is recorded before either."""

    version: int = 2

    @property
    def name(self) -> str:
        return "chunks"

    @property
    def types(self) -> frozenset[str]:
        return types_of(ChunkFlushed, ChunkDeleteRequested, ChunkDeleted)

    async def create(self, connection: Connection) -> None:
        await connection.execute(_TABLE.format(table=table_of(self)).encode())

    async def index(self, connection: Connection) -> None:
        await connection.execute(_INDEXES.format(table=table_of(self)).encode())

    async def apply(self, connection: Connection, events: Sequence[Recorded]) -> None:
        await make_durable(connection)
        decoded = [(event, HISTORY.decode(event)) for event in events]
        flushed = [values_of(event, said) for event, said in decoded if isinstance(said, ChunkFlushed)]
        gone = [
            deletion_of(event, said) for event, said in decoded if isinstance(said, ChunkDeleteRequested | ChunkDeleted)
        ]
        await copy_in(connection, table_of(self), (*_OF_LOG, *_OF_EVENT), flushed)
        if gone:
            await self._say_gone(connection, gone)

    async def _say_gone(self, connection: Connection, gone: Sequence[tuple[str, str, Deletion, int]]) -> None:
        # A rebuild has no other index yet; without this one each page of deletions would read the whole table.
        await connection.execute(_BY_KEY.format(table=table_of(self)).encode())
        # 'done' sorts before 'requested': the least of a page is its last word.
        columns = [list(column) for column in zip(*gone, strict=True)]
        await connection.execute(_DELETE.format(table=table_of(self)).encode(), columns)


def values_of(event: Recorded, chunk: ChunkFlushed) -> tuple[Any, ...]:
    """The columns of a chunk that was recorded just now: of the log, then of the event."""
    return (event.position, event.recorded_at, job_of(event.entity_id), *_said(chunk))


def deletion_of(event: Recorded, said: ChunkDeleteRequested | ChunkDeleted) -> tuple[str, str, Deletion, int]:
    """Bucket, key, how far the deletion is, and where the log says so."""
    return said.bucket, said.key, "done" if isinstance(said, ChunkDeleted) else "requested", event.position
