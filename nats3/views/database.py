"""Where views are read: a small pool on the log's database. Whatever hinders an answer comes out as Unavailable."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

from sqlalchemy import Executable, Select
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.exc import DBAPIError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from eventstore.connection import DEADLINE_S, Line, parameters
from nats3.errors import Unavailable

Rows: TypeAlias = Sequence[tuple[Any, ...]]

_SETTINGS: Mapping[str, str] = {"statement_timeout": "8s", "TimeZone": "UTC", "default_transaction_read_only": "on"}
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_DIALECT = PGDialect_psycopg()
_NOT_MADE_YET = frozenset({"42P01", "42703"})
"""undefined_table, undefined_column."""
_NETWORK: Mapping[str, Any] = {"connect_timeout": 3, "tcp_user_timeout": 5_000, "application_name": "nats3 views"}


@dataclass(frozen=True, slots=True)
class Statement:
    """A query that is built and compiled once, which takes longer than Postgres does to answer: its text and its own values."""

    text: str
    values: Mapping[str, Any]


def compiled(query: Select[*tuple[Any, ...]]) -> Statement:
    """The query as text. What it names by `bindparam` without a value is given when it is asked."""
    said = query.compile(dialect=_DIALECT)
    return Statement(str(said), {name: value for name, value in said.params.items() if value is not None})


class Database:
    """Reads only. `url` is what psycopg takes, an encoded socket directory included."""

    def __init__(self, url: str, connections: int = 5) -> None:
        self._engine = _engine(url, connections)

    async def fetch(self, query: Executable | Statement, values: Mapping[str, Any] = _NOTHING) -> Rows:
        """The rows of one statement; a connection that went stale is replaced once without a word."""
        try:
            return await self._fetch(query, values)
        except DBAPIError as fault:
            if not fault.connection_invalidated:
                raise _translated(fault) from fault
        except (PoolTimeout, OSError) as fault:
            raise Unavailable("postgres", _reason(fault)) from fault
        try:
            return await self._fetch(query, values)
        except (DBAPIError, PoolTimeout, OSError) as fault:
            raise _translated(fault) from fault

    async def close(self) -> None:
        """Close all connections."""
        await self._engine.dispose()

    async def _fetch(self, query: Executable | Statement, values: Mapping[str, Any]) -> Rows:
        try:
            async with asyncio.timeout(DEADLINE_S):
                return await self._asked(query, values)
        except TimeoutError:
            raise Unavailable("postgres", f"no answer within {DEADLINE_S:g} s") from None

    async def _asked(self, query: Executable | Statement, values: Mapping[str, Any]) -> Rows:
        async with self._engine.connect() as connection:
            if isinstance(query, Statement):
                found = await connection.exec_driver_sql(query.text, {**query.values, **values})
            else:
                found = await connection.execute(query, values)
            return [tuple(row) for row in found]


def _engine(url: str, connections: int) -> AsyncEngine:
    """Built from the parts of the URL, because SQLAlchemy does not decode an encoded host."""
    asked = parameters(url)
    options = " ".join(f"-c {key}={value}" for key, value in _SETTINGS.items())
    asked["options"] = f"{options} {asked.get('options') or ''}".strip()
    return create_async_engine(
        "postgresql+psycopg://",
        connect_args={**_NETWORK, **asked, "async_creator_fn": Line.connect},
        pool_size=connections,
        max_overflow=0,
        pool_timeout=5,
        pool_use_lifo=True,
        isolation_level="AUTOCOMMIT",
    )


def _translated(fault: Exception) -> Exception:
    """A view that was never made is away as well, and one that an older program made until it is made anew.

    Any other wrong SQL is our bug.
    """
    if isinstance(fault, ProgrammingError) and getattr(fault.orig, "sqlstate", "") not in _NOT_MADE_YET:
        return fault
    return Unavailable("postgres", _reason(fault))


def _reason(fault: Exception) -> str:
    """One line without SQL and parameters."""
    origin = getattr(fault, "orig", None) or fault
    return " ".join(str(origin).split()) or type(origin).__name__
