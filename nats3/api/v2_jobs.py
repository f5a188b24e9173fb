"""Version 2: jobs as resources."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from eventstore import VersionConflict
from nats3.api.commands import Commands, Target
from nats3.api.errors import BadQuery, JobMissing
from nats3.api.orders import require_connections
from nats3.api.pages import shown, written_listing
from nats3.api.reading import Exact, flag_of, int_of, job_id_of, only, read_as, read_body, read_json, text_of
from nats3.api.requests import who_of
from nats3.api.services import Services
from nats3.api.v2_changes import changed
from nats3.api.v2_orders import job_body, order_body, order_of
from nats3.api.v2_plans import preview
from nats3.api.warnings import warnings_of
from nats3.errors import Invalid
from nats3.job.order import Kind, LoadOrder
from nats3.job.ordering import JobDeleted, JobRetried
from nats3.job.states import Command, State
from nats3.views.job_queries import MAX_PAGE, JobFilter
from nats3.views.job_row import JobRow


class RetryV2(Exact):
    restart: bool = False


class CancelV2(Exact):
    reason: str = ""


async def create(services: Services, request: Request) -> Response:
    """201 with the job. With `dry_run=true` nothing is recorded: 200 with what a load would read."""
    only(request, "dry_run")
    who = who_of(request)
    job_id = who.turn or services.new_id()
    order = await read_as(request, lambda value: order_of(value, job_id))
    services.require_within(job_id, order)
    require_connections(order, services.world.nats_names, services.world.s3_names)
    warnings = await warnings_of(services, order)
    if flag_of(request, "dry_run"):
        plan = await preview(services, order) if isinstance(order, LoadOrder) else None
        return JSONResponse({"order": order_body(order), "plan": plan, "warnings": warnings})
    try:
        row = await Commands(services).create(job_id, order, 2, who)
    except VersionConflict:  # the first time this was asked, nobody was left to answer
        row = await Commands(services).show(Target(job_id))
    return answer(row, 201, warnings, location=True)


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
    return written_listing(request, await services.jobs.resources(wanted, limit, before), "before")


async def get(services: Services, request: Request) -> Response:
    only(request, "min_position")
    await shown(services, request, "jobs")
    job_id = job_id_of(request)
    row = await services.jobs.get(job_id)
    if row is None:
        raise JobMissing(job_id)
    return answer(row)


async def change(services: Services, request: Request) -> Response:
    """Other fields of the order; the run takes it up where it stands. What is not named stays as it is."""
    only(request)
    value = await read_json(request)
    row = await Commands(services).change(_target(request), who_of(request), lambda order: changed(order, value))
    return answer(row, warnings=await warnings_of(services, row.order))


async def cancel(services: Services, request: Request) -> Response:
    """End the job for good, as DELETE does, with a reason that stands in the log."""
    only(request)
    body = await read_body(request, CancelV2) if await request.body() else CancelV2()
    event = JobDeleted(body.reason)
    await Commands(services).give(_target(request), "delete", who_of(request), event=event)
    return Response(status_code=204)


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
    body = await read_body(request, RetryV2) if await request.body() else RetryV2()
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
