"""What is asked of the view `jobs`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Executable,
    Integer,
    MetaData,
    Select,
    Table,
    Text,
    Uuid,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by

from nats3.job.order import Kind, Order
from nats3.job.states import State
from nats3.views.database import Database
from nats3.views.job_row import JobRow
from nats3.views.jobs import COLUMNS

MAX_PAGE = 1000
MAX_ANSWERS = 2000

_TYPES: dict[str, type[Uuid[UUID] | BigInteger | Boolean | DateTime | Integer | JSONB]] = {
    "job_id": Uuid,
    "api": Integer,
    "ordered": JSONB,
    "created": DateTime,
    "updated": DateTime,
    "last_error_at": DateTime,
    "completed": Boolean,
    **dict.fromkeys(
        (
            "created_position",
            "position",
            "version",
            "attempts",
            "generation",
            "resumed",
            "lives",
            "messages",
            "chunks",
            "raw_bytes",
            "stored_bytes",
            "gaps",
            "last_seq",
            "last_time",
            "planned",
            "planned_chunks",
            "published",
            "duplicates",
            "skipped",
            "published_bytes",
            "loaded_chunks",
        ),
        BigInteger,
    ),
}
JOBS = Table("jobs", MetaData(), *(Column(name, _TYPES.get(name, Text)) for name in (*COLUMNS, "answer")))
_ROW = tuple(JOBS.c[name] for name in COLUMNS)


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs: every field that is not None must be equal, the state one of `states`."""

    kind: Kind | None = None
    states: frozenset[State] | None = None
    name: str | None = None
    stream: str | None = None
    bucket: str | None = None


@dataclass(frozen=True, slots=True)
class Answers:
    """Jobs as version 1 lists them, joined by commas; `last` is where the page ends, None after the last job."""

    text: str
    last: int | None


@dataclass(frozen=True, slots=True)
class Runnable:
    """A job that some node should be working on."""

    job_id: UUID
    kind: Kind
    order: Order
    attempts: int
    generation: int
    resumed: int
    api: int


class Jobs:
    """Reads the view. A deleted job is not there for anyone. Every method raises Unavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, job_id: UUID) -> JobRow | None:
        """The job's row, None when there is no such job."""
        found = await self._rows(_living().where(JOBS.c.job_id == job_id))
        return found[0] if found else None

    async def page(self, wanted: JobFilter, limit: int = 100, before: int | None = None) -> list[JobRow]:
        """Up to `limit` jobs, newest first, created before log position `before`: that of the last row goes on."""
        query = _filtered(_living(), wanted)
        if before is not None:
            query = query.where(JOBS.c.created_position < before)
        return await self._rows(query.order_by(JOBS.c.created_position.desc()).limit(min(limit, MAX_PAGE)))

    async def all(self, wanted: JobFilter) -> list[JobRow]:
        """Every job, newest first."""
        rows = await self.page(wanted, MAX_PAGE)
        page = rows
        while len(page) == MAX_PAGE:
            page = await self.page(wanted, MAX_PAGE, page[-1].created_position)
            rows += page
        return rows

    async def answers(self, wanted: JobFilter, before: int | None = None, limit: int = MAX_ANSWERS) -> Answers:
        """The same jobs as `page`, as the view keeps them written out."""
        c = JOBS.c
        query = _filtered(select(c.answer, c.created_position).where(c.wanted != "deleted"), wanted)
        if before is not None:
            query = query.where(c.created_position < before)
        page = query.order_by(c.created_position.desc()).limit(limit).subquery()
        text = func.string_agg(page.c.answer, aggregate_order_by(literal_column("','"), page.c.created_position.desc()))
        rows = await self._database.fetch(select(text, func.count(), func.min(page.c.created_position)))
        joined, count, last = rows[0]
        return Answers(joined or "", last if count == limit else None)

    async def named(self, name: str) -> list[JobRow]:
        """All jobs of that name, newest first; names are not unique."""
        return await self.all(JobFilter(name=name))

    async def runnable(self) -> list[Runnable]:
        """Jobs that are wanted and have not ended, oldest first."""
        query = _living().where(JOBS.c.wanted == "active", ~JOBS.c.completed, JOBS.c.condition != "failed")
        return [_runnable(row) for row in await self._rows(query.order_by(JOBS.c.created_position))]

    async def _rows(self, query: Executable) -> list[JobRow]:
        return [JobRow(*row) for row in await self._database.fetch(query)]


def _living() -> Select[*tuple[object, ...]]:
    return select(*_ROW).where(JOBS.c.wanted != "deleted")


def _filtered(query: Select[*tuple[object, ...]], wanted: JobFilter) -> Select[*tuple[object, ...]]:
    for name in ("kind", "name", "stream", "bucket"):
        value: str | None = getattr(wanted, name)
        if value is not None:
            query = query.where(JOBS.c[name] == value)
    if wanted.states is not None:
        query = query.where(JOBS.c.state.in_(_values(wanted.states)))
    return query


def _values(states: frozenset[State]) -> Sequence[str]:
    return sorted(state.value for state in states)


def _runnable(row: JobRow) -> Runnable:
    return Runnable(row.job_id, row.kind, row.order, row.attempts, row.generation, row.resumed, row.api)
