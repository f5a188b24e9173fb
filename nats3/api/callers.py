"""Who asks: under which name a command is recorded, what they may do, how far they see, and until when."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from starlette.requests import Request
from starlette.types import Scope as Asgi

from nats3.access.roles import Role
from nats3.access.scope import Scope

ANONYMOUS = "anonymous"


@dataclass(frozen=True, slots=True)
class Caller:
    """`principal` stands in the events of their commands; `role` None may use only what is open to all.

    `token_id` and `session_id` are what they came in by; `until` is when that ends (UTC, None: never).
    """

    principal: str = ANONYMOUS
    role: Role | None = None
    scope: Scope = field(default_factory=Scope)
    until: datetime | None = None
    token_id: str | None = None
    session_id: str | None = None


NOBODY = Caller()
EVERYBODY = Caller(role="admin")
"""Whoever asks while nobody is asked for a token."""


def principal_of(scope: Asgi) -> str:
    """Who asks, as their events call them; of one who was not let in nothing is known."""
    found: Caller = scope.get("nats3.caller", NOBODY)
    return found.principal


def caller_of(request: Request) -> Caller:
    """Who asks; NOBODY on a route that is open to all."""
    found: Caller = request.scope.get("nats3.caller", NOBODY)
    return found
