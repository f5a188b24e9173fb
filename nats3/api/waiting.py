"""What a node answers while it starts and Postgres is awaited: that it lives, and that it cannot work yet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from uuid import UUID, uuid4

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from nats3.api.door import METRICS, READY
from nats3.api.guard import Guard
from nats3.api.problems import RETRY, Problem, answer
from nats3.api.services import Reporter, Rules
from nats3.api.system import ALIVE, PONG

_REASON = "nats3 is starting: it begins to work once postgres answers"
_PING = frozenset({"/ping", "/api/v1/ping"})
_HEALTH = frozenset({"/health", "/api/v1/health"})
_OF_THE_PROCESS = _PING | _HEALTH | READY | METRICS


@dataclass(frozen=True, slots=True)
class AtTheGate:
    """What can be asked for before there is a log. `exposition` as in Services."""

    rules: Rules
    reporter: Reporter
    exposition: Callable[[str], tuple[bytes, str]]
    new_id: Callable[[], UUID] = uuid4


class Front:
    """The application that answers now: one that needs nothing but the process, until `let_in` gives it the API of a node.

    Who asks is not known to the first, so it tells what everybody may know. A start takes a moment: what comes during the
    first `patience_s` seconds waits for its end.
    """

    def __init__(self, gate: AtTheGate, patience_s: float = 10.0) -> None:
        async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
            await _answer(gate, scope)(scope, receive, send)

        self._app: ASGIApp = Guard(refuse, gate)
        self._open = asyncio.Event()
        self._patient_until = monotonic() + patience_s

    def let_in(self, app: ASGIApp) -> None:
        self._app = app
        self._open.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._open.is_set() and scope.get("path") not in _OF_THE_PROCESS:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._patient_until - monotonic()):
                    await self._open.wait()
        await self._app(scope, receive, send)


def _answer(gate: AtTheGate, scope: Scope) -> Response:
    path = scope["path"]
    looks = scope["method"] in {"GET", "HEAD"}
    if looks and path in _PING:
        return PlainTextResponse(PONG)
    if looks and path in _HEALTH:
        return JSONResponse(ALIVE)
    if looks and path in READY:
        return JSONResponse({"error": f"not ready: {_REASON}", "faults": {"postgres": _REASON}}, 503, RETRY)
    if looks and path in METRICS and gate.rules.metrics_public:
        body, media_type = gate.exposition(Request(scope).headers.get("accept", ""))
        return Response(body, headers={"Content-Type": media_type})
    return answer(Problem(503, "unavailable", f"{_REASON}; try again soon", headers=RETRY), path)
