"""What is asked of the view `chunks`: plans of loads, single chunks, lists."""

from __future__ import annotations

import operator
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    DateTime,
    Executable,
    MetaData,
    Table,
    Text,
    Uuid,
    bindparam,
    cast,
    func,
    literal_column,
    or_,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import JSONB

from nats3.access.scope import Scope as Reach
from nats3.job.order import LoadOrder
from nats3.views.chunks import COLUMNS, ChunkRow
from nats3.views.database import Database, Statement
from nats3.views.job_queries import JOBS, one_of, seen_by
from nats3.views.written import Written, listing, ns_said, time_said, written

MAX_PAGE = 1000
_EQUAL = ("job_id", "bucket", "stream")
_KEYS_PER_QUESTION = 5000
_EVERYTHING = Reach()

_TEXTS = frozenset(
    {
        "bucket",
        "key",
        "codec",
        "stream",
        "subject",
        "consumer",
        "prefix",
        "life",
        "sha256",
        "content_sha256",
        "previous_sha256",
        "last_fingerprint",
        "sealed_by",
        "adopted_from",
        "deletion",
    }
)
_OTHERS = {"recorded_at": DateTime, "job_id": Uuid, "gaps": JSONB}
CHUNKS = Table(
    "chunks",
    MetaData(),
    *(Column(name, Text if name in _TEXTS else _OTHERS.get(name, BigInteger)) for name in COLUMNS),
)

Condition: TypeAlias = ColumnElement[bool]
Bound: TypeAlias = tuple[object, Column[Any], Callable[[Any, Any], Condition]]
PlanKey: TypeAlias = tuple[int, int, int, int]
"""created, ordinal, first, position: where a page of a plan goes on."""


_LEAST, _MOST = -(1 << 63), (1 << 63) - 1


def _within_bigint(bound: int | None) -> int | None:
    """No message has a time before 1677 or after 2262, or such a seq: a bound beyond that chooses the same, and Postgres takes it."""
    return None if bound is None else max(_LEAST, min(_MOST, bound))


@dataclass(frozen=True, slots=True)
class Scope:
    """Which chunks a load reads: those still in the bucket that were recorded at or before `position`; those, too,
    whose deletion was recorded after `deleted_after`, where that is given.

    None is no bound; times are ns, half open; seqs are inclusive. A chunk counts when it overlaps both. Subjects are
    selected later, message by message. `above` leaves out what was recorded at or before it.
    """

    bucket: str
    stream: str
    position: int
    prefix: str | None = None
    consumer: str | None = None
    from_time: int | None = None
    to_time: int | None = None
    from_seq: int | None = None
    to_seq: int | None = None
    above: int = 0
    deleted_after: int | None = None

    @classmethod
    def of(cls, order: LoadOrder, position: int, *, above: int = 0, deleted_after: int | None = None) -> Scope:
        """What this order reads of what was recorded up to `position`."""
        return cls(
            bucket=order.bucket,
            stream=order.read_stream,
            position=position,
            prefix=order.prefix,
            consumer=order.read_consumer,
            from_time=_within_bigint(order.from_time),
            to_time=_within_bigint(order.to_time),
            from_seq=_within_bigint(order.from_seq),
            to_seq=_within_bigint(order.to_seq),
            above=above,
            deleted_after=deleted_after,
        )


@dataclass(frozen=True, slots=True)
class ChunkRange:
    """The chunks of one life by one job, within a scope, as a sum. `first` and `last` are seqs."""

    job_id: UUID
    life: str
    created: int
    ordinal: int
    first: int
    last: int
    chunks: int
    messages: int
    raw_bytes: int
    stored_bytes: int
    first_time: int
    last_time: int


@dataclass(frozen=True, slots=True)
class StreamArchived:
    """What of a stream lies in buckets, over all its lives. `last` is the greatest seq; times are ns."""

    stream: str
    jobs: int
    chunks: int
    messages: int
    raw_bytes: int
    stored_bytes: int
    last: int
    first_time: int
    last_time: int


@dataclass(frozen=True, slots=True)
class ChunkFilter:
    """Which chunks to list: every field that is not None must be equal; `deleted` None means both."""

    job_id: UUID | None = None
    bucket: str | None = None
    stream: str | None = None
    deleted: bool | None = False


