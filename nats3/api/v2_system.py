"""Version 2: how nats3 itself is: projections and nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from eventstore import Node, Position, ProjectionStatus, UnknownProjection
from nats3.api.pages import listing
from nats3.api.reading import Exact, int_of, only, read_body, text_of
from nats3.api.requests import who_of
from nats3.api.services import Services
from nats3.api.v2_questions import within
from nats3.api.words import format_time

STATES = {"live": "running", "building": "rebuilding", "stalled": "stalled"}
"""By what the log calls it; a version that is retired is kept for a return, and nothing is folded into it."""


class SkipV2(Exact):
    position: int
    reason: str


async def projections(services: Services, request: Request) -> Response:
    """Every version of every projection that events are folded into; `active` is the one that readers see."""
    only(request, "limit", "after")
    limit, after = int_of(request, "limit", 100, 1, 1000), text_of(request, "after") or ""
    head, all_rows = await services.log.head(), await services.projections.status()
    rows = [(f"{row.name}:{row.version:09d}", row) for row in all_rows if row.status in STATES]
    left = sorted((place, row) for place, row in rows if place > after)
    more = {"after": left[limit - 1][0]} if len(left) > limit else None
    return listing(request, [projection_body(row, head, all_rows) for _, row in left[:limit]], more)


async def projection(services: Services, request: Request) -> Response:
    """The version of a projection that readers see."""
    only(request)
    name = request.path_params["name"]
    head, rows = await services.log.head(), await services.projections.status()
    for row in rows:
        if row.name == name and row.active:
            return JSONResponse(projection_body(row, head, rows))
    raise UnknownProjection(name)


async def skip(services: Services, request: Request) -> Response:
    """Pass over the event at which a projection stopped: recorded with its reason."""
    only(request)
    body = await read_body(request, SkipV2)
    position = await within(services, "position", body.position)
    name = request.path_params["name"]
    done = await services.projections.skip(name, position, body.reason, who_of(request).actor)
    return JSONResponse({"name": name, "skipped": position, "position": done.last}, 202)


async def nodes(services: Services, request: Request) -> Response:
    """All nodes that registered and did not leave, oldest first."""
    only(request, "limit", "after")
    limit, after = int_of(request, "limit", 100, 1, 1000), text_of(request, "after") or ""
    rows = [(f"{format_time(node.started_at)}:{node.node_id}", node) for node in await services.nodes()]
    left = [(place, node) for place, node in rows if place > after]
    more = {"after": left[limit - 1][0]} if len(left) > limit else None
    return listing(request, [node_body(node) for _, node in left[:limit]], more)


def projection_body(row: ProjectionStatus, head: Position, rows: Sequence[ProjectionStatus]) -> dict[str, Any]:
    kept = [each for each in rows if row.active and each.name == row.name and each.status not in STATES]
    return {
        "name": row.name,
        "version": row.version,
        "active": row.active,
        "status": STATES[row.status],
        "position": row.position,
        "lag": max(0, head - row.position),
        "owner": None if row.owner is None else str(row.owner),
        "error": row.error,
        "kept": [{"version": each.version, "position": each.position} for each in kept],
        "updated_at": format_time(row.updated_at),
    }


def node_body(node: Node) -> dict[str, Any]:
    return {
        "id": str(node.node_id),
        "name": node.name,
        "alive": node.alive,
        "started_at": format_time(node.started_at),
        "lease_until": format_time(node.lease_until),
    }
