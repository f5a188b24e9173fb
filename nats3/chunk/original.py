"""Chunks of the Rust original, `.bin` and `.json`, as batches. They are read, never written.

A chunk there is a block (messages, least and greatest timestamp, bytes), the word NATS3, a version and the SHA-256 of the
block in bincode's legacy layout: little-endian, 64-bit lengths, an option as one byte. Its seqs are 0 and its times those
of the flush where the original found no headers to take them from, which is the rule; so seqs may be equal here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from struct import Struct
from typing import Any, Literal, cast

from nats3.chunk.layout import DecodeError, Limits
from nats3.chunk.packed import MAX_INT
from nats3.message import Batch

MAGIC, VERSION = "NATS3", "1.0"

_U64 = Struct("<Q")
_TIMESTAMP = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?(Z|[+-]\d{2}:\d{2})", re.ASCII)
_DEFAULT_LIMITS = Limits()
_ERRORS = (ValueError, TypeError, KeyError, OverflowError, RecursionError)

Headers = list[tuple[str, list[str]]]


def read_original(body: bytes, extension: Literal["bin", "json"], limits: Limits = _DEFAULT_LIMITS) -> Batch:
    """The messages of one object, its hash verified. Raises DecodeError."""
    if len(body) > limits.max_object:
        raise DecodeError(f"the object has {len(body)} bytes, more than {limits.max_object}")
    try:
        return (_Bincode(body).chunk if extension == "bin" else _Json(body).chunk)()
    except _ERRORS as error:
        raise DecodeError(f"this is no chunk of the original: {error}") from error


def _append(batch: Batch, subject: str, headers: Headers | None, payload: bytes, timestamp: str, seq: int) -> None:
    batch.subjects.append(subject.encode())
    batch.headers.append(None if headers is None else _block(headers))
    batch.payloads.append(payload)
    batch.times.append(_nanoseconds(timestamp))
    batch.seqs.append(_within(seq, MAX_INT))


def _block(headers: Headers) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, values in headers for value in values)
    return b"NATS/1.0\r\n" + lines.encode() + b"\r\n"


def _nanoseconds(timestamp: str) -> int:
    found = _TIMESTAMP.fullmatch(timestamp)
    if not found:
        raise ValueError(f"{timestamp!r:.50} is no timestamp")
    second = datetime.fromisoformat(found[1] + found[3].replace("Z", "+00:00")).astimezone(UTC)
    whole = int((second - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
    return _within(whole * 1_000_000_000 + int((found[2] or "").ljust(9, "0")), MAX_INT)


def _within(number: int, greatest: int) -> int:
    if not 0 <= number <= greatest:
        raise ValueError(f"{number} is outside of 0 to {greatest}")
    return number


def _check(magic: str, version: str, told: bytes, computed: bytes) -> None:
    if (magic, version) != (MAGIC, VERSION):
        raise ValueError(f"it calls itself {magic!r:.20} {version!r:.20}")
    if told != computed:
        raise ValueError("its hash differs")


class _Bincode:
    """Reads one value after the other; no length is believed beyond the bytes that are there."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def chunk(self) -> Batch:
        batch = Batch()
        for _ in range(self._length()):
            self._message(batch)
        _, _, _ = self._text(), self._text(), self._u64()
        block = sha256(memoryview(self._body)[: self._at]).digest()
        _check(self._text(), self._text(), self._bytes(), block)
        if self._at != len(self._body):
            raise ValueError("bytes follow its end")
        return batch

    def _message(self, batch: Batch) -> None:
        subject, payload = self._text(), self._bytes()
        headers = self._headers() if self._option() else None
        _ = self._u64()
        _append(batch, subject, headers, payload, self._text(), self._u64())

    def _headers(self) -> Headers:
        return [(self._text(), [self._text() for _ in range(self._length())]) for _ in range(self._length())]

    def _take(self, count: int) -> bytes:
        taken = self._body[self._at : self._at + count]
        if len(taken) != count:
            raise ValueError("it ends too early")
        self._at += count
        return taken

    def _u64(self) -> int:
        return cast("int", _U64.unpack(self._take(8))[0])

    def _length(self) -> int:
        return _within(self._u64(), len(self._body) - self._at)

    def _bytes(self) -> bytes:
        return self._take(self._length())

    def _text(self) -> str:
        return self._bytes().decode()

    def _option(self) -> bool:
        return _within(self._take(1)[0], 1) == 1


class _Json:
    """The same out of JSON. The hash covers the block in bincode, so it is written that way once more."""

    def __init__(self, body: bytes) -> None:
        self._chunk: dict[str, Any] = _typed(json.loads(body), dict)
        self._digest = sha256()

    def chunk(self) -> Batch:
        block: dict[str, Any] = _typed(self._chunk["block"], dict)
        messages: list[dict[str, Any]] = _typed(block["messages"], list)
        batch = Batch()
        self._number(len(messages))
        for message in messages:
            self._message(batch, _typed(message, dict))
        self._text(block["timestamp_min"])
        self._text(block["timestamp_max"])
        self._number(block["bytes_total"])
        told = bytes(_typed(self._chunk["hash"], list))
        _check(self._chunk["magic_number"], self._chunk["version"], told, self._digest.digest())
        return batch

    def _message(self, batch: Batch, message: dict[str, Any]) -> None:
        subject, payload = _typed(message["subject"], str), bytes(_typed(message["payload"], list))
        headers = self._headers(message["headers"])
        _append(batch, subject, headers, payload, message["timestamp"], _typed(message["sequence"], int))
        self._text(subject)
        self._data(payload)
        if headers is None:
            self._digest.update(b"\0")
        else:
            self._digest.update(b"\1")
            self._all(headers, self._header)
        self._number(message["length"])
        self._text(message["timestamp"])
        self._number(message["sequence"])

    def _headers(self, members: Any) -> Headers | None:  # noqa: ANN401 - checked here
        if members is None:
            return None
        pairs: dict[str, Any] = _typed(members, dict)
        return [(name, [_typed(value, str) for value in _typed(values, list)]) for name, values in pairs.items()]

    def _header(self, header: tuple[str, list[str]]) -> None:
        self._text(header[0])
        self._all(header[1], self._text)

    def _all(self, values: list[Any], write: Callable[[Any], None]) -> None:
        self._number(len(values))
        for value in values:
            write(value)

    def _text(self, text: Any) -> None:  # noqa: ANN401 - checked here
        self._data(_typed(text, str).encode())

    def _data(self, data: bytes) -> None:
        self._number(len(data))
        self._digest.update(data)

    def _number(self, number: Any) -> None:  # noqa: ANN401 - checked here
        self._digest.update(_U64.pack(_within(_typed(number, int), (1 << 64) - 1)))


def _typed(value: Any, kind: type) -> Any:  # noqa: ANN401 - just checked
    if type(value) is not kind:
        raise TypeError(f"{value!r:.40} is no {kind.__name__}")
    return value