class Chunks:
    """Reads the view. Every method raises Unavailable."""

    def __init__(self, database: Database, scope: Reach = _EVERYTHING) -> None:
        self._database = database
        self._scope = scope

    def within(self, scope: Reach) -> Chunks:
        """The same view as a caller of this scope sees it."""
        return Chunks(self._database, scope)

    async def planned(self, scope: Scope, limit: int = MAX_PAGE, after: PlanKey | None = None) -> list[ChunkRow]:
        """A page in the order of replay: created, ordinal, first seq. `plan_key` of the last row is the next `after`."""
        c = CHUNKS.c
        order = (c.created, c.ordinal, c.first, c.position)
        query = select(*c).where(*self._seen(), *_within(scope)).order_by(*order).limit(limit)
        if after is not None:
            query = query.where(tuple_(*order) > tuple_(*after))
        return await self._rows(query)

    async def all_planned(self, scope: Scope, page: int = MAX_PAGE) -> AsyncIterator[ChunkRow]:
        """Every chunk of the scope in the order of replay, read page by page."""
        rows = await self.planned(scope, page)
        while rows:
            for row in rows:
                yield row
            rows = await self.planned(scope, page, plan_key(rows[-1])) if len(rows) == page else []

    async def summary(self, scope: Scope) -> list[ChunkRange]:
        """The scope per job and life, in the order of replay."""
        c = CHUNKS.c
        life = (c.job_id, c.life, c.created, c.ordinal)
        sums = [func.min(c.first), func.max(c.last), func.count()]
        sums += [func.cast(func.sum(column), BigInteger) for column in (c.count, c.raw_bytes, c.stored_bytes)]
        sums += [func.min(c.first_time), func.max(c.last_time)]
        query = select(*life, *sums).where(*self._seen(), *_within(scope)).group_by(*life)
        query = query.order_by(c.created, c.ordinal, func.min(c.first), c.job_id)
        return [ChunkRange(*row) for row in await self._database.fetch(query)]

    async def filters(self, scope: Scope) -> set[str]:
        """The subject filters under which the chunks of the scope were archived; none where there is no chunk.

        In whoever's sight they are: a load reads them all.
        """
        query = select(CHUNKS.c.subject).where(*_within(scope)).distinct()
        return {row[0] for row in await self._database.fetch(query)}

    async def of_life(self, scope: Scope, job_id: UUID, life: str, after_seq: int, limit: int) -> list[ChunkRow]:
        """Chunks of the scope in one life by one job with last > `after_seq`, in seq order."""
        c = CHUNKS.c
        query = select(*c).where(*self._seen(), *_within(scope), c.job_id == job_id, c.life == life, c.last > after_seq)
        return await self._rows(query.order_by(c.last).limit(limit))

    async def covering(self, job_id: UUID, life: str, seq: int) -> ChunkRow | None:
        """The chunk that settled this seq, None when none did. A seq in it may be one of its gaps."""
        c = CHUNKS.c
        query = (
            select(*c).where(*self._seen(), c.job_id == job_id, c.life == life, c.last >= seq).order_by(c.last).limit(1)
        )
        rows = await self._rows(query)
        return rows[0] if rows and rows[0].previous_seq < seq else None

    async def recorded(self, bucket: str, keys: Collection[str]) -> set[str]:
        """Which of these object keys some event refers to, deleted ones included."""
        found: set[str] = set()
        waiting = iter(keys)
        while part := list(islice(waiting, _KEYS_PER_QUESTION)):
            query = select(CHUNKS.c.key).where(CHUNKS.c.bucket == bucket, CHUNKS.c.key.in_(part))
            found.update(row[0] for row in await self._database.fetch(query))
        return found

    async def page(self, wanted: ChunkFilter, limit: int = 100, after: int = 0) -> list[ChunkRow]:
        """Up to `limit` chunks recorded after log position `after`, in the order of the log."""
        query = select(*CHUNKS.c).where(*self._seen(), CHUNKS.c.position > after, *_filtered(wanted))
        return await self._rows(query.order_by(CHUNKS.c.position).limit(min(limit, MAX_PAGE)))

    async def resources(self, wanted: ChunkFilter, limit: int = 100, after: int = 0) -> Written:
        """The same chunks as `page`, as version 2 tells them."""
        equal = {name: getattr(wanted, name) for name in _EQUAL}
        asked = {name: value for name, value in equal.items() if value is not None}
        statement = _listing(self._scope, frozenset(asked), wanted.deleted)
        return await written(self._database, statement, min(limit, MAX_PAGE), {**asked, "after": after})

    async def by_stream(self) -> list[StreamArchived]:
        """One for each stream of which something lies in a bucket."""
        c = CHUNKS.c
        sums = [func.cast(func.sum(column), BigInteger) for column in (c.count, c.raw_bytes, c.stored_bytes)]
        ends = (func.max(c.last), func.min(c.first_time), func.max(c.last_time))
        query = select(c.stream, func.count(c.job_id.distinct()), func.count(), *sums, *ends)
        query = query.where(*self._seen(), c.deletion.is_(None)).group_by(c.stream)
        return [StreamArchived(*row) for row in await self._database.fetch(query)]

    async def total(self, wanted: ChunkFilter) -> int:
        """How many chunks the filter takes."""
        query = select(func.count()).select_from(CHUNKS).where(*_filtered(wanted))
        return (await self._database.fetch(query))[0][0]

    async def places(self, wanted: ChunkFilter) -> list[tuple[str, str, str]]:
        """Bucket, prefix and stream under which chunks of the filter lie, in order."""
        c = CHUNKS.c
        query = select(c.bucket, c.prefix, c.stream).where(*_filtered(wanted)).distinct()
        return [(row[0], row[1], row[2]) for row in await self._database.fetch(query.order_by(*query.selected_columns))]

    async def at(self, position: int) -> ChunkRow | None:
        """The chunk whose event stands at this position of the log."""
        rows = await self._rows(select(*CHUNKS.c).where(*self._seen(), CHUNKS.c.position == position))
        return rows[0] if rows else None

    def _seen(self) -> Iterator[Condition]:
        return _seen_by(self._scope)

    async def _rows(self, query: Executable) -> list[ChunkRow]:
        return [_row(row) for row in await self._database.fetch(query)]


