"""Lists in pages, and reading what one has just written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from eventstore import Position
from nats3.api.errors import BadQuery, Stale
from nats3.api.reading import int_of
from nats3.api.services import Services
from nats3.errors import Invalid
from nats3.views.written import Written

PATIENCE = 2.0
"""Seconds that a reader waits for a view to reach `min_position`."""


def listing(request: Request, items: Sequence[Mapping[str, Any]], more: Mapping[str, int | str] | None) -> Response:
    """`{"items": [...]}`; `more` are the parameters that the next page has instead of these, None on the last page."""
    headers = {"Link": f'<{next_page(request, more)}>; rel="next"'} if more else {}
    return JSONResponse({"items": list(items)}, headers=headers)


def written_listing(request: Request, page: Written, cursor: str) -> Response:
    """The same of items that are written out already; the next page begins at `cursor` where this one ended."""
    headers = {} if page.last is None else {"Link": f'<{next_page(request, {cursor: page.last})}>; rel="next"'}
    return Response(f'{{"items":[{page.text}]}}', headers=headers, media_type="application/json")


def next_page(request: Request, more: Mapping[str, int | str]) -> str:
    kept = [(name, value) for name, value in request.query_params.multi_items() if name not in more]
    return f"{request.scope['path']}?{urlencode([*kept, *more.items()])}"


async def shown(services: Services, request: Request, *views: str) -> None:
    """Wait until these views show `min_position`, if it is asked for. Raises Stale, BadQuery."""
    position = Position(int_of(request, "min_position", 0))
    if not position:
        return
    head = await services.log.head()
    if position > head:
        fault = f"{position} is beyond the end of the log at {head}"
        raise BadQuery([Invalid("min_position", fault, "use a position that an answer gave")])
    for view in views:
        if not await services.projections.wait_for(view, position, PATIENCE):
            raise Stale(view, position)
