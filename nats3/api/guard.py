"""Around every route: who may be asked (Host), how much and how long a body may be, and no bug shows its inside."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Protocol
from uuid import UUID

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nats3.api.callers import principal_of
from nats3.api.errors import BadPath, Encoded, HeadTooLarge, TooLarge, TooSlow, UnknownHost
from nats3.api.problems import Problem, answer, problem_of
from nats3.api.requests import request_id_of, trace_of
from nats3.api.services import Reporter, Rules

MAX_BODY = 1 << 20
MAX_HEAD = 16 * 1024
BODY_SECONDS = 10.0
APART_SECONDS = 0.001
"""Between the deadlines of two bodies, as long as none is put off by more than a second for it."""

_POLICY = (
    b"default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
    b"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
SECURITY = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", _POLICY),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
"""On every answer: no browser guesses types, runs what stands inline, frames a page, or shows answers to other sites."""

CRASHED = Problem(500, "internal", "nats3 has a bug here; its log has the details under this X-Request-Id")


class Given(Protocol):
    """What the guard needs of the services."""

    @property
    def rules(self) -> Rules: ...
    @property
    def reporter(self) -> Reporter: ...
    @property
    def new_id(self) -> Callable[[], UUID]: ...


class Guard:
    """An ASGI application around another one."""

    def __init__(self, app: ASGIApp, services: Given) -> None:
        self._app = app
        self._services = services
        self._deadlines = _Deadlines()
        self._large = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = _headers(scope)
        request_id = request_id_of(headers, self._services.new_id())
        scope["nats3.request_id"] = request_id
        scope["nats3.large"] = self._large
        reply = _Reply(
            send, request_id, _Body(receive, headers, self._deadlines), secure=scope.get("scheme") == "https"
        )
        began = monotonic()
        try:
            self._check(scope, headers)
            await self._app(scope, reply.body.receive, reply.send)
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001 - the one place where a bug becomes an answer
            await self._answer(scope, error, reply)
        finally:
            route = scope.get("nats3.route", "other")
            trace = trace_of(scope, request_id, headers)
            self._services.reporter.answered(scope["method"], route, reply.status, monotonic() - began, trace)

    def _check(self, scope: Scope, headers: dict[str, str]) -> None:
        hosts = self._services.rules.hosts
        named = [value for name, value in scope["headers"] if name.lower() == b"host"]
        if len(named) > 1 or ("*" not in hosts and host_name(headers.get("host", "")) not in hosts):
            raise UnknownHost
        address = len(scope["path"]) + len(scope["query_string"])
        if address + sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEAD:
            raise HeadTooLarge(MAX_HEAD)
        if any(character < " " or character == "\x7f" for character in scope["path"]):
            raise BadPath
        if headers.get("content-encoding", "identity").strip().lower() != "identity":
            raise Encoded
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length[:20]) > MAX_BODY:
            raise TooLarge(MAX_BODY)

    async def _answer(self, scope: Scope, error: Exception, reply: _Reply) -> None:
        problem = problem_of(error)
        if problem is None:
            self._services.reporter.crashed(reply.request_id, error, principal_of(scope))
            problem = CRASHED
        if reply.status == 0:
            await answer(problem, scope["path"])(scope, _no_more, reply.send)


class _Reply:
    """The way back: remembers the status and adds the headers that every answer has."""

    def __init__(self, send: Send, request_id: UUID, body: _Body, *, secure: bool) -> None:
        self._send = send
        self.request_id = request_id
        self.body = body
        self._secure = secure
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = [(b"x-request-id", str(self.request_id).encode()), *SECURITY]
            if self._secure:
                own.append((b"strict-transport-security", b"max-age=31536000"))
            if not self.body.is_whole:
                own.append((b"connection", b"close"))  # else what is still to come of it would be read for ever
            message["headers"] = [*message.get("headers", ()), *own]
        await self._send(message)


class _Deadlines:
    """When bodies must be there: those that were begun together are not given up together, for others want to be answered meanwhile."""

    def __init__(self) -> None:
        self._last = 0.0

    def next(self, now: float) -> float:
        soonest = now + BODY_SECONDS
        self._last = min(max(soonest, self._last + APART_SECONDS), soonest + 1.0)
        return self._last


class _Body:
    """The way in: counts and clocks the body, and leaves alone what comes after it."""

    def __init__(self, receive: Receive, headers: dict[str, str], deadlines: _Deadlines) -> None:
        self._receive = receive
        self._deadlines = deadlines
        self._expected = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        self._size = 0
        self._deadline: float | None = None
        self._whole = False

    @property
    def is_whole(self) -> bool:
        return self._whole or not self._expected

    async def receive(self) -> Message:
        if self._whole:
            return await self._receive()
        self._deadline = self._deadline or self._deadlines.next(asyncio.get_running_loop().time())
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            raise TooSlow(BODY_SECONDS) from None
        self._size += len(message.get("body", b""))
        if self._size > MAX_BODY:
            raise TooLarge(MAX_BODY)
        self._whole = not message.get("more_body", False)
        return message


async def _no_more() -> Message:
    return {"type": "http.disconnect"}


def _headers(scope: Scope) -> dict[str, str]:
    raw: list[tuple[bytes, bytes]] = scope["headers"]
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in raw}


def host_name(host: str) -> str:
    """The name in a Host header, in lower case, without port and brackets."""
    name = host.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0]
