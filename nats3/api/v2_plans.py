"""Version 2: what a load reads: as its run froze it, or as it would be now."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from eventstore import Recorded
from eventstore.audit import Question
from nats3.api.errors import JobMissing, NotFound, Stale, Unfit
from nats3.api.orders import require_connections
from nats3.api.pages import PATIENCE, shown
from nats3.api.reading import int_of, job_id_of, only, read_as
from nats3.api.services import Services
from nats3.api.v2_orders import order_of
from nats3.api.warnings import warnings_of
from nats3.api.words import format_ns
from nats3.errors import Invalid
from nats3.job.history import HISTORY, run_entity, types_of
from nats3.job.loading import LoadExtended, LoadPlanned, PlannedRange
from nats3.job.order import LoadOrder
from nats3.views.chunk_queries import ChunkRange, Scope

_PLANNED = types_of(LoadPlanned, LoadExtended)
_PAGE = 100

MOST_READ = 64 << 20
"""Bytes of objects that are read to count an order, unless the question says otherwise."""
LARGEST_READ = 1 << 30


async def get(services: Services, request: Request) -> Response:
    """The plan of a load; what it would be now, where the run has made none yet."""
    only(request, "min_position")
    await shown(services, request, "jobs", "chunks")
    job_id = job_id_of(request)
    row = await services.jobs.get(job_id)
    if row is None:
        raise JobMissing(job_id)
    order = row.order
    if not isinstance(order, LoadOrder):
        raise NotFound(f"job {job_id} is a store job: only a load has a plan")
    frozen = await _frozen(services, job_id)
    return JSONResponse(frozen_body(frozen) if frozen else await preview(services, order))


async def count(services: Services, request: Request) -> Response:
    """What an order would publish, chunk by chunk; nothing is recorded or written."""
    only(request, "most_read")
    most_read = int_of(request, "most_read", MOST_READ, 0, LARGEST_READ)
    job_id = services.new_id()
    order = await read_as(request, lambda value: order_of(value, job_id))
    services.require_within(job_id, order)
    require_connections(order, services.world.nats_names, services.world.s3_names)
    if not isinstance(order, LoadOrder):
        raise Unfit([Invalid("kind", "is no load", "only a load has a plan")])
    told = await services.counter.count(order, most_read)
    return JSONResponse(
        {
            "position": told.position,
            "exact": told.exact,
            "messages": told.messages,
            "raw_bytes": told.raw_bytes,
            "chunks": told.chunks,
            "requests": told.requests,
            "fetched_bytes": told.fetched_bytes,
            "refusal": told.refusal,
            "ranges": [_planned_body(each) for each in told.ranges],
            "warnings": await warnings_of(services, order),
        }
    )


async def preview(services: Services, order: LoadOrder) -> dict[str, Any]:
    """What a load that is ordered now would read. Raises Stale while the index is behind the log."""
    head = await services.log.head()
    if not await services.projections.wait_for("chunks", head, PATIENCE):
        raise Stale("chunks", head)
    ranges = await services.chunks.summary(Scope.of(order, head))
    return {
        "frozen": False,
        "position": head,
        "chunks": sum(each.chunks for each in ranges),
        "messages": sum(each.messages for each in ranges),
        "raw_bytes": sum(each.raw_bytes for each in ranges),
        "stored_bytes": sum(each.stored_bytes for each in ranges),
        "ranges": [_range_body(each) for each in ranges],
    }


async def _frozen(services: Services, job_id: UUID) -> list[LoadPlanned | LoadExtended]:
    """The latest plan and what it was extended by, oldest first."""
    question = Question(run_entity(job_id), types=_PLANNED)
    page = await services.audit.newest_first(question, None, _PAGE)
    found: list[LoadPlanned | LoadExtended] = []
    while True:
        for event in page.events:
            found.append(_said(event))
            if isinstance(found[-1], LoadPlanned):
                return found[::-1]
        if page.then is None:
            return []
        page = await services.audit.newest_first(question, page.then, _PAGE)


def _said(event: Recorded) -> LoadPlanned | LoadExtended:
    return HISTORY.decode(event)


def frozen_body(parts: list[LoadPlanned | LoadExtended]) -> dict[str, Any]:
    """Sizes in bytes are not part of what a run froze."""
    ranges = [each for part in parts for each in part.ranges]
    return {
        "frozen": True,
        "position": parts[-1].position,
        "chunks": sum(part.chunks for part in parts),
        "messages": sum(part.messages for part in parts),
        "raw_bytes": None,
        "stored_bytes": None,
        "ranges": [_planned_body(each) for each in ranges],
    }


def _planned_body(each: PlannedRange) -> dict[str, Any]:
    return {
        "job_id": each.job_id,
        "life": each.life,
        "created": format_ns(each.created),
        "first": each.first,
        "last": each.last,
        "rank": each.rank,
        "chunks": None,
        "messages": None,
    }


def _range_body(each: ChunkRange) -> dict[str, Any]:
    return {
        "job_id": str(each.job_id),
        "life": each.life,
        "created": format_ns(each.created),
        "first": each.first,
        "last": each.last,
        "rank": None,
        "chunks": each.chunks,
        "messages": each.messages,
    }
