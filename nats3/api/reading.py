"""From a request to values: the body through a pydantic model, parameters one by one."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from itertools import islice
from typing import Any, ClassVar, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails
from starlette.requests import Request

from nats3.api import strict_json
from nats3.api.errors import BadParameter, BadQuery, Misshapen, WrongMediaType
from nats3.errors import Invalid

T = TypeVar("T")

_AT_ONCE = 16_384
"""Bytes that are read within one turn of the loop."""

_MOST_FAULTS = 1000
"""Faults that are looked at: a body can be made to have hundreds of thousands."""

_MOST_NAME = 100
"""Characters of a field's name that are told."""

MAX_INT = (1 << 63) - 1

SEVERAL = frozenset({"state", "type"})
"""Parameters that may be repeated: one of the values must fit."""

_SAYS_NOTHING = re.compile(rb"\s*(\{\s*\})?\s*")

_EXPECTED = {
    "missing": ("is missing", "add it"),
    "extra_forbidden": ("is unknown", "leave it out"),
    "string_type": ("is no text", "give a text in quotes"),
    "int_type": ("is no whole number", "give a whole number without quotes"),
    "int_from_float": ("is no whole number", "give a whole number without quotes"),
    "bool_type": ("is neither true nor false", "give true or false without quotes"),
    "float_type": ("is no number", "give a number without quotes"),
    "model_type": ("is no object", "give a JSON object"),
    "model_attributes_type": ("is no object", "give a JSON object"),
}


class _Body(BaseModel):
    """`FORMS` says of a field what forms it takes; `STRANGERS` what to say of one that does not belong here."""

    FORMS: ClassVar[Mapping[str, str]] = {}
    STRANGERS: ClassVar[Mapping[str, tuple[str, str]]] = {}


class Lenient(_Body):
    """A body of version 1: unknown fields are passed over, as they always were."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class Exact(_Body):
    """A body of version 2: unknown fields are refused."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


M = TypeVar("M", bound=_Body)


async def read_body(request: Request, model: type[M]) -> M:
    """The body as a model. Raises WrongMediaType, NotJson, Misshapen."""
    return await read_as(request, lambda value: as_model(model, value))


async def read_json(request: Request) -> Any:  # noqa: ANN401 - any JSON value
    """The body as JSON. Raises WrongMediaType, NotJson."""
    return await read_as(request, lambda value: value)


