"""What is asked of the view `leftovers`: what is condemned, what of it may go, and which jobs left something in NATS."""

from __future__ import annotations

from collections.abc import Collection
from itertools import islice
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, Column, DateTime, MetaData, Table, Text, Uuid, func, select

from nats3.views.database import Database
from nats3.views.leftovers import CondemnedRow

_KEYS_PER_QUESTION = 5000

CONDEMNED = Table(
    "condemned",
    MetaData(),
    Column("job_id", Uuid),
    Column("bucket", Text),
    Column("key", Text),
    Column("reason", Text),
    Column("position", BigInteger),
    Column("recorded_at", DateTime),
)
UNTIDY = Table(
    "untidy",
    MetaData(),
    Column("job_id", Uuid),
    Column("stream", Text),
    Column("deleted", Boolean),
)


class Leftovers:
    """Reads the view. Every method raises Unavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def condemned(self, bucket: str, keys: Collection[str]) -> set[str]:
        """Which of these object keys are condemned by some job."""
        found: set[str] = set()
        waiting = iter(keys)
        while part := list(islice(waiting, _KEYS_PER_QUESTION)):
            query = select(CONDEMNED.c.key).where(CONDEMNED.c.bucket == bucket, CONDEMNED.c.key.in_(part))
            found.update(row[0] for row in await self._database.fetch(query))
        return found

    async def due(self, job_id: UUID, grace_s: float, limit: int) -> list[CondemnedRow]:
        """What this job condemned at least `grace_s` seconds ago, by the database's clock, oldest first."""
        c = CONDEMNED.c
        age = func.extract("epoch", func.clock_timestamp() - c.recorded_at)
        query = select(*c).where(c.job_id == job_id, age >= grace_s).order_by(c.position, c.key).limit(limit)
        return [CondemnedRow(*row) for row in await self._database.fetch(query)]

    async def untidy(self) -> list[UUID]:
        """Deleted store jobs of which consumers may be left."""
        query = select(UNTIDY.c.job_id).where(UNTIDY.c.deleted).order_by(UNTIDY.c.job_id).limit(1000)
        return [row[0] for row in await self._database.fetch(query)]