@lru_cache(maxsize=256)
def _listing(scope: Reach, asked: frozenset[str], deleted: bool | None) -> Statement:  # noqa: FBT001 - as the filter has it
    """The chunks in sight behind `after`, written out; what is `asked` is given by these names."""
    c = CHUNKS.c
    chosen = select(*_told()).where(*_seen_by(scope), c.position > bindparam("after"), *_of_deletion(deleted))
    chosen = chosen.where(*(c[name] == bindparam(name) for name in _EQUAL if name in asked))
    # The bound stands inside as well: only rows of the page are written out.
    chunk = chosen.order_by(c.position).limit(bindparam("most", type_=BigInteger)).subquery("chunk")
    said = cast(func.row_to_json(literal_column("chunk")), Text)
    return listing(select(said.label("said"), chunk.c.id.label("at")).select_from(chunk))


def _seen_by(scope: Reach) -> Iterator[Condition]:
    c = CHUNKS.c
    yield from (one_of(column, part) for column, part in ((c.stream, scope.streams), (c.bucket, scope.buckets)) if part)
    if scope.jobs:
        yield c.job_id.in_(select(JOBS.c.job_id).where(*seen_by(scope)))


def _told() -> Iterator[ColumnElement[Any]]:
    """The columns of a chunk, in words where numbers alone would not do."""
    c = CHUNKS.c
    words = {"recorded_at": time_said(c.recorded_at)} | {
        name: ns_said(c[name]) for name in ("created", "first_time", "last_time")
    }
    yield c.position.label("id")
    for name in COLUMNS[1:]:
        yield words.get(name, c[name]).label(name)


def plan_key(row: ChunkRow) -> PlanKey:
    """Where the page after this row begins."""
    return row.created, row.ordinal, row.first, row.position


def _row(values: Collection[object]) -> ChunkRow:
    row = ChunkRow(*values)  # pyright: ignore[reportArgumentType] - the columns are those of the dataclass
    return replace(row, gaps=tuple((first, last) for first, last in row.gaps)) if row.gaps else replace(row, gaps=())


def _within(scope: Scope) -> Iterator[Condition]:
    c = CHUNKS.c
    yield from (c.bucket == scope.bucket, c.stream == scope.stream)
    there = c.deletion.is_(None)
    yield there if scope.deleted_after is None else or_(there, c.deletion_position > scope.deleted_after)
    yield from (c.position <= scope.position, c.position > scope.above)
    bounds: tuple[Bound, ...] = (
        (scope.prefix, c.prefix, operator.eq),
        (scope.consumer, c.consumer, operator.eq),
        (scope.from_time, c.last_time, operator.ge),
        (scope.to_time, c.first_time, operator.lt),
        (scope.from_seq, c.last, operator.ge),
        (scope.to_seq, c.first, operator.le),
    )
    yield from (compare(column, bound) for bound, column, compare in bounds if bound is not None)


def _filtered(wanted: ChunkFilter) -> Iterator[Condition]:
    c = CHUNKS.c
    for column, value in ((c.job_id, wanted.job_id), (c.bucket, wanted.bucket), (c.stream, wanted.stream)):
        if value is not None:
            yield column == value
    yield from _of_deletion(wanted.deleted)


def _of_deletion(deleted: bool | None) -> Iterator[Condition]:  # noqa: FBT001 - as the filter has it
    if deleted is not None:
        yield CHUNKS.c.deletion.is_not(None) if deleted else CHUNKS.c.deletion.is_(None)
