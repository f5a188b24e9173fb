"""The one connection of a process to NATS: made again for ever, and never a buffer between two of its lives."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from nats.errors import Error as NatsError
from typing_extensions import override

from nats3.errors import Invalid, Unavailable
from nats3.jetstream.errors import MustBind
from nats3.jetstream.link import NO_RESPONDERS, Link, Reply, status_of
from nats3.jetstream.settings import NatsSettings
from nats3.jetstream.wire import WireClient

RECONNECT_WAIT_S = 0.5
CONNECT_PATIENCE_S = 5
REQUEST_PATIENCE_S = 5.0
_CLOSE_PATIENCE_S = 1
_DENIED = re.compile(r'permissions violation for publish to "([^"]*)"', re.IGNORECASE)


class Connection:
    """NATS as nats3 sees it: away, or there as a Link. Open it with `async with Connection.open(settings)`.

    `epoch` grows by one whenever a link is lost, so whoever remembers it knows whether the world moved.
    """

    def __init__(self, settings: NatsSettings) -> None:
        self.settings = settings
        self.epoch = 0
        self.fault = "not connected yet"
        self._link: Link | None = None
        self._client = WireClient(self._begin, self._end)
        self._up = asyncio.Event()
        self._watchers: list[Callable[[bool], None]] = []

    @override
    def __repr__(self) -> str:
        return f"<Connection {self.settings.name} epoch={self.epoch} {'up' if self.connected else self.fault}>"

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: NatsSettings, patience_s: float | None = None) -> AsyncGenerator[Connection, None]:
        """A connection that is being made, for ever; with `patience_s` one that is up, or Unavailable after so long."""
        connection = cls(settings)
        options = await connection._options()
        try:
            async with asyncio.TaskGroup() as tasks:
                connecting = tasks.create_task(connection._connect(options))
                try:
                    if patience_s is not None:
                        await connection._first(patience_s)
                    yield connection
                finally:
                    connecting.cancel()
                    await connection._close()
        except BaseExceptionGroup as group:
            # The group wraps what the caller's own block raised; hand that back as it was.
            only, *more = group.exceptions
            if more:
                raise
            raise only from None

    @property
    def connected(self) -> bool:
        return self._link is not None

    @property
    def max_payload(self) -> int:
        """Most bytes of header block and payload together that the server takes."""
        return self._client.max_payload

    @property
    def server_version(self) -> tuple[int, int, int]:
        """(major, minor, patch) of the server of the last login; zeros before the first."""
        found = re.match(r"(\d+)\.(\d+)\.(\d+)", self._client.server_version())
        return (int(found[1]), int(found[2]), int(found[3])) if found else (0, 0, 0)

    def link(self) -> Link:
        """The link of now. Raises Unavailable while NATS is away."""
        if self._link is None:
            raise Unavailable("nats", self.fault)
        return self._link

    async def wait_connected(self) -> None:
        """Return as soon as there is a link."""
        await self._up.wait()

    def on_change(self, watcher: Callable[[bool], None]) -> Callable[[], None]:
        """Call `watcher(True)` at each login, also one before this call, and `watcher(False)` at each loss; returns how to stop that."""
        self._watchers.append(watcher)
        if self.connected:
            watcher(True)
        return lambda: self._watchers.remove(watcher)

    async def request(
        self,
        subject: str,
        payload: bytes = b"",
        patience_s: float = REQUEST_PATIENCE_S,
        *,
        again_s: float | None = None,
    ) -> Reply:
        """One request on the link of now, see Link. Raises Unavailable when NATS is away, goes away, or does not answer."""
        link = self.link()
        try:
            reply = await link.request(subject.encode(), payload, patience_s, again_s=again_s)
        except TimeoutError as fault:
            raise Unavailable("nats", f"no answer on {subject} within {patience_s:g} s") from fault
        except MustBind as fault:
            raise Unavailable("nats", str(fault)) from fault
        if status_of(reply.header) == NO_RESPONDERS and not reply.payload:
            raise Unavailable("nats", f"nobody answers on {subject}: is JetStream enabled for this account?")
        return reply

    def _begin(self) -> None:
        self.fault = ""
        self._link = Link(self._client, self.epoch)
        self._up.set()
        self._tell(up=True)

    def _end(self) -> None:
        link, self._link = self._link, None
        if link is None:
            return
        self.epoch += 1
        self._up.clear()
        if self.fault == "":
            self.fault = "the connection was lost"
        link.end()
        self._tell(up=False)

    def _tell(self, *, up: bool) -> None:
        for watcher in list(self._watchers):
            watcher(up)

    async def _connect(self, options: dict[str, Any]) -> None:
        """Connect for the first time, however long it takes. Raises Invalid when no server will ever be asked."""
        try:
            await self._client.connect(**options)
        except Exception as fault:
            raise Invalid("nats credentials", str(fault) or repr(fault), "give a seed or credentials file") from fault

    async def _first(self, patience_s: float) -> None:
        try:
            async with asyncio.timeout(patience_s):
                await self.wait_connected()
        except TimeoutError as fault:
            raise Unavailable("nats", f"{', '.join(self.settings.servers())}: {self.fault}") from fault

    async def _note(self, fault: Exception) -> None:
        """A server that lets nobody in may hang up before its reason is read: the reason of an earlier try then stands."""
        if isinstance(fault, ConnectionResetError) and "authorization violation" in self.fault.lower():
            return
        self.fault = str(fault) or type(fault).__name__
        denied = _DENIED.search(self.fault)
        if denied and self._link is not None:
            self._link.denied(denied[1].encode(), self.fault)

    async def _close(self) -> None:
        """Let what was written reach the server, for a moment, then end."""
        if self.connected:
            with suppress(NatsError, OSError):
                await self._client.flush(_CLOSE_PATIENCE_S)
        await self._client.close()

    async def _options(self) -> dict[str, Any]:
        """What nats-py's connect() is called with."""
        settings = self.settings
        user, password, token = settings.login()
        tls = await asyncio.to_thread(settings.tls_context)
        if settings.wants_tls:
            self._client.demand_tls()
        return {
            "servers": settings.servers(),
            "name": settings.name,
            "user": user,
            "password": password,
            "token": token,
            "user_credentials": settings.creds,
            "nkeys_seed": settings.nkey,
            "tls": tls,
            "tls_hostname": settings.tls_hostname,
            "tls_handshake_first": settings.tls_first,
            "inbox_prefix": settings.inbox_prefix,
            "error_cb": self._note,
            "max_reconnect_attempts": -1,
            "reconnect_time_wait": RECONNECT_WAIT_S,
            "connect_timeout": CONNECT_PATIENCE_S,
            "ping_interval": settings.ping_every_s,
            "max_outstanding_pings": 2,
        }
