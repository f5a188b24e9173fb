"""What every request carries besides its own values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from uuid import UUID, uuid4, uuid5

from starlette.requests import Request
from starlette.types import Scope

from nats3.api.callers import ANONYMOUS, caller_of, principal_of
from nats3.api.commands import Who

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")


@dataclass(frozen=True, slots=True)
class Trace:
    """Where a request stands among others: its id, which is that of its trace; the span that sent it; the event that it made; who asked."""

    id: UUID
    parent: int | None
    event_id: UUID | None
    actor: str = ANONYMOUS


def who_of(request: Request) -> Who:
    """Who asks, under the id that the guard gave the request."""
    turn: UUID | None = request.scope.get("nats3.turn")
    event_id = uuid4() if turn is None else uuid5(turn, "command")
    request.scope["nats3.event_id"] = event_id
    return Who(caller_of(request).principal, request.scope["nats3.request_id"], turn, event_id)


def request_id_of(headers: dict[str, str], made: UUID) -> UUID:
    """The client's own id when it is a UUID, else that of the trace it is in, else the one that was made."""
    given = headers.get("x-request-id")
    try:
        if given:
            return UUID(given)
    except ValueError:
        return made
    found = _TRACEPARENT.fullmatch(headers.get("traceparent", ""))
    return made if found is None else UUID(found[1])


def trace_of(scope: Scope, request_id: UUID, headers: dict[str, str]) -> Trace:
    """The trace of a request that was answered. A parent counts where it is in the same trace."""
    found = _TRACEPARENT.fullmatch(headers.get("traceparent", ""))
    mine = found is not None and UUID(found[1]) == request_id
    parent = int(found[2], 16) if found is not None and mine else None
    return Trace(request_id, parent, scope.get("nats3.event_id"), principal_of(scope))
