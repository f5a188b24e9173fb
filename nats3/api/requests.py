"""What every request carries besides its own values."""

from __future__ import annotations

from uuid import UUID

from starlette.requests import Request

from nats3.api.callers import caller_of
from nats3.api.commands import Who


def who_of(request: Request) -> Who:
    """Who asks, under the id that the guard gave the request."""
    turn = request.scope.get("nats3.turn")
    return Who(caller_of(request).principal, request.scope["nats3.request_id"], turn)


def request_id_of(given: str | None, made: UUID) -> UUID:
    """The client's own id when it is a UUID, else the one that was made."""
    try:
        return UUID(given) if given else made
    except ValueError:
        return made
