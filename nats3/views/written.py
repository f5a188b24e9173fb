"""Rows that Postgres writes out as JSON: a list is one text and not so many rows to decode and encode again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    DateTime,
    Interval,
    Select,
    Text,
    bindparam,
    case,
    cast,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by

from nats3.views.database import Database, Statement, compiled

_TIME = literal_column("'YYYY-MM-DD\"T\"HH24:MI:SS.US'")
_ZULU = literal_column("'Z'")
_EPOCH = literal_column("timestamp '1970-01-01'", DateTime)
_MICROSECOND = literal_column("interval '1 microsecond'", Interval)
_NS_PER_US = literal_column("1000", BigInteger)


@dataclass(frozen=True, slots=True)
class Written:
    """JSON objects joined by commas. `last` is the position of the last one, None where there are no more behind it."""

    text: str
    last: int | None


def listing(page: Select[*tuple[Any, ...]], *, falling: bool = False) -> Statement:
    """One text of a page of rows with the columns `said` (JSON) and `at`, by which they are ordered; `most` bounds it."""
    at = page.selected_columns["at"]
    rows = page.order_by(at.desc() if falling else at.asc()).limit(bindparam("most", type_=BigInteger)).subquery()
    at = rows.c.at
    text = func.string_agg(rows.c.said, aggregate_order_by(literal_column("','"), at.desc() if falling else at.asc()))
    return compiled(select(text, func.count(), func.min(at) if falling else func.max(at)))


async def written(database: Database, statement: Statement, limit: int, values: Mapping[str, object]) -> Written:
    """Up to `limit` rows of a `listing`. Raises Unavailable."""
    joined, count, end = (await database.fetch(statement, {**values, "most": limit}))[0]
    return Written(joined or "", end if count == limit else None)


def time_said(column: ColumnElement[Any]) -> ColumnElement[str]:
    """RFC 3339 in UTC with microseconds."""
    return func.to_char(func.timezone(literal_column("'UTC'"), column), _TIME).concat(_ZULU)


def ns_said(column: ColumnElement[Any]) -> ColumnElement[str]:
    """Of nanoseconds since 1970 RFC 3339 in UTC with microseconds, or nanoseconds where microseconds would lose some."""
    rest = func.mod(func.mod(column, _NS_PER_US) + _NS_PER_US, _NS_PER_US)  # from 0 for times before 1970, too
    micros = cast(func.div(column - rest, _NS_PER_US), BigInteger)
    finer = case((rest == literal_column("0"), literal_column("''")), else_=func.lpad(cast(rest, Text), 3, "0"))
    return func.to_char(_EPOCH + micros * _MICROSECOND, _TIME).concat(finer).concat(_ZULU)
