"""What is asked of the view `jobs`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
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
    any_,
    bindparam,
    cast,
    literal,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from nats3.access.scope import Scope, like
from nats3.job.order import Kind, Order
from nats3.job.states import State
from nats3.views.database import Database, Statement, compiled
from nats3.views.job_row import JobRow
from nats3.views.jobs import COLUMNS
from nats3.views.written import Written, listing, written

MAX_PAGE = 1000
MAX_ANSWERS = 2000
_EVERYTHING = Scope()

_TYPES: dict[str, type[Uuid[UUID] | BigInteger | Boolean | DateTime | Integer | JSONB]] = {
    "job_id": Uuid,
    "node_id": Uuid,
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
            "displaced",
            "skipped",
            "published_bytes",
            "loaded_chunks",
        ),
        BigInteger,
    ),
}
JOBS = Table("jobs", MetaData(), *(Column(name, _TYPES.get(name, Text)) for name in (*COLUMNS, "answer", "resource")))
_EQUAL = ("kind", "name", "stream", "bucket")
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

    async def answers(self, wanted: JobFilter, before: int | None = None, limit: int = MAX_ANSWERS) -> Written:
        """The same jobs as `page`, as version 1 tells them."""
        return await self._written("answer", wanted, before, limit)

    async def resources(self, wanted: JobFilter, limit: int = 100, before: int | None = None) -> Written:
        """The same jobs as `page`, as version 2 tells them."""
        return await self._written("resource", wanted, before, min(limit, MAX_PAGE))

    async def _written(self, column: str, wanted: JobFilter, before: int | None, limit: int) -> Written:
        states = None if wanted.states is None else list(_values(wanted.states))
        equal = {name: getattr(wanted, name) for name in _EQUAL}
        asked = {
            name: value for name, value in {**equal, "states": states, "before": before}.items() if value is not None
        }
        return await written(self._database, _listing(column, self._scope, frozenset(asked)), limit, asked)

    async def named(self, name: str) -> list[JobRow]:
        """All jobs of that name, newest first; names are not unique."""
        return await self.all(JobFilter(name=name))

    async def streams(self) -> set[str]:
        """What jobs archive, or read the archive of."""
        return {str(row[0]) for row in await self._database.fetch(self._living(JOBS.c.stream).distinct())}

    async def runnable(self) -> list[Runnable]:
        """Jobs that are wanted and have not ended, oldest first."""
        return [_runnable(row) for row in await self._rows(_to_be_run(self._scope))]

    def _living(self, *columns: Column[Any]) -> Select[*tuple[object, ...]]:
        return living(self._scope, *columns)

    async def _rows(self, query: Executable | Statement) -> list[JobRow]:
        return [JobRow(*row) for row in await self._database.fetch(query)]


def living(scope: Scope, *columns: Column[Any]) -> Select[*tuple[object, ...]]:
    """What is in sight of the scope; whole rows unless columns are named."""
    return select(*(columns or _ROW)).where(JOBS.c.wanted != "deleted", *seen_by(scope))


@lru_cache(maxsize=256)
def _to_be_run(scope: Scope) -> Statement:
    """Every node asks for it each second, and after each event on a job."""
    wanted = living(scope).where(JOBS.c.wanted == "active", ~JOBS.c.completed, JOBS.c.condition != "failed")
    return compiled(wanted.order_by(JOBS.c.created_position))


@lru_cache(maxsize=256)
def _listing(column: str, scope: Scope, asked: frozenset[str]) -> Statement:
    """The jobs in sight, each as this column tells it; what is `asked` is given by these names."""
    c = JOBS.c
    query = select(c[column].label("said"), c.created_position.label("at")).where(
        c.wanted != "deleted", *seen_by(scope)
    )
    query = query.where(*(c[name] == bindparam(name) for name in _EQUAL if name in asked))
    if "states" in asked:
        query = query.where(c.state == any_(bindparam("states", type_=ARRAY(Text))))
    if "before" in asked:
        query = query.where(c.created_position < bindparam("before"))
    return listing(query, falling=True)


def seen_by(scope: Scope) -> Iterator[ColumnElement[bool]]:
    """Conditions on a row of `jobs`: what `Scope.sees` says of it."""
    c = JOBS.c
    if scope.jobs:
        yield or_(one_of(c.name, scope.jobs), cast(c.job_id, Text) == any_(literal(list(scope.jobs), ARRAY(Text))))
    yield from (one_of(column, part) for column, part in ((c.stream, scope.streams), (c.bucket, scope.buckets)) if part)


def one_of(column: ColumnElement[Any], patterns: Sequence[str]) -> ColumnElement[bool]:
    """Whether a text fits one of these patterns of a scope."""
    return or_(*(column.like(like(pattern), escape="\\") for pattern in patterns))


def _filtered(query: Select[*tuple[object, ...]], wanted: JobFilter) -> Select[*tuple[object, ...]]:
    for name in _EQUAL:
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
