"""`Idempotency-Key`: the same request under the same key is done once within a day, at whichever node it arrives."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from hashlib import sha256
from typing import assert_never

from starlette.requests import Request
from starlette.responses import Response

from eventstore import LogUnavailable
from eventstore.once import Another, Answered, Turn, UnderWay
from nats3.api.errors import BadQuery, RepeatUnderWay, Unfit
from nats3.api.problems import problem_of
from nats3.api.requests import who_of
from nats3.api.services import Services
from nats3.errors import Invalid

HEADER = "idempotency-key"
MAX_KEY = 255
_KEPT = ("content-type", "etag", "location")
_FAULT = 500


async def once(
    services: Services, request: Request, *, takes_keys: bool, do: Callable[[], Awaitable[Response]]
) -> Response:
    """What `do` answers; the first time's answer where this was asked before. Raises BadQuery, Unfit, RepeatUnderWay."""
    key = request.headers.get(HEADER)
    if key is None:
        return await do()
    if not takes_keys:
        raise BadQuery([Invalid("Idempotency-Key", "is not taken by this route", "leave it out")])
    asker = who_of(request).actor
    begun = await services.once.begin(asker, checked(key), await asked(request))
    match begun:
        case Turn() as turn:
            return await _done(services, request, turn, do)
        case Answered(status=status, headers=headers, body=body):
            return Response(body, status, {**headers, "Idempotent-Replayed": "true"})
        case UnderWay():
            raise RepeatUnderWay
        case Another():
            remedy = "use a new key for a new request, or send the same request"
            raise Unfit([Invalid("Idempotency-Key", "was used for another request", remedy)])
        case _:
            assert_never(begun)


async def _done(services: Services, request: Request, turn: Turn, do: Callable[[], Awaitable[Response]]) -> Response:
    """Keep what succeeded, free the key of what was refused, and leave to the next one what nobody knows the end of."""
    request.scope["nats3.turn"] = turn.id
    try:
        answer = await do()
    except Exception as error:
        problem = problem_of(error)
        with suppress(LogUnavailable):  # what went wrong first is what the client hears
            await (
                services.once.leave(turn) if problem is None or problem.status >= _FAULT else services.once.forget(turn)
            )
        raise
    kept = {name: answer.headers[name] for name in _KEPT if name in answer.headers}
    await services.once.settle(turn, answer.status_code, kept, bytes(answer.body))
    return answer


def checked(key: str) -> str:
    """Raises Unfit."""
    if not (0 < len(key) <= MAX_KEY and key.isprintable()):
        fault = Invalid("Idempotency-Key", "is empty, too long or not printable", f"use 1 to {MAX_KEY} characters")
        raise Unfit([fault])
    return key


async def asked(request: Request) -> str:
    """Equal for equal requests."""
    said = "\n".join((request.method, request.scope["path"], request.scope["query_string"].decode("latin-1"), ""))
    return sha256(said.encode() + await request.body()).hexdigest()
