"""Version 2: work on projections: rebuild, verify, cancel, return to the version before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from eventstore import Operation, Position, ProjectionStatus
from nats3.api.errors import NotFound
from nats3.api.pages import listing
from nats3.api.reading import MAX_INT, int_of, number_of, only
from nats3.api.requests import who_of
from nats3.api.services import Services
from nats3.api.words import format_time

_UNDER_WAY = frozenset({"running", "cancelling"})


async def rebuild(services: Services, request: Request) -> Response:
    """Fold the whole log into new tables beside those that readers see, then show them."""
    return await _begin(services, request, "rebuild")


async def verify(services: Services, request: Request) -> Response:
    """Compare what readers see with a fresh fold of the whole log."""
    return await _begin(services, request, "verify")


async def cancel(services: Services, request: Request) -> Response:
    """End the operation under way; what it had made is dropped."""
    only(request)
    operation = await services.upkeep.cancel(request.path_params["name"], who_of(request).actor)
    return await _accepted(services, operation)


async def return_to_before(services: Services, request: Request) -> Response:
    """Show readers the tables of the version before, at once; they catch up from where they were left."""
    only(request)
    name = request.path_params["name"]
    version = await services.upkeep.return_to_before(name, who_of(request).actor)
    return JSONResponse({"name": name, "version": version})


async def operations(services: Services, request: Request) -> Response:
    """What was asked of a projection, newest first."""
    only(request, "limit", "before")
    limit, before = int_of(request, "limit", 100, 1, 1000), int_of(request, "before", 0) or MAX_INT
    found = await services.upkeep.operations(request.path_params["name"])
    rows, head = await services.projections.status(), await services.log.head()
    left = [each for each in found[::-1] if each.operation_id < before]
    more = {"before": left[limit - 1].operation_id} if len(left) > limit else None
    return listing(request, [body_of(each, rows, head) for each in left[:limit]], more)


async def operation(services: Services, request: Request) -> Response:
    only(request)
    name, wanted = request.path_params["name"], number_of(request, "id", "id of an operation")
    found = [each for each in await services.upkeep.operations(name) if each.operation_id == wanted]
    if not found:
        raise NotFound(f"{name}: there is no operation {wanted}")
    return JSONResponse(body_of(found[0], await services.projections.status(), await services.log.head()))


async def _begin(services: Services, request: Request, kind: Literal["rebuild", "verify"]) -> Response:
    only(request)
    asked = await services.upkeep.ask(request.path_params["name"], kind, who_of(request).actor)
    return await _accepted(services, asked)


async def _accepted(services: Services, found: Operation) -> Response:
    headers = {"Location": f"/api/v2/projections/{found.name}/operations/{found.operation_id}"}
    return JSONResponse(body_of(found, (), await services.log.head()), 202, headers)


def body_of(found: Operation, rows: Sequence[ProjectionStatus], head: Position) -> dict[str, Any]:
    """While it is under way, `version` and `position` say how far which new tables are."""
    version, position = found.version, found.position
    made = [row for row in rows if row.name == found.name and not row.active and row.status in ("building", "stalled")]
    if found.state in _UNDER_WAY and made:
        version, position = made[-1].version, made[-1].position
    return {
        "id": str(found.operation_id),
        "name": found.name,
        "kind": found.kind,
        "state": found.state,
        "version": version,
        "position": position,
        "head": head,
        "differ": list(found.differ),
        "reason": found.reason or None,
        "actor": found.actor,
        "asked_at": format_time(found.asked_at),
        "ended_at": None if found.ended_at is None else format_time(found.ended_at),
    }
