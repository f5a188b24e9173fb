"""Connections to Postgres: opened when needed, thrown away when broken, their faults translated once."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, LiteralString, TypeAlias

from psycopg import AsyncConnection, InterfaceError, OperationalError
from psycopg import Error as PsycopgError
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.errors import (
    IdleInTransactionSessionTimeout,
    ProgramLimitExceeded,
    ReadOnlySqlTransaction,
    StatementTooComplex,
    TooManyArguments,
    TooManyColumns,
)
from psycopg.pq import TransactionStatus
from psycopg.sql import Composed
from psycopg.types.json import set_json_loads
from pydantic_core import from_json
from typing_extensions import override

from eventstore.errors import LogUnavailable, OverLimit

Connection: TypeAlias = AsyncConnection[tuple[Any, ...]]
"""What a view is handed: psycopg's connection with rows as tuples."""

AWAY = (OperationalError, InterfaceError, IdleInTransactionSessionTimeout, ReadOnlySqlTransaction, OSError)
"""Faults of the way to a Postgres that takes writes: it is gone, starting, full, busy, gave us up, or was made a replica."""

_OVER_LIMIT = (ProgramLimitExceeded, StatementTooComplex, TooManyArguments, TooManyColumns)
_OF_THE_SERVER = frozenset({"varsup.c", "multixact.c", "async.c"})
"""Where Postgres says, in the words of what is too large for it, that it has run out of transaction ids or of room for
notifications: that passes, as other outages do."""

Row: TypeAlias = tuple[Any, ...]

SETTINGS: Mapping[str, str] = {
    "statement_timeout": "8s",
    "lock_timeout": "5s",
    # A node that is frozen in the middle of a transaction must not keep its row locks from all others.
    "idle_in_transaction_session_timeout": "5s",
    "synchronous_commit": "on",
    "TimeZone": "UTC",
}
DEADLINE_S = 9.0
"""Behind statement_timeout, so that a Postgres that is alive says itself what took too long."""

_NETWORK = {"connect_timeout": 3, "keepalives_idle": 5, "keepalives_interval": 2, "tcp_user_timeout": 8_000}


def parameters(url: str) -> dict[str, Any]:
    """What a URL or a conninfo string says, `postgresql+driver://` and an encoded socket directory included."""
    scheme, mark, rest = url.partition("://")
    return dict(conninfo_to_dict(scheme.split("+")[0] + mark + rest))


_CANCEL_S = 0.5


def loaded(text: str | bytes) -> Any:  # noqa: ANN401  any JSON
    """What json.loads makes of it, in a third of the time: most of what reading a page of the log took."""
    try:
        return from_json(text)
    except ValueError:  # nested deeper than pydantic goes
        return json.loads(text)


class Line(AsyncConnection[tuple[Any, ...]]):
    """A connection whose user may leave in the middle of a statement. psycopg asks the server to end it, and waits; a frozen one
    does not answer that either, so that a deadline of 3 s became one of 13.
    """

    def __init__(self, *args: Any, **settings: Any) -> None:  # noqa: ANN401  as psycopg has it
        super().__init__(*args, **settings)
        set_json_loads(loaded, self)

    @override
    async def cancel_safe(self, *, timeout: float = _CANCEL_S) -> None:
        try:
            await super().cancel_safe(timeout=min(timeout, _CANCEL_S))
        except PsycopgError:
            self.pgconn.finish()
            raise


async def connect(url: str, name: str, settings: Mapping[str, str] = SETTINGS) -> Connection:
    """A connection in autocommit with these settings; `name` shows in pg_stat_activity."""
    asked = parameters(url)
    options = " ".join(f"-c {key}={value}" for key, value in settings.items())
    asked["options"] = f"{options} {asked.get('options') or ''}".strip()
    conninfo = make_conninfo("", **{**_NETWORK, "application_name": name, **asked})
    try:
        return await Line.connect(conninfo, autocommit=True)
    except OperationalError:
        socket.socket().close()  # libpq keeps it to itself where none can be made: then this says why
        raise


_hung_at: dict[str, float] = {}
"""By URL, when a connection was last given up for its silence, by the clock of the loop."""


