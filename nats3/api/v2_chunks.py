"""Version 2: what is archived: chunks, and of a job's stream what is covered and what is not."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from nats3.api.errors import BadQuery, JobMissing, NotFound
from nats3.api.pages import listing, shown, written_listing
from nats3.api.reading import int_of, job_id_of, number_of, only, text_of
from nats3.api.services import Services
from nats3.api.v2_questions import uuid_in
from nats3.api.words import format_ns, format_time
from nats3.errors import Invalid
from nats3.views.chunk_queries import MAX_PAGE, ChunkFilter
from nats3.views.chunks import COLUMNS, ChunkRow
from nats3.views.coverage import LifeRow

_NO_CURSOR = (0, 0)


async def get_all(services: Services, request: Request) -> Response:
    """In the order in which they were recorded."""
    only(request, "job_id", "bucket", "stream", "deleted", "limit", "after", "min_position")
    await shown(services, request, "chunks")
    wanted = ChunkFilter(
        job_id=uuid_in(request, "job_id"),
        bucket=text_of(request, "bucket"),
        stream=text_of(request, "stream"),
        deleted=_deleted(request),
    )
    return await _page(services, request, wanted)


async def of_job(services: Services, request: Request) -> Response:
    """The chunks that a store job made."""
    only(request, "deleted", "limit", "after", "min_position")
    await shown(services, request, "jobs", "chunks")
    job_id = job_id_of(request)
    if await services.jobs.get(job_id) is None:
        raise JobMissing(job_id)
    return await _page(services, request, ChunkFilter(job_id=job_id, deleted=_deleted(request)))


async def get(services: Services, request: Request) -> Response:
    """A chunk by its id, which is the position of its event."""
    only(request, "min_position")
    await shown(services, request, "chunks")
    return JSONResponse(chunk_body(await row_of(services, request)))


async def row_of(services: Services, request: Request) -> ChunkRow:
    """The chunk in the path. Raises BadParameter, NotFound."""
    position = number_of(request, "id", "id of a chunk")
    row = await services.chunks.at(position)
    if row is None:
        raise NotFound(f"there is no chunk {position}")
    return row


async def coverage(services: Services, request: Request) -> Response:
    """Lives, archived ranges and gaps of a job's stream; gaps in pages."""
    only(request, "limit", "after", "after_seq", "min_position")
    await shown(services, request, "jobs", "chunks", "coverage")
    job_id = job_id_of(request)
    if await services.jobs.get(job_id) is None:
        raise JobMissing(job_id)
    limit = int_of(request, "limit", MAX_PAGE, 1, MAX_PAGE)
    after = (int_of(request, "after", 0), int_of(request, "after_seq", 0))
    gaps = await services.coverage.gaps(job_id, limit, after)
    first_page = after == _NO_CURSOR
    body = {
        "lives": [_life(life) for life in await services.coverage.lives(job_id)] if first_page else [],
        "archived": [
            _with_times(asdict(run)) for run in (await services.coverage.archived(job_id) if first_page else ())
        ],
        "gaps": [_timed(asdict(gap)) for gap in gaps],
    }
    more = {"after": gaps[-1].position, "after_seq": gaps[-1].first} if len(gaps) == limit else None
    answer = listing(request, [], more)
    return JSONResponse(body, headers={"Link": answer.headers["Link"]} if more else {})


async def _page(services: Services, request: Request, wanted: ChunkFilter) -> Response:
    limit = int_of(request, "limit", 100, 1, MAX_PAGE)
    return written_listing(
        request, await services.chunks.resources(wanted, limit, int_of(request, "after", 0)), "after"
    )


def chunk_body(row: ChunkRow) -> dict[str, Any]:
    """Every field of the row; the id is the position of its event."""
    said = _with_times({name: getattr(row, name) for name in COLUMNS}) | {"created": format_ns(row.created)}
    return {"id": said.pop("position"), **_timed(said), "gaps": [list(gap) for gap in row.gaps]}


def _life(row: LifeRow) -> dict[str, Any]:
    return {**_timed(asdict(row)), "created": [format_ns(each) for each in row.created]}


def _with_times(said: dict[str, Any]) -> dict[str, Any]:
    return {**said, "first_time": format_ns(said["first_time"]), "last_time": format_ns(said["last_time"])}


def _timed(said: dict[str, Any]) -> dict[str, Any]:
    return {**said, "recorded_at": format_time(said["recorded_at"]), "job_id": str(said["job_id"])}


def _deleted(request: Request) -> bool | None:
    match text_of(request, "deleted"):
        case None | "false":
            return False
        case "true":
            return True
        case "any":
            return None
        case text:
            raise BadQuery([Invalid("deleted", f"{text[:40]!r} fits nothing", "use true, false or any")])
