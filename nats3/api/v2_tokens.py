"""Version 2: tokens: made, listed, revoked. The text of one is told once, when it is made, and kept nowhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from eventstore import Append, Fence, Position, Recorded, Version, VersionConflict
from nats3.access import scope as scopes
from nats3.access import tokens
from nats3.access.roles import ROLES, Role
from nats3.access.scope import Scope
from nats3.access.tokens import Token, TokenCreated, TokenRevoked, Written
from nats3.api.callers import caller_of
from nats3.api.commands import Who, recorded
from nats3.api.errors import BadParameter, Contended, NotFound, Unfit
from nats3.api.pages import listing
from nats3.api.reading import Exact, int_of, only, read_body
from nats3.api.requests import who_of
from nats3.api.services import Services
from nats3.api.words import format_time, parse_duration, parse_time
from nats3.errors import Invalid

MAX_NAME = 255
_PAGE = 1000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ScopeV2(Exact):
    """Patterns; an empty list allows all."""

    jobs: list[str] = Field(default_factory=list, max_length=scopes.MAX_PATTERNS)
    streams: list[str] = Field(default_factory=list, max_length=scopes.MAX_PATTERNS)
    buckets: list[str] = Field(default_factory=list, max_length=scopes.MAX_PATTERNS)
    subjects: list[str] = Field(default_factory=list, max_length=scopes.MAX_PATTERNS)


class TokenV2(Exact):
    """`expires_in` is a duration such as `"30d"`, `expires_at` a time; without either it never expires."""

    name: str
    role: str
    scope: ScopeV2 = Field(default_factory=ScopeV2)
    expires_in: str | None = None
    expires_at: str | None = None


async def create(services: Services, request: Request) -> Response:
    """201 with the token's text, which nobody can ask for again."""
    only(request)
    said = await read_body(request, TokenV2)
    now = services.entrance.now()
    written = tokens.mint(services.chance(tokens.CHANCE))
    made = created_of(said, written, now, first=caller_of(request).token_id is None)
    await say(services, written.token_id, Version(0), made, who_of(request))
    services.entrance.exist()
    token = await _known(services, written.token_id)
    headers = {"Location": f"/api/v2/tokens/{written.token_id}", "Cache-Control": "no-store"}
    return JSONResponse({**token_body(token, now), "token": written.text}, 201, headers)


async def get_all(services: Services, request: Request) -> Response:
    """All that were ever made, oldest first."""
    only(request, "limit", "after")
    limit, after = int_of(request, "limit", 100, 1, 1000), int_of(request, "after", 0)
    found = list(tokens.fold(await _history(services)).values())
    page = found[after : after + limit]
    more = {"after": after + limit} if len(found) > after + limit else None
    return listing(request, [token_body(token, services.entrance.now()) for token in page], more)


async def get(services: Services, request: Request) -> Response:
    only(request)
    return JSONResponse(token_body(await _known(services, _id_of(request)), services.entrance.now()))


async def revoke(services: Services, request: Request) -> Response:
    """204: it opens nothing any more, on no node, and what was opened by it is closed."""
    only(request)
    token = await _known(services, _id_of(request))
    if token.revoked_at is None:
        await say(services, token.token_id, Version(token.version), TokenRevoked(), who_of(request))
    return Response(status_code=204)


def created_of(said: TokenV2, written: Written, now: datetime, *, first: bool) -> TokenCreated:
    """What is recorded of the token. Raises Unfit with all its faults. `first`: nobody had to show one to make it."""
    scope = Scope(*(tuple(getattr(said.scope, part)) for part in ("jobs", "streams", "buckets", "subjects")))
    faults = [*scopes.check(scope)]
    if not (said.name.strip() and len(said.name) <= MAX_NAME and said.name.isprintable()):
        faults.append(Invalid("name", "is empty, too long or not printable", f"use 1 to {MAX_NAME} characters"))
    if said.role not in ROLES:
        faults.append(Invalid("role", f"{said.role[:40]!r} is no role", f"use {', '.join(ROLES)}"))
    if said.role == "admin" and not scope.is_everything:
        faults.append(Invalid("scope", "does not go with the role admin", "leave it out, or use read or operate"))
    expires = _expiry(said, now, faults)
    if first and not faults:
        ends = next((name for name in ("expires_in", "expires_at") if getattr(said, name) is not None), None)
        faults += filter(None, [tokens.fault_of_first(said.role, ends)])
    if faults:
        raise Unfit(faults)
    role: Role = next(role for role in ROLES if role == said.role)
    return TokenCreated(said.name, role, written.digest, scope, expires)


def _expiry(said: TokenV2, now: datetime, faults: list[Invalid]) -> datetime | None:
    expires: datetime | None = None
    try:
        if said.expires_in is not None:
            expires = now + timedelta(seconds=parse_duration("expires_in", said.expires_in))
        if said.expires_at is not None:
            expires = _EPOCH + timedelta(microseconds=parse_time("expires_at", said.expires_at) // 1000)
    except Invalid as fault:
        faults.append(fault)
    except OverflowError:
        faults.append(Invalid("expires_in", "is out of range", "use a shorter time"))
    if said.expires_in is not None and said.expires_at is not None:
        faults.append(Invalid("expires_at", "is given, and so is expires_in", "give one of them"))
    elif expires is not None and expires <= now:
        faults.append(Invalid("expires_at", "has passed already", "give a time to come"))
    return expires


async def say(
    services: Services, token_id: str, expected: Version, event: TokenCreated | TokenRevoked, who: Who
) -> None:
    """Record it. Raises Contended, Unavailable."""
    new = tokens.TOKENS.encode(event)
    append = Append(tokens.entity_of(token_id), expected, Fence(0), (new,), who.actor, who.correlation_id)
    try:
        await recorded(services.writer, append)
    except VersionConflict:
        raise Contended(f"token {token_id} is changed by others just now: try again") from None


def token_body(token: Token, now: datetime) -> dict[str, Any]:
    """All but the secret, whose digest is shown to nobody either."""
    said, scope = token.created, token.created.scope
    return {
        "id": token.token_id,
        "name": said.name,
        "role": said.role,
        "scope": {part: list(getattr(scope, part)) for part in ("jobs", "streams", "buckets", "subjects")},
        "state": token.is_over(now) or "valid",
        "created_at": format_time(token.created_at),
        "created_by": token.created_by,
        "expires_at": None if said.expires is None else format_time(said.expires),
        "revoked_at": None if token.revoked_at is None else format_time(token.revoked_at),
    }


async def _known(services: Services, token_id: str) -> Token:
    token = await services.entrance.token(token_id)
    if token is None:
        raise NotFound(f"there is no token {token_id}")
    return token


def _id_of(request: Request) -> str:
    text: str = request.path_params["id"]
    if not tokens.is_id(text):
        fault = Invalid("id", f"{text[:40]!r} is no id of a token", "give the 16 letters and digits that its list has")
        raise BadParameter([fault])
    return text


async def _history(services: Services) -> list[Recorded]:
    events: list[Recorded] = []
    types = {tokens.CREATED, tokens.REVOKED}
    page = await services.log.read_log(Position(0), _PAGE, types)
    while page:
        events += page
        page = await services.log.read_log(page[-1].position, _PAGE, types) if len(page) == _PAGE else []
    return events
