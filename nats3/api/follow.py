"""The log live, as server-sent events: `id` is the position, so that `Last-Event-ID` goes on behind it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from eventstore import LogRewound, Position, Recorded
from eventstore.audit import Question
from nats3.api.errors import BadQuery, TooManyStreams
from nats3.api.reading import int_of
from nats3.api.services import Follower, Services
from nats3.api.v2_questions import event_body, within
from nats3.errors import Invalid

STILL_HERE_S = 15.0
"""Seconds of silence after which a comment says that the line is alive."""

_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


async def follow(services: Services, request: Request, question: Question) -> Response:
    """Events behind `Last-Event-ID` or `after`, or from now on. Raises TooManyStreams, BadQuery."""
    after = await _begin(services, request)
    if not services.streams.take():
        raise TooManyStreams(services.streams.limit)
    body = _Stream(services, question, after)
    return StreamingResponse(body.frames(), media_type="text/event-stream", headers=_HEADERS, background=None)


async def _begin(services: Services, request: Request) -> Position:
    last = request.headers.get("last-event-id")
    if last is None and "after" not in request.query_params:
        return await services.log.head()
    if last is None:
        return await within(services, "after", int_of(request, "after", 0))
    if not (last.isascii() and last.isdigit() and len(last) <= 18):  # noqa: PLR2004 - digits of a bigint
        raise BadQuery([Invalid("Last-Event-ID", f"{last[:40]!r} is no position", "send the last id that came")])
    return await within(services, "Last-Event-ID", int(last))


class _Stream:
    """One client that follows. Its place is given back when it goes."""

    def __init__(self, services: Services, question: Question, after: Position) -> None:
        self._services = services
        self._question = question
        self._cursor = after

    async def frames(self) -> AsyncIterator[bytes]:
        """A frame per event that is asked for, for ever; ends when an older copy of the log takes its place."""
        try:
            yield b": here\n\n"
            while True:
                yield await self._next()
        except LogRewound:
            return
        finally:
            self._services.streams.give_back()

    async def _next(self) -> bytes:
        try:
            async with asyncio.timeout(STILL_HERE_S):
                page = await _page_after(self._services.tail, self._cursor)
        except TimeoutError:
            return b": still here\n\n"
        self._cursor = page[-1].position
        return b"".join(frame(event) for event in page if self._question.fits(event))


async def _page_after(tail: Follower, cursor: Position) -> Sequence[Recorded]:
    async with aclosing(tail.follow(cursor)) as pages:
        return await anext(pages)


def frame(event: Recorded) -> bytes:
    data = json.dumps(event_body(event), ensure_ascii=False, separators=(",", ":"))
    return f"id: {event.position}\nevent: {event.type}\ndata: {data}\n\n".encode()
