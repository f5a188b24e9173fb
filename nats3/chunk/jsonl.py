"""Codec `json`: one JSON object per line, lossless. A text form is used only where it gives every byte back."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from typing import Any, cast

from nats3.chunk.layout import DecodeError
from nats3.chunk.packed import whole
from nats3.message import Batch

_STATUS_LINE = b"NATS/1.0\r\n"
_encode = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode


def to_raw(batch: Batch) -> bytes:
    return "".join(map(_line, batch.seqs, batch.times, batch.subjects, batch.headers, batch.payloads)).encode()


def from_raw(raw: bytes, count: int) -> Batch:
    """The `count` messages of a frame. Raises DecodeError."""
    if raw.count(b"\n") != count or not raw.endswith(b"\n"):
        raise DecodeError(f"a frame of {len(raw)} bytes does not hold {count} lines")
    batch = Batch()
    try:
        for line in raw.split(b"\n")[:-1]:
            _append(batch, json.loads(line))
    except (ValueError, TypeError, RecursionError) as error:
        raise DecodeError(f"a line is not as the format wants it: {error}") from error
    return batch


def _line(seq: int, time: int, subject: bytes, header: bytes | None, payload: bytes) -> str:
    members: dict[str, object] = {"seq": seq, "time": time}
    members |= _text_or_base64("subject", subject)
    if header is not None:
        pairs = pairs_of(header)
        members |= {"header_block_b64": _base64(header)} if pairs is None else {"headers": pairs}
    members |= _text_or_base64("data", payload)
    return _encode(members) + "\n"


def _text_or_base64(name: str, data: bytes) -> dict[str, object]:
    """As text where that gives every byte back and is no longer than base64 would be."""
    text = _text(data)
    if text is not None and _escapes(data) * 3 <= len(data):
        return {name: text}
    return {name + "_b64": _base64(data)}


def _escapes(data: bytes) -> int:
    """How many bytes JSON adds: one for a character with a short escape, five for any other control character."""
    without_short = data.translate(None, _SHORT_ESCAPES)
    return len(data) - len(without_short) + 5 * (len(without_short) - len(without_short.translate(None, _CONTROLS)))


_SHORT_ESCAPES = b'"\\\b\t\n\f\r'
_CONTROLS = bytes(range(0x20))


def _text(data: bytes) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _base64(data: bytes) -> str:
    return b64encode(data).decode()


def pairs_of(block: bytes) -> list[list[str]] | None:
    """Names and values when they say all of the block; None when it has to be kept as it is."""
    text = _text(block)
    if text is None:
        return None
    pairs = [line.split(": ", 1) for line in text[len(_STATUS_LINE) : -4].split("\r\n")]
    if text == "NATS/1.0\r\n\r\n":
        return []
    return pairs if all(len(pair) == 2 for pair in pairs) and block_of(pairs) == block else None  # noqa: PLR2004 - name and value


def block_of(pairs: list[list[str]]) -> bytes:
    """The block that these names and values mean."""
    return _STATUS_LINE + "".join(f"{name}: {value}\r\n" for name, value in pairs).encode() + b"\r\n"


def _append(batch: Batch, members: Any) -> None:  # noqa: ANN401 - checked here
    """One line into the columns. Raises ValueError or TypeError, or DecodeError."""
    if not isinstance(members, dict):
        raise TypeError("it is no object")
    fields = cast("dict[str, Any]", members)
    batch.seqs.append(whole("seq", fields.pop("seq", None), 1))
    batch.times.append(whole("time", fields.pop("time", None)))
    batch.subjects.append(_bytes("subject", fields))
    batch.headers.append(_header(fields))
    batch.payloads.append(_bytes("data", fields))
    if fields:
        raise ValueError(f"unknown member {min(fields)!r}")


def _bytes(name: str, fields: dict[str, Any]) -> bytes:
    if name in fields:
        return cast("str", _typed(fields.pop(name), str)).encode()
    return b64decode(_typed(fields.pop(name + "_b64", None), str), validate=True)


def _header(fields: dict[str, Any]) -> bytes | None:
    if "headers" in fields:
        pairs = _typed(fields.pop("headers"), list)
        return block_of([[_typed(part, str) for part in _typed(pair, list)] for pair in pairs])
    if "header_block_b64" in fields:
        return b64decode(_typed(fields.pop("header_block_b64"), str), validate=True)
    return None


def _typed(value: Any, kind: type) -> Any:  # noqa: ANN401 - just checked
    if type(value) is not kind:
        raise TypeError(f"{value!r:.40} is no {kind.__name__}")
    return value