class Link:
    """One connection, lent to one user at a time. A fault of the way to Postgres comes out as LogUnavailable.

    What Postgres could never do, however often it is asked, comes out as OverLimit. A user who gets no answer within
    `deadline` seconds is told that Postgres is away, and every other link to the same Postgres connects anew before its next
    user: what lay between may have forgotten all connections that were open, and each would hang for as long.
    """

    def __init__(
        self, url: str, name: str, settings: Mapping[str, str] = SETTINGS, deadline: float | None = DEADLINE_S
    ) -> None:
        self._url = url
        self._name = name
        self._settings = settings
        self.deadline = deadline
        self._answered_at = 0.0
        self._hung = False
        """Whether the last user was given no answer in time."""
        self._connection: Connection | None = None
        self._turn = asyncio.Lock()
        self._silent_at, self._why = 0.0, ""
        self.opened = 0
        """How often a connection was made: another number is another connection."""

    @asynccontextmanager
    async def lend(self) -> AsyncGenerator[Connection]:
        """The connection, for at most the deadline; after a fault the next user gets a new one.

        Who waited in line while Postgres did not answer is told so with the first: a line of n would take n times as long.
        """
        asked = _now()
        async with self._turn:
            if self._silent_at > asked:
                raise LogUnavailable(self._why)
            self._hung, lent = False, False
            try:
                connection = await self._ready()
                lent = True
                with self._hanging_up(connection):
                    yield connection
                self._answered_at = _now()
            except AWAY as fault:
                if _is_over_a_limit(fault):
                    await self._drop_unless_idle()
                    raise OverLimit(_reason(fault)) from fault
                await self.drop()
                if self._hung or not lent:
                    self._silent_at, self._why = _now(), _reason(fault)
                raise LogUnavailable(_reason(fault)) from fault
            except BaseException:
                await self._drop_unless_idle()
                raise

    async def fetch(self, query: LiteralString | Composed, values: Sequence[Any] = ()) -> list[Row]:
        """The rows of one statement that only reads; a connection gone stale is replaced once without a word.

        One that hung till the deadline is not stale: who asked has waited long enough.
        """
        stale, asked = self._connection is not None, _now()
        try:
            return await self._fetch(query, values)
        except LogUnavailable:
            if not stale or self._silent_at > asked:
                raise
        return await self._fetch(query, values)

    async def call(self, query: LiteralString, values: Sequence[Any] = ()) -> list[Row]:
        """The rows of one statement, tried once."""
        return await self._fetch(query, values)

    async def drop(self) -> None:
        """Close what is open; the next user opens anew."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _fetch(self, query: LiteralString | Composed, values: Sequence[Any]) -> list[Row]:
        async with self.lend() as connection:
            cursor = await connection.execute(query, values)
            return await cursor.fetchall()

    async def _ready(self) -> Connection:
        if self._answered_at <= _hung_at.get(self._url, -1.0):
            await self.drop()
        if self._connection is None or self._connection.closed:
            self._connection = await connect(self._url, self._name, self._settings)
            self._answered_at = _now()
            self.opened += 1
        return self._connection

    @contextmanager
    def _hanging_up(self, connection: Connection) -> Generator[None]:
        """Shut the socket when the deadline passes: a frozen server would not answer a polite cancel either."""
        if self.deadline is None:
            yield
            return
        timer = asyncio.get_running_loop().call_later(self.deadline, self._give_up, connection)
        try:
            yield
        finally:
            timer.cancel()

    def _give_up(self, connection: Connection) -> None:
        """Who is less patient than Postgres is with itself learns nothing of the others: it may be at work."""
        self._hung = True
        if self.deadline is not None and self.deadline >= DEADLINE_S:
            _hung_at[self._url] = _now()
        _hang_up(connection)

    async def _drop_unless_idle(self) -> None:
        connection = self._connection
        if connection is not None and connection.info.transaction_status is not TransactionStatus.IDLE:
            await self.drop()


class Links:
    """Several connections for readers who do not wait for each other; one more is opened only while all others are lent."""

    def __init__(self, url: str, name: str, count: int) -> None:
        self._all = [Link(url, name) for _ in range(count)]
        self._free: asyncio.LifoQueue[Link] = asyncio.LifoQueue()
        for link in reversed(self._all):
            self._free.put_nowait(link)

    async def fetch(self, query: LiteralString | Composed, values: Sequence[Any] = ()) -> list[Row]:
        """See Link.fetch."""
        link = await self._free.get()
        try:
            return await link.fetch(query, values)
        finally:
            self._free.put_nowait(link)

    async def drop(self) -> None:
        """Close what is open."""
        for link in self._all:
            await link.drop()


def _hang_up(connection: Connection) -> None:
    if not connection.closed:
        with suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)


def _is_over_a_limit(fault: BaseException) -> bool:
    return isinstance(fault, _OVER_LIMIT) and fault.diag.source_file not in _OF_THE_SERVER


def _now() -> float:
    return asyncio.get_running_loop().time()


def _reason(fault: BaseException) -> str:
    return " ".join(str(fault).split()) or type(fault).__name__
