"""Version 2: surveys of buckets: verify them against the index, or make the index anew out of them."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from functools import reduce
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from eventstore import Append, Fence, Position, Recorded, Version, VersionConflict
from nats3.api.commands import PATIENCE
from nats3.api.errors import NotFound, SurveyEnded, SurveyUnderWay, Unfit
from nats3.api.orders import checked_place
from nats3.api.pages import listing
from nats3.api.reading import as_uuid, int_of, only, read_body, uuid_of
from nats3.api.requests import who_of
from nats3.api.says_archive import RebuildBody, VerifyBody
from nats3.api.services import Services
from nats3.api.words import format_time
from nats3.errors import Invalid, Unavailable
from nats3.job.history import HISTORY, types_of
from nats3.job.surveying import (
    SurveyAsked,
    SurveyCancelled,
    SurveyEvent,
    Walk,
    WalkEnded,
    WalkFound,
    evolve,
    is_clean,
    survey_entity,
    walk_entity,
)

_PAGE = 1000
_BOUNDS = types_of(SurveyAsked, WalkEnded)


async def rebuild(services: Services, request: Request) -> Response:
    """Record what the bucket has and no event refers to. Raises SurveyUnderWay."""
    only(request)
    body = await read_body(request, RebuildBody)
    checked_place(body.bucket, body.prefix, services.world.s3_names)
    asked = SurveyAsked("rebuild", body.bucket, body.prefix, None, body.deep)
    for survey_id, other in (await _open(services)).items():
        if (other.task, other.bucket) == ("rebuild", asked.bucket):
            raise SurveyUnderWay(survey_id, body.bucket)
    return await _accepted(services, request, asked)


async def verify(services: Services, request: Request) -> Response:
    """Compare what is recorded with what is there; nothing is changed."""
    only(request)
    body = await read_body(request, VerifyBody)
    checked_place(body.bucket, None, services.world.s3_names)
    job_id = None if body.job_id is None else as_uuid(body.job_id)
    if body.job_id is not None and job_id is None:
        fault = Invalid("job_id", f"{body.job_id[:60]!r} is no UUID", "give the id that the job was made with")
        raise Unfit([fault])
    asked = SurveyAsked("verify", body.bucket, None, None if job_id is None else str(job_id), body.deep)
    return await _accepted(services, request, asked)


async def get_all(services: Services, request: Request) -> Response:
    """Newest first."""
    only(request, "limit")
    limit = int_of(request, "limit", 100, 1, 1000)
    events = await _of_types(services, types_of(SurveyAsked))
    return listing(request, [await _body(services, _id_of(event)) for event in events[::-1][:limit]], None)


async def get(services: Services, request: Request) -> Response:
    """How far it is, and what it counted."""
    only(request)
    return JSONResponse(await _body(services, _asked_for(request)))


async def findings(services: Services, request: Request) -> Response:
    """What was found, in the order of the walk; `after` is the last number of the page before."""
    only(request, "limit", "after")
    limit, after = int_of(request, "limit", 100, 1, 1000), int_of(request, "after", 0)
    survey_id = _asked_for(request)
    await _survey(services, survey_id)
    found = [
        finding
        for event in await _history(services, walk_entity(survey_id))
        if isinstance(said := HISTORY.decode(event), WalkFound)
        for finding in said.findings
    ]
    page = [{"id": after + n, **asdict(each)} for n, each in enumerate(found[after : after + limit], 1)]
    more = {"after": after + limit} if len(found) > after + limit else None
    return listing(request, page, more)


async def cancel(services: Services, request: Request) -> Response:
    """What was recorded stays. Raises SurveyEnded."""
    only(request)
    survey_id = _asked_for(request)
    events = await _survey(services, survey_id)
    if (await _walk(services, survey_id)).ended is not None:
        raise SurveyEnded(survey_id)
    if len(events) == 1:
        await _say(services, request, survey_id, SurveyCancelled(), Version(1))
    return JSONResponse(await _body(services, survey_id), 202)


async def _accepted(services: Services, request: Request, asked: SurveyAsked) -> Response:
    survey_id = str(services.new_id())
    await _say(services, request, survey_id, asked, Version(0))
    body = await _body(services, survey_id)
    return JSONResponse(body, 202, {"Location": f"/api/v2/archive/surveys/{survey_id}"})


async def _say(services: Services, request: Request, survey_id: str, event: SurveyEvent, expected: Version) -> None:
    who = who_of(request)
    new = (HISTORY.encode(event),)
    append = Append(survey_entity(survey_id), expected, Fence(0), new, who.actor, who.correlation_id)
    try:
        async with asyncio.timeout(PATIENCE):
            await services.writer.append(append)
    except VersionConflict:
        return  # cancelled by somebody else at the same time
    except TimeoutError:
        raise Unavailable("postgres", "an append took too long; whether it was recorded is not known") from None


def _asked_for(request: Request) -> str:
    return str(uuid_of("id", request.path_params["id"], "survey"))


async def _survey(services: Services, survey_id: str) -> list[Recorded]:
    """What was asked. Raises NotFound."""
    events = await _history(services, survey_entity(survey_id))
    if not events:
        raise NotFound(f"there is no survey {survey_id}")
    return events


async def _walk(services: Services, survey_id: str) -> Walk:
    return reduce(evolve, map(HISTORY.decode, await _history(services, walk_entity(survey_id))), Walk())


async def _history(services: Services, entity_id: str) -> list[Recorded]:
    events: list[Recorded] = []
    while page := await services.log.read(entity_id, Version(len(events)), _PAGE):
        events += page
    return events


async def _of_types(services: Services, types: frozenset[str]) -> list[Recorded]:
    events: list[Recorded] = []
    after = Position(0)
    while page := await services.log.read_log(after, _PAGE, types):
        events += page
        after = page[-1].position
    return events


async def _open(services: Services) -> dict[str, SurveyAsked]:
    """What is asked and has not ended."""
    asked: dict[str, SurveyAsked] = {}
    for event in await _of_types(services, _BOUNDS):
        said = HISTORY.decode(event)
        if isinstance(said, SurveyAsked):
            asked[_id_of(event)] = said
        else:
            asked.pop(_id_of(event), None)
    return asked


def _id_of(event: Recorded) -> str:
    return event.entity_id.partition("/")[2]


async def _body(services: Services, survey_id: str) -> dict[str, Any]:
    events = await _survey(services, survey_id)
    asked = HISTORY.decode(events[0])
    history = await _history(services, walk_entity(survey_id))
    walk = reduce(evolve, map(HISTORY.decode, history), Walk())
    ended = walk.ended
    under_way = "cancelling" if len(events) > 1 else "running"
    return {
        "id": survey_id,
        **asdict(asked),
        "state": ended.outcome if ended else under_way,
        "node": walk.node,
        "step": walk.step or None,
        "done": walk.done,
        "total": walk.total,
        "counts": dict(walk.counts),
        "found": dict(walk.found),
        "clean": is_clean(walk) if ended and ended.outcome == "done" else None,
        "reason": (ended.reason if ended else walk.waits) or None,
        "actor": events[0].actor,
        "asked_at": format_time(events[0].recorded_at),
        "ended_at": format_time(history[-1].recorded_at) if ended else None,
    }
