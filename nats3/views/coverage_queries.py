"""What is asked of the views `lives`, `gaps` and `chunks` together: what of a stream is archived."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy import BigInteger, Column, DateTime, Integer, MetaData, Table, Text, Uuid, func, select, tuple_
from sqlalchemy.dialects.postgresql import JSONB

from nats3.views.chunk_queries import CHUNKS
from nats3.views.coverage import GapRow, LifeRow
from nats3.views.database import Database

LIVES = Table(
    "lives",
    MetaData(),
    Column("position", BigInteger),
    Column("recorded_at", DateTime),
    Column("job_id", Uuid),
    Column("life", Text),
    Column("ordinal", Integer),
    Column("created", JSONB),
    Column("reason", Text),
    Column("parent", Text),
    Column("upto", BigInteger),
    Column("equal", BigInteger),
    Column("cursor", BigInteger),
)
GAPS = Table(
    "gaps",
    MetaData(),
    Column("position", BigInteger),
    Column("recorded_at", DateTime),
    Column("job_id", Uuid),
    Column("life", Text),
    Column("first", BigInteger),
    Column("last", BigInteger),
    Column("reason", Text),
    Column("inside", Text),
)


@dataclass(frozen=True, slots=True)
class Archived:
    """Seqs first..last of a life lie in chunks that follow each other without a gap between them."""

    life: str
    ordinal: int
    first: int
    last: int
    chunks: int
    messages: int
    first_time: int
    last_time: int


class Coverage:
    """Reads the views. Every method raises Unavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def archived(self, job_id: UUID) -> list[Archived]:
        """What lies in the bucket, by life and seq; chunks that were deleted break a range."""
        c = CHUNKS.c
        before = func.lag(c.last).over(partition_by=c.life, order_by=c.first)
        present = (
            select(*c, (before.is_distinct_from(c.previous_seq)).label("begins"))
            .where(c.job_id == job_id, c.deletion.is_(None))
            .subquery()
        )
        p = present.c
        run = func.sum(func.cast(p.begins, Integer)).over(partition_by=p.life, order_by=p.first)
        runs = select(*p, run.label("run")).subquery()
        r = runs.c
        query = select(
            r.life,
            r.ordinal,
            func.min(r.first),
            func.max(r.last),
            func.count(),
            func.cast(func.sum(r.count), BigInteger),
            func.min(r.first_time),
            func.max(r.last_time),
        )
        query = query.group_by(r.life, r.ordinal, r.run).order_by(r.ordinal, func.min(r.first))
        return [Archived(*row) for row in await self._database.fetch(query)]

    async def lives(self, *job_ids: UUID) -> list[LifeRow]:
        """The lives of these jobs' streams, in their order."""
        query = select(*LIVES.c).where(LIVES.c.job_id.in_(job_ids)).order_by(LIVES.c.position)
        rows = await self._database.fetch(query)
        return [replace(life, created=tuple(life.created)) for life in (LifeRow(*row) for row in rows)]

    async def gaps(self, job_id: UUID, limit: int = 1000, after: tuple[int, int] = (0, 0)) -> list[GapRow]:
        """Up to `limit` gaps behind (position, first) of the last one of the page before, in the order of the log."""
        g = GAPS.c
        query = select(*g).where(g.job_id == job_id, tuple_(g.position, g.first) > tuple_(*after))
        rows = await self._database.fetch(query.order_by(g.position, g.first).limit(limit))
        return [GapRow(*row) for row in rows]
