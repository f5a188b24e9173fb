"""Version 2: is history as it was written? The hash chain of the whole log, walked while the client listens."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from eventstore import Position, Verified
from nats3.api.errors import WalkUnderWay
from nats3.api.reading import only
from nats3.api.services import Services, Slots

MEDIA = "application/x-ndjson"


async def get(services: Services, request: Request) -> Response:
    """One JSON object a line: how far it is, and as the last one the verdict. Raises WalkUnderWay."""
    only(request)
    if request.method == "HEAD":
        return Response(media_type=MEDIA)
    head = await services.log.head()
    if not services.walks.take():
        raise WalkUnderWay
    return Answer(services.walks, _lines(services.walk(), head))


class Answer(StreamingResponse):
    """However it ends, another may begin."""

    def __init__(self, places: Slots, body: AsyncGenerator[bytes]) -> None:
        super().__init__(body, media_type=MEDIA, headers={"Cache-Control": "no-store"})
        self._places = places
        self._body = body

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with aclosing(self._body):
                await super().__call__(scope, receive, send)
        finally:
            self._places.give_back()


async def _lines(walk: AsyncGenerator[Verified], head: Position) -> AsyncGenerator[bytes]:
    """A fault on the way ends the answer without a verdict."""
    last: Verified | None = None
    async with aclosing(walk):
        async for seen in walk:
            if last is not None:
                yield _line({"position": last.position, "head": max(head, last.position)})
            last = seen
    if last is not None:
        yield _line(_verdict(last))


def _verdict(found: Verified) -> dict[str, Any]:
    broken = found.broken
    fault = None
    if broken is not None:
        fault = {
            "entity_id": broken.entity_id,
            "version": broken.version,
            "position": broken.position,
            "fault": broken.fault,
        }
    return {
        "verdict": "broken" if broken else "whole",
        "events": found.events,
        "up_to": found.position,
        "broken": fault,
    }


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
