"""Chunks that the Rust original wrote are read. The samples are written here by its layout, field by field."""

from __future__ import annotations

import contextlib
import json
from hashlib import sha256
from struct import pack
from typing import Any

import pytest

from nats3.chunk.layout import DecodeError, Limits
from nats3.chunk.original import read_original
from nats3.message import Batch


def u64(number: int) -> bytes:
    return pack("<Q", number)


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return u64(len(data)) + data


MESSAGES: list[dict[str, Any]] = [
    {
        "subject": "orders.new",
        "payload": list(b'{"id": 1}'),
        "headers": {"Trace": ["1", "2"], "X": ["\u00fc"]},
        "length": 60,
        "timestamp": "2024-02-29T12:00:00.123456789Z",
        "sequence": 0,
    },
    {
        "subject": "orders.\u00fc",
        "payload": list(range(256)),
        "headers": None,
        "length": 300,
        "timestamp": "2024-02-29T12:00:01Z",
        "sequence": 7,
    },
]
EXPECTED = Batch(
    [0, 7],
    [1_709_208_000_123_456_789, 1_709_208_001_000_000_000],
    [b"orders.new", b"orders.\xc3\xbc"],
    [b"NATS/1.0\r\nTrace: 1\r\nTrace: 2\r\nX: \xc3\xbc\r\n\r\n", None],
    [b'{"id": 1}', bytes(range(256))],
)


def in_bincode(message: dict[str, Any]) -> bytes:
    headers = message["headers"]
    pairs = b"\0"
    if headers is not None:
        names = [text(name) + u64(len(values)) + b"".join(map(text, values)) for name, values in headers.items()]
        pairs = b"\1" + u64(len(names)) + b"".join(names)
    tail = u64(message["length"]) + text(message["timestamp"]) + u64(message["sequence"])
    return text(message["subject"]) + text(bytes(message["payload"])) + pairs + tail


BLOCK = (
    u64(2)
    + b"".join(map(in_bincode, MESSAGES))
    + text(MESSAGES[0]["timestamp"])
    + text(MESSAGES[1]["timestamp"])
    + u64(360)
)
BIN = BLOCK + text("NATS3") + text("1.0") + text(sha256(BLOCK).digest())
PLAIN = {
    "block": {
        "messages": MESSAGES,
        "timestamp_min": MESSAGES[0]["timestamp"],
        "timestamp_max": MESSAGES[1]["timestamp"],
        "bytes_total": 360,
    },
    "magic_number": "NATS3",
    "version": "1.0",
    "hash": list(sha256(BLOCK).digest()),
}
JSON = json.dumps(PLAIN).encode()


def test_a_binary_chunk_of_the_original_is_read() -> None:
    assert read_original(BIN, "bin") == EXPECTED


def test_a_json_chunk_of_the_original_is_read() -> None:
    assert read_original(JSON, "json") == EXPECTED


def test_every_bit_flip_and_truncation_of_a_binary_chunk_is_detected() -> None:
    flipped = bytearray(BIN)
    for bit in range(len(BIN) * 8):
        flipped[bit >> 3] ^= 1 << (bit & 7)
        with pytest.raises(DecodeError):
            read_original(bytes(flipped), "bin")
        flipped[bit >> 3] ^= 1 << (bit & 7)
    for length in range(len(BIN)):
        with pytest.raises(DecodeError):
            read_original(BIN[:length], "bin")


def test_a_bit_flip_in_a_json_chunk_never_changes_a_message() -> None:
    """Some flips change nothing that is meant: a blank, the case of an escape."""
    flipped = bytearray(JSON)
    for bit in range(len(JSON) * 8):
        flipped[bit >> 3] ^= 1 << (bit & 7)
        with contextlib.suppress(DecodeError):
            assert read_original(bytes(flipped), "json") == EXPECTED
        flipped[bit >> 3] ^= 1 << (bit & 7)


def test_magic_version_and_hash_are_checked() -> None:
    for changes in ({"magic_number": "NATS4"}, {"version": "2.0"}, {"hash": [0] * 32}, {"hash": None}):
        with pytest.raises(DecodeError):
            read_original(json.dumps(PLAIN | changes).encode(), "json")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"[" * 100_000,
        b'{"block": {"messages": 5}}',
        b'{"block": {"messages": [{}]}}',
        b"\xff",
    ],
    ids=range(8),
)
def test_noise_is_no_chunk_of_the_original(body: bytes) -> None:
    with pytest.raises(DecodeError):
        read_original(body, "json")
    with pytest.raises(DecodeError):
        read_original(body, "bin")


def test_a_length_beyond_the_bytes_that_are_there_is_not_believed() -> None:
    for length in (2**64 - 1, 2**63, 10**9):
        with pytest.raises(DecodeError, match="outside of 0"):
            read_original(u64(length) + BIN[8:], "bin")


def test_an_object_that_is_too_large_is_refused() -> None:
    with pytest.raises(DecodeError, match="more than 10"):
        read_original(BIN, "bin", Limits(max_object=10))
