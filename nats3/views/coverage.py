"""The view `coverage`: the lives of each job's stream, and what of them could not be archived, with reasons.

What was archived stands in `chunks`; together they say of every seq what became of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from eventstore import Connection, Recorded, table_of
from nats3.job.gaps import PossibleGap
from nats3.job.history import HISTORY, job_of, types_of
from nats3.job.storing import ChunkFlushed, GapObserved, LifeContinued, LifeOpened
from nats3.views.writing import as_json, make_durable


@dataclass(frozen=True, slots=True)
class LifeRow:
    """A life as its opening tells it. `created` are all creation times (ns) under which the stream went on in it."""

    position: int
    recorded_at: datetime
    job_id: UUID
    life: str
    ordinal: int
    created: tuple[int, ...]
    reason: str
    parent: str | None
    upto: int
    equal: int
    cursor: int


@dataclass(frozen=True, slots=True)
class GapRow:
    """Seqs first..last (inclusive) of a life that are not archived. `inside` is the key of the chunk around them."""

    position: int
    recorded_at: datetime
    job_id: UUID
    life: str
    first: int
    last: int
    reason: str
    inside: str | None = None


_TABLES = """
CREATE TABLE IF NOT EXISTS {lives} (
    position    bigint      PRIMARY KEY,
    recorded_at timestamptz NOT NULL,
    job_id      uuid        NOT NULL,
    life        text        NOT NULL,
    ordinal     integer     NOT NULL,
    created     jsonb       NOT NULL,
    reason      text        NOT NULL,
    parent      text,
    upto        bigint      NOT NULL,
    equal       bigint      NOT NULL,
    cursor      bigint      NOT NULL,
    UNIQUE (job_id, life)
);
CREATE TABLE IF NOT EXISTS {gaps} (
    position    bigint      NOT NULL,
    recorded_at timestamptz NOT NULL,
    job_id      uuid        NOT NULL,
    life        text        NOT NULL,
    first       bigint      NOT NULL,
    last        bigint      NOT NULL,
    reason      text        NOT NULL,
    inside      text,
    PRIMARY KEY (position, first)
);
CREATE INDEX IF NOT EXISTS {gaps}_job ON {gaps} (job_id, position, first);
"""

_LIVES = """
INSERT INTO {table} (position, recorded_at, job_id, life, ordinal, created, reason, parent, upto, equal, cursor)
SELECT position, recorded_at, job_id, life, ordinal, created, reason, parent, upto, equal, cursor
FROM jsonb_populate_recordset(NULL::{table}, %s::jsonb)
"""

_GAPS = """
INSERT INTO {table} (position, recorded_at, job_id, life, first, last, reason, inside)
SELECT position, recorded_at, job_id, life, first, last, reason, inside
FROM jsonb_populate_recordset(NULL::{table}, %s::jsonb)
"""

_CONTINUED = """
UPDATE {table} l SET created = l.created || c.created
FROM (SELECT job_id, max(position) AS position, jsonb_agg(created ORDER BY at) AS created
      FROM (SELECT w.job_id, w.created, w.at,
                   (SELECT max(o.position) FROM {table} o WHERE o.job_id = w.job_id AND o.position < w.at) AS position
            FROM unnest(%s::uuid[], %s::bigint[], %s::bigint[]) AS w (job_id, created, at)) f
      GROUP BY job_id, f.position) c
WHERE l.position = c.position
"""


@dataclass(frozen=True)
class CoverageView:
    """Two tables that only grow, but for a life that goes on under another creation time."""

    version: int = 2
    tables: tuple[str, ...] = ("lives", "gaps")

    @property
    def name(self) -> str:
        return "coverage"

    @property
    def types(self) -> frozenset[str]:
        return types_of(LifeOpened, LifeContinued, GapObserved, PossibleGap, ChunkFlushed)

    async def create(self, connection: Connection) -> None:
        tables = _TABLES.format(lives=table_of(self, "lives"), gaps=table_of(self, "gaps"))
        await connection.execute(tables.encode())

    async def apply(self, connection: Connection, events: Sequence[Recorded]) -> None:
        decoded = [(event, HISTORY.decode(event)) for event in events]
        lives = [life_of(event, said) for event, said in decoded if isinstance(said, LifeOpened)]
        gaps = [gap for event, said in decoded for gap in gaps_of(event, said)]
        continued = [
            (job_of(event.entity_id), said.created, event.position)
            for event, said in decoded
            if isinstance(said, LifeContinued)
        ]
        if not (lives or gaps or continued):
            return  # nearly all chunks: they follow one another without a gap
        await make_durable(connection)
        await self._insert(connection, _LIVES, "lives", lives)
        await self._insert(connection, _GAPS, "gaps", gaps)
        if continued:
            columns = [list(column) for column in zip(*continued, strict=True)]
            await connection.execute(_CONTINUED.format(table=table_of(self, "lives")).encode(), columns)

    async def _insert(
        self, connection: Connection, query: str, name: str, rows: Sequence[LifeRow] | Sequence[GapRow]
    ) -> None:
        if rows:
            text = query.format(table=table_of(self, name))
            await connection.execute(text.encode(), (as_json(rows),))


def life_of(event: Recorded, said: LifeOpened) -> LifeRow:
    opening = said.opening
    return LifeRow(
        event.position,
        event.recorded_at,
        job_of(event.entity_id),
        opening.uuid,
        opening.ordinal,
        (opening.created,),
        said.reason,
        opening.parent,
        opening.upto,
        opening.equal,
        opening.cursor,
    )


def gaps_of(event: Recorded, said: object) -> Iterator[GapRow]:
    """The gaps that an event tells of: between chunks, inside of one, or before a life's first; and what may be one."""
    if isinstance(said, GapObserved):
        yield gap_of(event, said.life, said.first, said.last, said.reason)
    if isinstance(said, PossibleGap):
        yield gap_of(event, said.life, said.first, said.last, "possible")
    if isinstance(said, ChunkFlushed):
        for first, last in said.gaps:
            yield gap_of(event, said.life, first, last, "unknown", said.key)
    if isinstance(said, LifeOpened) and said.opening.cursor > said.opening.equal:
        yield gap_of(event, said.opening.uuid, said.opening.equal + 1, said.opening.cursor, "unknown")


def gap_of(event: Recorded, life: str, first: int, last: int, reason: str, inside: str | None = None) -> GapRow:
    return GapRow(event.position, event.recorded_at, job_of(event.entity_id), life, first, last, reason, inside)
