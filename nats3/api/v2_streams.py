"""Version 2: the streams of NATS, and what of each is archived."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from nats3.api.errors import BadQuery, NotFound
from nats3.api.pages import listing, shown
from nats3.api.reading import int_of, only, text_of
from nats3.api.services import Services
from nats3.api.words import format_ns
from nats3.api.world import StreamSeen
from nats3.place import MAIN, fault_of_name
from nats3.views.chunk_queries import StreamArchived


async def get_all(services: Services, request: Request) -> Response:
    """By name: those that are there and those that were archived, in pages."""
    only(request, "nats", "limit", "after", "min_position")
    nats = _connection(services, request)
    await shown(services, request, "chunks")
    limit, after = int_of(request, "limit", 100, 1, 1000), text_of(request, "after") or ""
    there = {seen.name: seen for seen in await services.world.every_stream(nats)}
    archived = {each.stream: each for each in await services.chunks.by_stream()}
    names = sorted(name for name in there.keys() | archived.keys() if name > after)
    page = names[:limit]
    more = {"after": page[-1]} if len(names) > limit else None
    return listing(request, [stream_body(name, there.get(name), archived.get(name)) for name in page], more)


async def get(services: Services, request: Request) -> Response:
    only(request, "nats", "min_position")
    nats = _connection(services, request)
    await shown(services, request, "chunks")
    name = request.path_params["name"]
    there = next((seen for seen in await services.world.every_stream(nats) if seen.name == name), None)
    archived = next((each for each in await services.chunks.by_stream() if each.stream == name), None)
    if there is None and archived is None:
        raise NotFound(f"stream {name[:80]!r} is not there and nothing of it is archived")
    return JSONResponse(stream_body(name, there, archived))


def _connection(services: Services, request: Request) -> str:
    """Raises BadQuery."""
    name = text_of(request, "nats") or MAIN
    fault = fault_of_name("nats", name, services.world.nats_names)
    if fault:
        raise BadQuery([fault])
    return name


def stream_body(name: str, seen: StreamSeen | None, archived: StreamArchived | None) -> dict[str, Any]:
    """`there` is None where the stream does not exist, `archived` where no chunk of it lies in a bucket."""
    return {
        "name": name,
        "there": None if seen is None else _there(seen),
        "archived": None if archived is None else _archived(archived),
    }


def _there(seen: StreamSeen) -> dict[str, Any]:
    return {
        "created": format_ns(seen.created),
        "retention": seen.retention,
        "subjects": list(seen.subjects),
        "messages": seen.messages,
        "first_seq": seen.first,
        "last_seq": seen.last,
    }


def _archived(each: StreamArchived) -> dict[str, Any]:
    return {
        "jobs": each.jobs,
        "chunks": each.chunks,
        "messages": each.messages,
        "raw_bytes": each.raw_bytes,
        "stored_bytes": each.stored_bytes,
        "last_seq": each.last,
        "first_time": format_ns(each.first_time),
        "last_time": format_ns(each.last_time),
    }
