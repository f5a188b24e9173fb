"""Version 1: the original's routes, at the root and below /api/v1."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from typing import get_args
from uuid import UUID

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from nats3.api.commands import Commands, Target
from nats3.api.errors import BadParameter, BadQuery, JobMissing
from nats3.api.orders import require_connections
from nats3.api.reading import as_model, read_as, text_of, uuid_of
from nats3.api.requests import who_of
from nats3.api.services import Services
from nats3.api.v1_orders import LoadV1, StoreV1, job_body, load_order, store_order
from nats3.api.warnings import warnings_of
from nats3.errors import Invalid
from nats3.job.order import Kind, Order
from nats3.job.states import RULES, Command, State, Word
from nats3.views.job_queries import JobFilter
from nats3.views.written import Written

_MEDIA = "application/json"
_OFFERED: frozenset[Command] = frozenset({"pause", "resume", "delete"})


def kind_of_path(request: Request) -> Kind:
    """`/store/...` or `/load/...`."""
    return "store" if "/store/" in request.scope["nats3.route"] else "load"


async def create(services: Services, request: Request) -> Response:
    job_id = services.new_id()
    order = await read_as(request, partial(_ordered, kind_of_path(request), job_id))
    require_connections(order, services.world.nats_names, services.world.s3_names)
    warnings = await warnings_of(services, order)
    row = replace(await Commands(services).create(job_id, order, 1, who_of(request)), state=State.CREATED.value)
    return JSONResponse(job_body(row, warnings))


def _ordered(kind: Kind, job_id: UUID, value: object) -> Order:
    """The order that a body asks for. Raises Misshapen, Unfit, Invalid."""
    if kind == "store":
        return store_order(as_model(StoreV1, value), job_id)
    return load_order(as_model(LoadV1, value), job_id)


async def get(services: Services, request: Request) -> Response:
    job_id = _job_id(request)
    row = await services.jobs.get(job_id)
    if row is None or row.kind != kind_of_path(request):
        raise JobMissing(job_id)
    return JSONResponse(job_body(row))


async def get_all(services: Services, request: Request) -> Response:
    """A bare array. Filters: name, stream, bucket, status; other parameters are passed over."""
    states = _states(text_of(request, "status"))
    wanted = JobFilter(
        kind=kind_of_path(request),
        states=states,
        name=text_of(request, "name"),
        stream=text_of(request, "stream") or text_of(request, "read_stream"),
        bucket=text_of(request, "bucket"),
    )
    first = await services.jobs.answers(wanted)
    if first.last is None:
        return Response(f"[{first.text}]", media_type=_MEDIA)
    return StreamingResponse(_all(services, wanted, first), media_type=_MEDIA)


async def _all(services: Services, wanted: JobFilter, page: Written) -> AsyncIterator[bytes]:
    """Page after page, however many there are. A fault on the way ends the answer in the middle, which clients notice."""
    yield b"[" + page.text.encode()
    while page.last is not None:
        page = await services.jobs.answers(wanted, page.last)
        yield (f",{page.text}" if page.text else "").encode()
    yield b"]"


async def pause(services: Services, request: Request) -> Response:
    return await _give(services, request, "pause")


async def resume(services: Services, request: Request) -> Response:
    return await _give(services, request, "resume")


async def delete(services: Services, request: Request) -> Response:
    target = Target(_job_id(request), kind_of_path(request))
    await Commands(services, _OFFERED).give(target, "delete", who_of(request))
    return Response(status_code=200)


async def _give(services: Services, request: Request, command: Command) -> Response:
    target = Target(_job_id(request), kind_of_path(request))
    row = await Commands(services, _OFFERED).give(target, command, who_of(request), lenient=True)
    return JSONResponse(job_body(row))


def _job_id(request: Request) -> UUID:
    given = request.query_params.getlist("job_id")
    if len(given) > 1:
        raise BadParameter([Invalid("job_id", f"is given {len(given)} times", "give it once")])
    return uuid_of("job_id", given[0] if given else None)


def _states(word: str | None) -> frozenset[State] | None:
    """The states that version 1 calls by this word, in whatever case. Raises BadQuery."""
    if word is None:
        return None
    states = frozenset(state for state, rule in RULES.items() if rule.word.lower() == word.lower())
    if not states:
        *words, last = get_args(Word)
        raise BadQuery([Invalid("status", f"{word[:40]!r} is no status", f"use {', '.join(words)} or {last}")])
    return states
