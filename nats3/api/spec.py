"""What a route takes and what it answers, as values: the OpenAPI document and the page of it are made from these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel

Schema: TypeAlias = type[BaseModel] | Mapping[str, Any]

JSON = "application/json"
PROBLEM = "application/problem+json"
NDJSON = "application/x-ndjson"
SSE = "text/event-stream"
TEXT = "text/plain"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A value in the query or in a header; those in the path stand in the path."""

    name: str
    about: str
    schema: Mapping[str, Any]
    where: Literal["query", "header"] = "query"
    required: bool = False


@dataclass(frozen=True, slots=True)
class Takes:
    """A JSON body. `optional` says that it may be left out."""

    schema: Schema
    examples: Mapping[str, Any]
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """One way to succeed, or to fail otherwise than all routes do. `contents` are schemas by media type, none where the body is empty."""

    status: int
    about: str
    contents: Mapping[str, Schema | None]
    headers: tuple[str, ...] = ()
    example: Any = None


@dataclass(frozen=True, slots=True)
class Says:
    """`refuses` are the statuses beside those that every route of its version may answer."""

    answers: tuple[Answer, ...]
    query: tuple[Parameter, ...] = ()
    takes: Takes | None = None
    refuses: tuple[int, ...] = ()
    headers: tuple[Parameter, ...] = ()


def text(about: str, name: str, **more: Any) -> Parameter:  # noqa: ANN401 - any keyword of JSON Schema
    """A text in the query."""
    return Parameter(name, about, {"type": "string", **more})


def number(about: str, name: str, least: int = 0, most: int = (1 << 63) - 1) -> Parameter:
    """A whole number in the query."""
    return Parameter(name, about, {"type": "integer", "minimum": least, "maximum": most})


def flag(about: str, name: str) -> Parameter:
    """`true` or `false` in the query."""
    return Parameter(name, about, {"type": "string", "enum": ["true", "false"]})


def json_answer(status: int, about: str, schema: Schema, *headers: str, example: Any = None) -> Answer:  # noqa: ANN401 - JSON
    return Answer(status, about, {JSON: schema}, headers, example)


MIN_POSITION = number(
    "Wait up to 2 s until the view has reached this position of the log, else 503 `stale`.", "min_position"
)
LIMIT = number("At most so many items.", "limit", 1, 1000)
AS_OF = text("A position (inclusive) or a time (RFC 3339).", "as_of", examples=["2026-11-23T12:00:00Z"])
IF_MATCH = Parameter(
    "If-Match", "The ETag that you saw: another version is answered 412.", {"type": "string"}, "header"
)
IDEMPOTENCY = Parameter(
    "Idempotency-Key",
    "The same request under the same key is done once within 24 h, however often and at whichever node it is sent.",
    {"type": "string", "minLength": 1, "maxLength": 255},
    "header",
)
LAST_EVENT_ID = Parameter(
    "Last-Event-ID", "Follow behind this position.", {"type": "string", "pattern": "^[0-9]{1,18}$"}, "header"
)
