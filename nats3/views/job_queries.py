"""What is asked of the view `jobs`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    DateTime,
    Executable,
    Integer,
    MetaData,
    Select,
    Table,
    Text,
    Uuid,
    cast,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by

from nats3.access.scope import Scope, like
from nats3.job.order import Kind, Order
from nats3.job.states import State
from nats3.views.database import Database
from nats3.views.job_row import JobRow
from nats3.views.jobs import COLUMNS

MAX_PAGE = 1000
MAX_ANSWERS = 2000
_EVERYTHING = Scope()

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

    def __init__(self, database: Database, scope: Scope = _EVERYTHING) -> None:
        self._database = database
        self._scope = scope

    def within(self, scope: Scope) -> Jobs:
        """The same view as a caller of this scope sees it."""
        return Jobs(self._database, scope)

    async def get(self, job_id: UUID) -> JobRow | None:
        """The job's row, None when there is no such job."""
        found = await self._rows(self._living().where(JOBS.c.job_id == job_id))
        return found[0] if found else None

    async def page(self, wanted: JobFilter, limit: int = 100, before: int | None = None) -> list[JobRow]:
        """Up to `limit` jobs, newest first, created before log position `before`: that of the last row goes on."""
        query = _filtered(self._living(), wanted)
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
        query = _filtered(self._living(c.answer, c.created_position), wanted)
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
        query = self._living().where(JOBS.c.wanted == "active", ~JOBS.c.completed, JOBS.c.condition != "failed")
        return [_runnable(row) for row in await self._rows(query.order_by(JOBS.c.created_position))]

    def _living(self, *columns: Column[Any]) -> Select[*tuple[object, ...]]:
        """What is in sight of the scope; whole rows unless columns are named."""
        return select(*(columns or _ROW)).where(JOBS.c.wanted != "deleted", *seen_by(self._scope))

    async def _rows(self, query: Executable) -> list[JobRow]:
        return [JobRow(*row) for row in await self._database.fetch(query)]


def seen_by(scope: Scope) -> Iterator[ColumnElement[bool]]:
    """Conditions on a row of `jobs`: what `Scope.sees` says of it."""
    c = JOBS.c
    if scope.jobs:
        yield or_(one_of(c.name, scope.jobs), cast(c.job_id, Text).in_(scope.jobs))
    yield from (one_of(column, part) for column, part in ((c.stream, scope.streams), (c.bucket, scope.buckets)) if part)


def one_of(column: ColumnElement[Any], patterns: Sequence[str]) -> ColumnElement[bool]:
    """Whether a text fits one of these patterns of a scope."""
    return or_(*(column.like(like(pattern), escape="\\") for pattern in patterns))


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
