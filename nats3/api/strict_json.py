"""JSON from outside: read so that it means the same to everyone, within limits, or refused with a reason."""

from __future__ import annotations

import json
import re
from typing import Any

from nats3.api.errors import NotJson

MAX_DEPTH = 32
MAX_DIGITS = 40
MAX_MEMBERS = 1000

_UNKEPT = re.compile(r"[\x00\ud800-\udfff]")
_MARKS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)
"""A text, or a bracket. One that never ends is a text up to the end: else each quote in it would be tried as a beginning."""


def parse(body: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """The value of a body. Raises NotJson."""
    _check_depth(body)
    try:
        text = body.decode()
        return json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=_float,
            parse_int=_int,
        )
    except UnicodeDecodeError as fault:
        raise NotJson(f"byte {fault.start} of the body is no UTF-8; send JSON in UTF-8") from None
    except json.JSONDecodeError as fault:
        raise NotJson(f"the body is no JSON: {fault.msg} at line {fault.lineno} column {fault.colno}") from None


def _check_depth(body: bytes) -> None:
    depth = 0
    for found in _MARKS.finditer(body):
        mark = found[0]
        if mark in (b"[", b"{"):
            depth += 1
            if depth > MAX_DEPTH:
                raise NotJson(f"the body is nested deeper than {MAX_DEPTH}; send it flatter")
        elif mark in (b"]", b"}"):
            depth -= 1


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > MAX_MEMBERS:
        raise NotJson(f"an object has more than {MAX_MEMBERS} fields; send less")
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise NotJson(f"the field {key[:100]!r} stands there twice; send it once")
        check_text(key)
        _check_texts(value)
        result[key] = value
    return result


def _check_texts(value: Any) -> None:  # noqa: ANN401 - any JSON value; objects inside were checked when they were read
    if isinstance(value, str):
        check_text(value)
    elif isinstance(value, list):
        for item in value:
            _check_texts(item)


def check_text(text: str) -> None:
    """Raise NotJson for characters that no store keeps as they are."""
    found = _UNKEPT.search(text)
    if found is None:
        return
    if found[0] == "\0":
        raise NotJson("a text holds a NUL character; leave it out")
    raise NotJson("a text holds half of a surrogate pair; send whole characters")


def _constant(name: str) -> Any:  # noqa: ANN401 - never returns
    raise NotJson(f"{name} is no JSON; send a number or null")


def _float(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise NotJson("a number is larger than any number here; send a smaller one")
    return value


def _int(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise NotJson(f"a number has more than {MAX_DIGITS} digits; send a smaller one")
    return int(text)
