"""Version 2: how an entity was at any time: its events up to there, folded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from eventstore import Recorded, Version
from eventstore.types import to_json
from nats3.api.errors import BadParameter, JobMissing, NotFound
from nats3.api.pages import shown
from nats3.api.reading import as_uuid, only
from nats3.api.services import Services
from nats3.api.v2_questions import as_of_in
from nats3.api.words import format_time
from nats3.errors import Invalid
from nats3.job import loading, ordering, storing
from nats3.job.history import HISTORY, job_entity
from nats3.job.order import Kind

_PAGE = 1000


async def get(services: Services, request: Request) -> Response:
    """`as_of` is a position (inclusive) or a time; without it, now."""
    only(request, "as_of", "min_position")
    await shown(services, request)
    entity_id = str(request.path_params["id"])
    as_of = await as_of_in(services, request)
    evolve = await _fold_of(services, entity_id)
    state: Any = evolve(None, None)
    last: Recorded | None = None
    while page := await services.audit.entity(entity_id, as_of, last.version if last else Version(0), _PAGE):
        for event in page:
            state = evolve(state, HISTORY.decode(event))
        last = page[-1]
        await asyncio.sleep(0)  # a long history is folded in turns with other requests
    if last is None:
        raise NotFound(f"nothing is known of entity {entity_id} then")
    return JSONResponse(
        {
            "entity_id": entity_id,
            "version": last.version,
            "position": last.position,
            "recorded_at": format_time(last.recorded_at),
            "state": to_json(state),
        }
    )


async def _fold_of(services: Services, entity_id: str) -> Callable[[Any, Any], Any]:
    """How this entity is folded. Raises BadParameter for what is no such entity, JobMissing where nothing is known of it."""
    category, _, name = entity_id.partition("/")
    job_id = as_uuid(name)
    if job_id is None or str(job_id) != name or category not in ("job", "run"):
        fault = f"{entity_id[:80]!r} is no entity that can be folded"
        raise BadParameter([Invalid("id", fault, "name it job/<id> or run/<id>")])
    return _FOLDS[category, await _kind(services, job_id)]


async def _kind(services: Services, job_id: UUID) -> Kind:
    first: Sequence[Recorded] = await services.log.read(job_entity(job_id), Version(0), 1)
    created = HISTORY.decode(first[0]) if first else None
    if not isinstance(created, ordering.JobCreated):
        raise JobMissing(job_id)
    return created.kind


def _ordered(state: Any, event: Any) -> Any:  # noqa: ANN401 - the fold of any entity
    return None if event is None else ordering.evolve(state, event)


def _stored(state: Any, event: Any) -> Any:  # noqa: ANN401 - see above
    return storing.Storing() if event is None else storing.evolve(state, event)


def _loaded(state: Any, event: Any) -> Any:  # noqa: ANN401 - see above
    return loading.Loading() if event is None else loading.evolve(state, event)


_FOLDS: dict[tuple[str, Kind], Callable[[Any, Any], Any]] = {
    ("job", "store"): _ordered,
    ("job", "load"): _ordered,
    ("run", "store"): _stored,
    ("run", "load"): _loaded,
}
"""Each begins with `(None, None)` and then takes event after event."""
