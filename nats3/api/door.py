"""The door of a route: who may pass, how often, from which pages; and how far they see inside.

Decided by the route that was found and never by the path that was asked for: however a path is written, what answers is
a route, and each has its role.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from eventstore import LogUnavailable
from nats3.access.roles import ROLES, Role, at_least
from nats3.api.callers import EVERYBODY, NOBODY, Caller
from nats3.api.errors import CrossSite, Forbidden, TooOften, Unauthenticated
from nats3.api.problems import answer, problem_of
from nats3.api.reach import FILTERED, within
from nats3.api.services import Services

Needed: TypeAlias = Role | Literal["open"]
Endpoint: TypeAlias = Callable[[Services, Request], Awaitable[Response]]

COOKIES = ("__Host-nats3", "nats3")
"""Of a session: over TLS, and without."""

VOUCHED = "nats3.vouched"
"""Where a face that has judged by itself says who asks: no request from outside can write into a scope."""

METRICS = frozenset({"/metrics", "/api/v1/metrics"})
"""Needs nothing of Postgres, so who was let in before an outage stays in during it."""

READY = frozenset({"/ready", "/api/v1/ready"})
"""Open to all, but says reasons only to those who may read."""

ADMISSION_S = 1.0
"""How long Postgres may take to say who asks where an answer must come soon, whatever hangs: /ready within 5 s, its own check included."""

_SAFE = frozenset({"GET", "HEAD"})
_OWN = frozenset({"same-origin", "none"})
_STREAM = b"text/event-stream"


class Undeclared(Exception):
    """A route without a role: a fault of ours, and the program does not start with it."""

    def __init__(self, method: str, path: str) -> None:
        super().__init__(f"{method} {path} does not say which role it wants")


class Entry(Protocol):
    """What a door needs of a row of the table of routes."""

    @property
    def method(self) -> str: ...

    @property
    def path(self) -> str: ...

    @property
    def endpoint(self) -> Endpoint: ...

    @property
    def role(self) -> Needed: ...


def require_role(entry: Entry) -> None:
    """Raises Undeclared."""
    if entry.role not in (*ROLES, "open"):
        raise Undeclared(entry.method, entry.path)


@dataclass(frozen=True, slots=True)
class Door:
    """An ASGI application: one path with all its methods."""

    services: Services
    entries: dict[str, Entry]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        entry = self.entries["GET" if request.method == "HEAD" else request.method]
        scope["nats3.route"] = entry.path
        sent = _Sent(send)
        try:
            caller = scope["nats3.caller"] = await self._admitted(entry, request)
            async with self.services.entrance.inside(caller):
                response = await entry.endpoint(within(self.services, caller.scope), request)
                await response(scope, receive, sent.send)
        except Exception as error:
            if await sent.is_over(error):
                return
            problem = problem_of(error)
            if problem is None or sent.began:
                raise
            await answer(problem, scope["path"])(scope, receive, send)

    async def _admitted(self, entry: Entry, request: Request) -> Caller:
        """Who asks, if they may. Raises Unauthenticated, Forbidden, CrossSite, TooOften, LogUnavailable."""
        if request.method not in _SAFE:
            require_own_page(request)
        if entry.role == "open":
            return await self._perhaps(request) if entry.path in READY else NOBODY
        if entry.path in METRICS and self.services.rules.metrics_public:
            return NOBODY
        caller = await self._identified(entry, request)
        if caller.role is None or not at_least(caller.role, entry.role):
            raise Forbidden(f"this needs the role {entry.role}, and the token has {caller.role}")
        if not (caller.scope.is_everything or entry.path in FILTERED):
            raise Forbidden("this tells of all jobs, and the token is bound to some: use one without a scope")
        return caller

    async def _identified(self, entry: Entry, request: Request) -> Caller:
        if entry.path not in METRICS:
            return await identify(self.services, request)
        try:
            return await self._soon(request)
        except LogUnavailable:
            caller = self.services.entrance.remembered(bearer_of(request))
            if caller is None:
                raise
            return caller

    async def _perhaps(self, request: Request) -> Caller:
        try:
            return await self._soon(request)
        except (Unauthenticated, TooOften, LogUnavailable):
            return self.services.entrance.remembered(bearer_of(request)) or NOBODY

    async def _soon(self, request: Request) -> Caller:
        """As identify; a Postgres that hangs is away."""
        try:
            async with asyncio.timeout(ADMISSION_S):
                return await identify(self.services, request)
        except TimeoutError:
            raise LogUnavailable(f"no answer within {ADMISSION_S:g} s") from None


async def identify(services: Services, request: Request) -> Caller:
    """Who asks, by token or cookie, or by what another face of ours vouches for. Raises Unauthenticated, TooOften, LogUnavailable."""
    vouched: Caller | None = request.scope.get(VOUCHED)
    if vouched is not None:
        return vouched
    cookie = next((request.cookies[name] for name in COOKIES if name in request.cookies), None)
    bearer = bearer_of(request)
    if bearer is None and cookie is None and not services.entrance.asks:
        return EVERYBODY
    address = request.client.host if request.client else ""
    return await services.entrance.admit(bearer, cookie, address)


def bearer_of(request: Request) -> str | None:
    """The token in the Authorization header; another scheme is a token that opens nothing."""
    header = request.headers.get("authorization")
    if header is None:
        return None
    scheme, _, text = header.partition(" ")
    return text.strip() if scheme.lower() == "bearer" else ""


def require_own_page(request: Request) -> None:
    """A command that a browser sends must come from a page of ours, or from no page. Raises CrossSite.

    Programs send neither header; a browser always sends one of them with a command.
    """
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is not None:
        own = site in _OWN
    elif origin is not None:
        own = urlsplit(origin).netloc.lower() == request.headers.get("host", "").lower()
    else:
        own = not any(name in request.cookies for name in COOKIES)
    if not own:
        raise CrossSite


class _Sent:
    """What went out already."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.began = False
        self._live = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.began = True
            self._live = any(name == b"content-type" and _STREAM in value for name, value in message["headers"])
        await self._send(message)

    async def is_over(self, error: Exception) -> bool:
        """Whether the answer was one that may end at any time, and does so because its caller must go."""
        if not (self.began and self._live and isinstance(error, Unauthenticated)):
            return False
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        return True
