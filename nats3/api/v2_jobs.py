"""Version 2: jobs as resources."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid5

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from eventstore import VersionConflict
from nats3.api.commands import Commands, Target
from nats3.api.errors import BadQuery, JobMissing, Unfit
from nats3.api.pages import listing, shown
from nats3.api.reading import Exact, as_model, flag_of, int_of, job_id_of, only, read_json, text_of
from nats3.api.requests import who_of
from nats3.api.services import Services
from nats3.api.v2_orders import job_body, order_body, order_of
from nats3.api.v2_plans import preview
from nats3.api.warnings import warnings_of
from nats3.errors import Invalid
from nats3.job.order import Kind, LoadOrder, Order
from nats3.job.ordering import JobRetried
from nats3.job.states import Command, State
from nats3.views.job_queries import MAX_PAGE, JobFilter
from nats3.views.job_row import JobRow

IDEMPOTENT = UUID("6f2f8a53-6c53-4b0e-9c0f-6a1d3b1c9a51")
"""Names the jobs that are made under an Idempotency-Key: an equal key is an equal job."""

_MAX_KEY = 255


class RetryV2(Exact):
    restart: bool = False


async def create(services: Services, request: Request) -> Response:
    """201 with the job. Under an Idempotency-Key the same order makes one job, however often it is sent.

    With `dry_run=true` nothing is recorded: 200 with what a load would read.
    """
    only(request, "dry_run")
    key = request.headers.get("idempotency-key")
    job_id = services.new_id() if key is None else uuid5(IDEMPOTENT, _key(key))
    order = order_of(await read_json(request), job_id)
    services.require_within(job_id, order)
    warnings = await warnings_of(services.world, order)
    if flag_of(request, "dry_run"):
        plan = await preview(services, order) if isinstance(order, LoadOrder) else None
        return JSONResponse({"order": order_body(order), "plan": plan, "warnings": warnings})
    try:
        row = await Commands(services).create(job_id, order, 2, who_of(request))
    except VersionConflict:
        row = await _made_before(services, job_id, order)
    return answer(row, 201, warnings, location=True)


def _key(key: str) -> str:
    if not (0 < len(key) <= _MAX_KEY and key.isprintable()):
        fault = Invalid("Idempotency-Key", "is empty, too long or not printable", f"use 1 to {_MAX_KEY} characters")
        raise Unfit([fault])
    return key


async def _made_before(services: Services, job_id: UUID, order: Order) -> JobRow:
    row = await Commands(services).show(Target(job_id))
    if row.order != order:
        fault = "was used for another order"
        raise Unfit([Invalid("Idempotency-Key", fault, "use a new key for a new order, or send the same order")])
    return row


async def get_all(services: Services, request: Request) -> Response:
    """Newest first, in pages."""
    only(request, "kind", "state", "name", "stream", "bucket", "limit", "before", "min_position")
    await shown(services, request, "jobs")
    wanted = JobFilter(
        kind=_kind(text_of(request, "kind")),
        states=_states(request.query_params.getlist("state")),
        name=text_of(request, "name"),
        stream=text_of(request, "stream"),
        bucket=text_of(request, "bucket"),
    )
    limit = int_of(request, "limit", 100, 1, MAX_PAGE)
    before = int_of(request, "before", 0) or None
    rows = await services.jobs.page(wanted, limit, before)
    more = {"before": rows[-1].created_position} if len(rows) == limit else None
    return listing(request, [job_body(row) for row in rows], more)


async def get(services: Services, request: Request) -> Response:
    only(request, "min_position")
    await shown(services, request, "jobs")
    job_id = job_id_of(request)
    row = await services.jobs.get(job_id)
    if row is None:
        raise JobMissing(job_id)
    return answer(row)


async def delete(services: Services, request: Request) -> Response:
    only(request)
    await Commands(services).give(_target(request), "delete", who_of(request))
    return Response(status_code=204)


async def pause(services: Services, request: Request) -> Response:
    return await _give(services, request, "pause")


async def resume(services: Services, request: Request) -> Response:
    return await _give(services, request, "resume")


async def retry(services: Services, request: Request) -> Response:
    """Begin the next run of a load that has ended; `{"restart": true}` publishes everything again under new ids."""
    only(request)
    body = as_model(RetryV2, await read_json(request)) if await request.body() else RetryV2()
    event = JobRetried(restart=body.restart)
    return answer(await Commands(services).give(_target(request), "retry", who_of(request), event=event))


async def _give(services: Services, request: Request, command: Command) -> Response:
    only(request)
    return answer(await Commands(services).give(_target(request), command, who_of(request)))


def answer(row: JobRow, status: int = 200, warnings: list[str] | None = None, *, location: bool = False) -> Response:
    headers: dict[str, str] = {"ETag": f'"{row.version}"'}
    if location:
        headers["Location"] = f"/api/v2/jobs/{row.job_id}"
    body: dict[str, Any] = job_body(row, warnings)
    return JSONResponse(body, status, headers)


def _target(request: Request) -> Target:
    return Target(job_id_of(request), if_match=request.headers.get("if-match"))


def _kind(text: str | None) -> Kind | None:
    match text:
        case None | "store" | "load":
            return text
        case _:
            raise BadQuery([Invalid("kind", f"{text[:40]!r} is no kind of job", "use store or load")])


def _states(words: list[str]) -> frozenset[State] | None:
    """One or more, by commas or repeated."""
    names = [name for word in words for name in word.split(",")]
    known = {state.value: state for state in State}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise BadQuery([Invalid("state", f"{unknown[0][:40]!r} is no state", f"use {', '.join(sorted(known))}")])
    return frozenset(known[name] for name in names) or None