async def read_as(request: Request, made: Callable[[Any], T]) -> T:
    """What `made` makes of the body as JSON; it must touch nothing else. Raises WrongMediaType, NotJson, and what it raises."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/json" and not (media.startswith("application/") and media.endswith("+json")):
        raise WrongMediaType
    return await judged(await request.body(), made, request.scope["nats3.large"])


async def judged(body: bytes, made: Callable[[Any], T], one_by_one: asyncio.Lock) -> T:
    """As read_as. Large bodies are judged one by one and off the loop, which has others to answer meanwhile."""

    def judge() -> T:
        return made(strict_json.parse(body))

    if len(body) <= _AT_ONCE:
        return judge()
    async with one_by_one:
        return await asyncio.to_thread(judge)


def as_model(model: type[M], value: Any) -> M:  # noqa: ANN401 - any JSON value
    """Raises Misshapen."""
    try:
        return model.model_validate(value)
    except ValidationError as fault:
        raise Misshapen(list(_faults(model, fault))) from None


def _faults(model: type[_Body], fault: ValidationError) -> Iterable[Invalid]:
    """One per field, and none of one that has a fault inside."""
    errors: dict[tuple[str, ...], ErrorDetails] = {}
    for error in islice(fault.errors(include_url=False), _MOST_FAULTS):
        path = tuple(str(part)[:_MOST_NAME] for part in error["loc"] if not _names_an_alternative(part))
        errors.setdefault(path, error)
    outer = {path[:depth] for path in errors for depth in range(len(path))}
    for path, error in errors.items():
        if path not in outer:
            field = ".".join(path) or "body"
            yield Invalid(field, *_said_of(model, field, error))


def _said_of(model: type[_Body], field: str, error: ErrorDetails) -> tuple[str, str]:
    """What is wrong with a field, and what would be right."""
    match error["type"]:
        case "missing":
            return _EXPECTED["missing"]
        case "extra_forbidden":
            return model.STRANGERS.get(field) or _stranger(model, field)
        case "too_long":
            return "lists too many", f"list at most {error.get('ctx', {}).get('max_length')}"
        case _ if field in model.FORMS:
            return f"{_shown(error['input'])} does not fit", model.FORMS[field]
        case "literal_error":
            choices = str(error.get("ctx", {}).get("expected", "")).replace("'", "")
            return f"{_shown(error['input'])} is none of the words known here", f"use {choices}"
        case kind:
            return _EXPECTED.get(kind, (f"does not fit: {error['msg']}", "see docs/http-api.md"))


def _stranger(model: type[_Body], field: str) -> tuple[str, str]:
    fault, remedy = _EXPECTED["extra_forbidden"]
    near = get_close_matches(field, model.model_fields, n=1, cutoff=0.75)
    return fault, f"did you mean {near[0]}? Else {remedy}" if near else remedy


def _shown(value: object) -> str:
    """A value as it was given, if it is short."""
    match value:
        case list() | dict():
            return "a list" if isinstance(value, list) else "an object"
        case str():
            return repr(value[:40])
        case _:
            return json.dumps(value)[:40]


def _names_an_alternative(part: int | str) -> bool:
    """Pydantic puts the member of a union into the path."""
    alternatives = {"str", "int", "float", "bool", "IntervalV1"}
    return isinstance(part, str) and (part in alternatives or part.startswith("literal["))


def uuid_of(field: str, text: str | None, what: str = "job") -> UUID:
    """The id of such a thing, in a path of version 2 and wherever version 1 has it. Raises BadParameter."""
    if not text:
        raise BadParameter([Invalid(field, "is missing", f"add ?{field}=<id of the {what}>")])
    found = as_uuid(text)
    if found is None:
        remedy = f"give the id that the {what} was made with"
        raise BadParameter([Invalid(field, f"{text[:60]!r} is no UUID", remedy)])
    return found


def as_uuid(text: str) -> UUID | None:
    """None for what is none."""
    try:
        return UUID(text)
    except ValueError:
        return None


def number_of(request: Request, field: str, what: str) -> int:
    """The number in the path that is the id of such a thing. Raises BadParameter."""
    text: str = request.path_params[field]
    if not (text.isascii() and text.isdigit() and len(text) <= 18):  # noqa: PLR2004 - digits of a bigint
        fault = f"{text[:40]!r} is no {what}"
        raise BadParameter([Invalid(field, fault, "give a whole number, as its list has it")])
    return int(text)


def job_id_of(request: Request) -> UUID:
    """The job in the path. Raises BadParameter."""
    return uuid_of("id", request.path_params["id"])


def given(request: Request, name: str) -> str | None:
    """A parameter that may be left out, and means one thing. Raises BadQuery."""
    values = request.query_params.getlist(name)
    if len(values) > 1:
        raise BadQuery([_repeated(request, name)])
    return values[0] if values else None


def text_of(request: Request, name: str) -> str | None:
    """A parameter that may be left out. Raises BadQuery, also for characters that no store keeps."""
    value = given(request, name)
    if value is not None and ("\0" in value or not value.isprintable()):
        raise BadQuery([Invalid(name, "holds a control character", "leave it out")])
    return value


def int_of(request: Request, name: str, default: int, least: int = 0, most: int = MAX_INT) -> int:
    """A whole number in the query. Raises BadQuery."""
    text = given(request, name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and least <= int(text) <= most):  # noqa: PLR2004 - digits of MAX_INT
        raise BadQuery([Invalid(name, f"{text[:40]!r} is out of range", f"use a whole number from {least} to {most}")])
    return int(text)


def flag_of(request: Request, name: str) -> bool:
    """`true` or `false` in the query; false where it is left out. Raises BadQuery."""
    match text_of(request, name):
        case None | "false":
            return False
        case "true":
            return True
        case text:
            raise BadQuery([Invalid(name, f"{text[:40]!r} is neither true nor false", "use true or false")])


def only(request: Request, *names: str) -> None:
    """Version 2 refuses parameters that it does not know, and what means one thing and is given twice. Raises BadQuery."""
    unknown = sorted(set(request.query_params) - set(names))
    if unknown:
        known = ", ".join(names) or "none"
        raise BadQuery([Invalid(name[:100], "is no parameter here", f"known are: {known}") for name in unknown])
    counts = Counter(name for name, _ in request.query_params.multi_items() if name not in SEVERAL)
    repeated = [_repeated(request, name) for name, count in counts.items() if count > 1]
    if repeated:
        raise BadQuery(repeated)


def _repeated(request: Request, name: str) -> Invalid:
    return Invalid(name, f"is given {len(request.query_params.getlist(name))} times", "give it once")


async def no_body(request: Request) -> None:
    """A body that says something where none is taken is refused. Raises Misshapen."""
    if not _SAYS_NOTHING.fullmatch(await request.body()):
        raise Misshapen([Invalid("body", "is not taken here", "leave it out")])
