"""The log live, as server-sent events: `id` is the position, so that `Last-Event-ID` goes on behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, suppress

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from eventstore import LogRewound, Position, Recorded
from eventstore.audit import Question
from nats3.api.errors import BadQuery, TooManyStreams
from nats3.api.reading import int_of
from nats3.api.services import Services, Slots
from nats3.api.v2_questions import event_json, within
from nats3.errors import Invalid

STILL_HERE_S = 15.0
"""Seconds of silence after which a comment says that the line is alive."""

_MEDIA = "text/event-stream"
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


async def follow(services: Services, request: Request, question: Question) -> Response:
    """Events behind `Last-Event-ID` or `after`, or from now on. Raises TooManyStreams, BadQuery."""
    after = await _begin(services, request)
    if request.method == "HEAD":
        return Response(media_type=_MEDIA, headers=_HEADERS)
    if not services.streams.take():
        raise TooManyStreams(services.streams.limit)
    return _Answer(services.streams, frames(services, question, after))


async def _begin(services: Services, request: Request) -> Position:
    last = request.headers.get("last-event-id")
    if last is None and "after" not in request.query_params:
        return await services.log.head()
    if last is None:
        return await within(services, "after", int_of(request, "after", 0))
    if not (last.isascii() and last.isdigit() and len(last) <= 18):  # noqa: PLR2004 - digits of a bigint
        raise BadQuery([Invalid("Last-Event-ID", f"{last[:40]!r} is no position", "send the last id that came")])
    return await within(services, "Last-Event-ID", int(last))


class _Answer(StreamingResponse):
    """One client that follows. However it ends, its place is given back."""

    def __init__(self, places: Slots, body: AsyncIterator[bytes]) -> None:
        super().__init__(body, media_type=_MEDIA, headers=_HEADERS)
        self._places = places

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._places.give_back()


async def frames(services: Services, question: Question, cursor: Position) -> AsyncIterator[bytes]:
    """A frame per event that is asked for, for ever; ends when an older copy of the log takes its place.

    Every other frame is an id alone: who has seen no event that he asked for knows from it where to go on.
    """
    yield f": here\nid: {cursor}\n\n".encode()
    with suppress(LogRewound):
        async with aclosing(services.tail.follow(cursor, idle=STILL_HERE_S)) as pages:
            async for page in pages:
                if not page:
                    yield f": still here\nid: {cursor}\n\n".encode()
                    continue
                cursor = page[-1].position
                seen = await services.sees([event for event in page if question.fits(event)])
                yield b"".join(services.written.of(event, frame) for event in seen)


def frame(event: Recorded) -> bytes:
    data = event_json(event).decode()
    return f"id: {event.position}\nevent: {event.type}\ndata: {data}\n\n".encode()
