"""Version 2: the event log, in pages, as one export, or live."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from eventstore import Position, Recorded, Version
from eventstore.audit import Page, Question
from nats3.api.errors import BadQuery, JobMissing, NotFound
from nats3.api.follow import follow
from nats3.api.pages import shown, written_listing
from nats3.api.reading import flag_of, int_of, job_id_of, number_of, only, text_of
from nats3.api.services import Services
from nats3.api.v2_questions import FILTERS, as_of_in, event_json, events_json, position_in, question_of
from nats3.errors import Invalid
from nats3.job.history import job_entity, run_entity
from nats3.views.written import Written

MAX_PAGE = 1000
_BEGIN = Version(0)
_TICK = timedelta(microseconds=1)
_EXPORT_PAGE = 1000


async def get_all(services: Services, request: Request) -> Response:
    """Oldest first after `after`; newest first before `before` or with `order=desc`; `follow=true` live; `format=ndjson` whole."""
    only(request, *FILTERS, "after", "before", "order", "limit", "follow", "format", "min_position")
    live, whole = flag_of(request, "follow"), _ndjson(request)
    require_together(request, live=live, whole=whole)
    await shown(services, request)
    question = question_of(request)
    if live:
        return await follow(services, request, question)
    if whole:
        return await export(services, question, await position_in(services, request, "after"))
    limit = int_of(request, "limit", 100, 1, MAX_PAGE)
    if "before" in request.query_params or _descending(request):
        before = int_of(request, "before", 0) or None
        page = await services.audit.newest_first(question, None if before is None else Position(before), limit)
        return _answer(request, page, "before")
    after = await position_in(services, request, "after")
    return _answer(request, await services.audit.oldest_first(question, after, limit), "after")


def require_together(request: Request, *, live: bool, whole: bool) -> None:
    """Nothing is asked for that the way in which the log is read would pass over. Raises BadQuery."""
    given, newest = request.query_params, _descending(request)
    if live:
        apart, why = ("order", "before", "limit", "format"), "goes with pages, not with follow=true"
    elif whole:
        apart, why = ("before", "limit", *(["order"] if newest else [])), "goes with pages, not with format=ndjson"
    elif newest or "before" in given:
        apart, why = (
            ("after", *([] if newest else ["order"])),
            "goes with the oldest first, and the newest are asked for",
        )
    else:
        return
    faults = [Invalid(name, why, "leave it out, or the other") for name in apart if name in given]
    if faults:
        raise BadQuery(faults)


async def get(services: Services, request: Request) -> Response:
    only(request)
    position = number_of(request, "position", "position")
    event = await services.audit.event(Position(position))
    if event is None:
        raise NotFound(f"no event stands at position {position}")
    return Response(event_json(event), media_type="application/json")


async def of_job(services: Services, request: Request) -> Response:
    """What was ordered of a job and what happened to it, in the order of the log; up to `as_of` if that is given."""
    only(request, "after", "limit", "min_position", "as_of")
    await shown(services, request)
    job_id = job_id_of(request)
    limit = int_of(request, "limit", 100, 1, MAX_PAGE)
    after = await position_in(services, request, "after")
    if not await services.log.read(job_entity(job_id), _BEGIN, 1):
        raise JobMissing(job_id)
    as_of = await as_of_in(services, request)
    until = as_of + _TICK if isinstance(as_of, datetime) else None
    last = None if isinstance(as_of, datetime) else as_of
    ordered = await services.audit.oldest_first(Question(job_entity(job_id), until=until), after, limit)
    happened = await services.audit.oldest_first(Question(run_entity(job_id), until=until), after, limit)
    return _answer(request, up_to(last, merged(ordered, happened, limit)), "after")


def up_to(last: Position | None, page: Page) -> Page:
    """What of a page of rising positions is not above `last`."""
    if last is None or page.reached <= last:
        return page
    return Page(tuple(event for event in page.events if event.position <= last), None, last)


def merged(one: Page, other: Page, limit: int) -> Page:
    """Two pages of rising positions as one: only as far as both have looked."""
    seen = min((page.reached for page in (one, other) if page.then is not None), default=None)
    events = sorted((*one.events, *other.events), key=lambda event: event.position)
    known = [event for event in events if seen is None or event.position <= seen]
    if len(known) > limit:
        last = known[limit - 1].position
        return Page(tuple(known[:limit]), last, last)
    return Page(tuple(known), seen, max(one.reached, other.reached) if seen is None else seen)


async def export(services: Services, question: Question, after: Position) -> Response:
    """All events as one JSON object a line. The first page is read before the answer begins."""
    page = await services.audit.oldest_first(question, after, _EXPORT_PAGE)
    return StreamingResponse(_lines(services, question, page), media_type="application/x-ndjson")


async def _lines(services: Services, question: Question, page: Page) -> AsyncIterator[bytes]:
    """A fault on the way ends the answer in the middle, which every client notices."""
    while True:
        yield as_lines(page.events)
        if page.then is None:
            return
        page = await services.audit.oldest_first(question, page.then, _EXPORT_PAGE)


def as_lines(events: Sequence[Recorded]) -> bytes:
    return b"".join(event_json(event) + b"\n" for event in events)


def _answer(request: Request, page: Page, cursor: str) -> Response:
    text = events_json(page.events)[1:-1].decode()
    return written_listing(request, Written(text, page.then), cursor)


def _ndjson(request: Request) -> bool:
    match text_of(request, "format"):
        case None | "json":
            return False
        case "ndjson":
            return True
        case text:
            raise BadQuery([Invalid("format", f"{text[:40]!r} is no format", "use json or ndjson")])


def _descending(request: Request) -> bool:
    match text_of(request, "order"):
        case None | "asc":
            return False
        case "desc":
            return True
        case text:
            raise BadQuery([Invalid("order", f"{text[:40]!r} is no order", "use asc or desc")])
