"""From an error to an answer: once, here. Never a stack, never SQL."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from http import HTTPStatus

from starlette.responses import JSONResponse, PlainTextResponse, Response

from eventstore import (
    EventStoreError,
    LogUnavailable,
    NothingBefore,
    NothingUnderWay,
    NotPoison,
    Occupied,
    SchemaMissing,
    SchemaNewer,
    SegmentAltered,
    SegmentMissing,
    Stopped,
    UnknownProjection,
    UnknownType,
    Unstorable,
)
from nats3.api.errors import RequestError
from nats3.errors import Blocked, Invalid, Unavailable

RETRY = {"Retry-After": "5"}
_OF_THE_LOG: dict[type[Exception], tuple[int, str]] = {
    UnknownProjection: (404, "projection_not_found"),
    Occupied: (409, "occupied"),
    NothingUnderWay: (409, "nothing_under_way"),
    NothingBefore: (409, "nothing_before"),
    NotPoison: (409, "not_poison"),
    SegmentMissing: (503, "segment_missing"),
    SegmentAltered: (503, "segment_altered"),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong, in the words of RFC 9457. `shape` says that the body could not be read at all."""

    status: int
    code: str
    detail: str
    faults: tuple[Invalid, ...] = ()
    shape: bool = False
    headers: dict[str, str] = field(default_factory=dict[str, str])


def problem_of(error: Exception) -> Problem | None:
    """None for what is a bug of ours."""
    match error:
        case RequestError():
            return Problem(error.status, error.code, str(error), tuple(error.faults), error.shape, dict(error.headers))
        case Unstorable(field=name, fault=fault):
            return Problem(422, "invalid", f"{name}: {fault}", (Invalid(name, fault, "give another value"),))
        case UnknownType():
            return Problem(503, "newer_event", f"{error}: ask a node of the nats3 that wrote it")
        case EventStoreError() if type(error) in _OF_THE_LOG:
            return Problem(*_OF_THE_LOG[type(error)], str(error), _faults_of(error))
        case Unavailable() | LogUnavailable() | Stopped() | SchemaMissing() | SchemaNewer():
            dependency = getattr(error, "dependency", "postgres")
            return Problem(503, "unavailable", f"{dependency} is away; try again soon", headers=RETRY)
        case _:
            return _problem_of_a_value(error)


def _problem_of_a_value(error: Exception) -> Problem | None:
    match error:
        case Invalid():
            return Problem(422, "invalid", str(error), (error,))
        case Blocked():
            return Problem(409, error.code, error.reason)
        case _:
            return None


def _faults_of(error: Exception) -> tuple[Invalid, ...]:
    match error:
        case NotPoison(poison=None):
            return (Invalid("position", "it has not stopped", "there is nothing to pass over"),)
        case NotPoison(poison=poison):
            return (Invalid("position", "it did not stop there", f"give {poison}"),)
        case _:
            return ()


def is_version_2(path: str) -> bool:
    return path.startswith("/api/v2/") or path == "/api/v2"


def answer(problem: Problem, path: str) -> Response:
    """In the words of the version that was asked."""
    if is_version_2(path):
        return _version_2(problem, path)
    if problem.shape:
        return PlainTextResponse(problem.detail, problem.status, problem.headers)
    return JSONResponse({"error": problem.detail}, problem.status, problem.headers)


def _version_2(problem: Problem, path: str) -> Response:
    body = {
        "type": f"urn:nats3:problem:{problem.code}",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        "instance": path,
        "code": problem.code,
        "errors": [{"field": fault.field, "fault": fault.fault, "remedy": fault.remedy} for fault in problem.faults],
    }
    content = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode(errors="replace")
    return Response(content, problem.status, problem.headers, "application/problem+json")
