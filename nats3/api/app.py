"""The application: the table of routes, behind the guard."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from nats3.api.door import Door, require_role
from nats3.api.guard import CRASHED, Guard
from nats3.api.problems import Problem, answer
from nats3.api.routes import ROUTES, Entry
from nats3.api.services import Services

_CODES = {404: "not_found", 405: "method_not_allowed"}


def build(services: Services) -> Starlette:
    """The API over these services. Nothing is opened or closed by it. Raises Undeclared."""
    app = Starlette(
        routes=[_route(services, path, entries) for path, entries in _by_path(ROUTES).items()],
        middleware=[Middleware(Guard, services=services)],
        exception_handlers={HTTPException: _refused},
    )
    app.router.redirect_slashes = False
    return app


def _by_path(entries: tuple[Entry, ...]) -> Mapping[str, list[Entry]]:
    grouped: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        grouped[entry.path].append(entry)
    return grouped


def _route(services: Services, path: str, entries: list[Entry]) -> Route:
    """One path, all its methods, so that 405 can name them. Raises Undeclared."""
    for entry in entries:
        require_role(entry)
    by_method = {entry.method: entry for entry in entries}
    return Route(path, Door(services, dict(by_method)), methods=list(by_method))


async def _refused(request: Request, error: Exception) -> Response:
    """No such route, or no such method on it."""
    if not isinstance(error, HTTPException):
        return answer(CRASHED, request.scope["path"])
    texts = {404: "there is no such resource", 405: f"{request.method} is not possible here"}
    detail = texts.get(error.status_code, error.detail)
    problem = Problem(
        error.status_code, _CODES.get(error.status_code, "refused"), detail, headers=dict(error.headers or {})
    )
    return answer(problem, request.scope["path"])
