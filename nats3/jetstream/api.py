"""JetStream's API in raw JSON: one request, and what its refusals mean."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from nats3.errors import Nats3Error, Unavailable
from nats3.jetstream.connection import Connection

STREAM_MISSING = 10059
CONSUMER_MISSING = 10014
MESSAGE_MISSING = 10037

_AWAY = frozenset({503, 408})
"""Codes of an answer that says: not now."""


AGAIN_S = 1.0
"""A cluster that has not noticed yet that a leader is gone lets requests fall, so they are asked again. All that nats3 asks may be
done twice: what is made the same once more is as it was, and what is deleted once more is gone.
"""


class ApiRefused(Nats3Error):
    """JetStream said no: `code` is its error code, the text its own."""

    def __init__(self, subject: str, code: int, reason: str) -> None:
        super().__init__(f"{subject}: {reason} ({code})")
        self.code = code
        self.reason = reason


async def ask(connection: Connection, action: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The JSON answer to `<api prefix>.<action>`. Raises ApiRefused, and Unavailable as Connection.request does."""
    payload = b"" if body is None else json.dumps(body).encode()
    reply = await connection.request(f"{connection.settings.api}.{action}", payload, again_s=AGAIN_S)
    try:
        answer: dict[str, Any] = json.loads(reply.payload)
    except ValueError as fault:
        raise Unavailable("nats", f"the answer on {action} is no JSON: {reply.payload[:80]!r}") from fault
    error = answer.get("error")
    if error is None:
        return answer
    code, reason = error.get("err_code", error.get("code", 0)), error.get("description", "")
    if error.get("code") in _AWAY:
        raise Unavailable("nats", f"{action}: {reason} ({code})")
    raise ApiRefused(action, code, reason)


async def pages(
    connection: Connection, action: str, field: str, body: Mapping[str, Any] | None = None
) -> AsyncIterator[Any]:
    """Every item of a listing, page after page."""
    offset = 0
    while True:
        answer = await ask(connection, action, {**(body or {}), "offset": offset})
        items: list[Any] = answer.get(field) or []
        for item in items:
            yield item
        offset += len(items)
        if not items or offset >= answer.get("total", 0):
            return
