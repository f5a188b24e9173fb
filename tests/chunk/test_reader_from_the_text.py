"""A second reader, written from docs/chunk-format.md alone, finds in an object what the text says is there."""

from __future__ import annotations

import base64
import io
import json
from hashlib import sha256
from itertools import accumulate
from pathlib import Path
from struct import unpack, unpack_from
from typing import Any

import msgpack
import pytest
import zstandard

GOLDEN = Path(__file__).parent.parent / "golden"


def marked(frame: bytes, magic: int, tag: bytes) -> dict[str, Any]:
    """Sections 2 and 4: a skippable frame with a tag, a map and a digest."""
    found_magic, n, found_tag, version = unpack_from("<II7sB", frame)
    assert (found_magic, found_tag, version, len(frame)) == (magic, tag, 1, n + 8)
    assert sha256(frame[:-32]).digest() == frame[n - 24 : n + 8]
    return msgpack.unpackb(frame[16 : 16 + n - 40], raw=False)


def block_of(line: dict[str, Any]) -> bytes | None:
    if "header_block_b64" in line:
        return base64.b64decode(line["header_block_b64"])
    if "headers" not in line:
        return None
    return b"NATS/1.0\r\n" + "".join(f"{name}: {value}\r\n" for name, value in line["headers"]).encode() + b"\r\n"


def part_of(line: dict[str, Any], name: str) -> bytes:
    return line[name].encode() if name in line else base64.b64decode(line[name + "_b64"])


def messages_of(codec: str, content: bytes) -> list[tuple[Any, ...]]:
    """Section 3."""
    if codec == "json":
        lines = [json.loads(line) for line in content.splitlines()]
        return [
            (line["seq"], line["time"], part_of(line, "subject"), block_of(line), part_of(line, "data"))
            for line in lines
        ]
    frame = msgpack.unpackb(content, raw=False)
    assert list(frame) == ["seqs", "times", "subjects", "ids", "headers", "payloads"]
    subjects = [frame["subjects"][place] for place in frame["ids"]]
    seqs, times = accumulate(frame["seqs"]), accumulate(frame["times"])
    return list(zip(seqs, times, subjects, frame["headers"], frame["payloads"], strict=True))


def fingerprint_of(message: tuple[Any, ...]) -> str:
    _, time, subject, block, payload = message
    ascii_part = bytes(byte for byte in subject if byte < 0x80)
    start = f"{time} {len(ascii_part)} {len(payload)}\n".encode() + ascii_part
    return sha256(start + (b"-" if block is None else b"+" + block) + payload).hexdigest()


def in_bloom(bits: bytes, subject: bytes) -> bool:
    words = unpack("<4I", sha256(subject).digest()[:16])
    return all(bits[word % (len(bits) * 8) // 8] >> (word % 8) & 1 for word in words)


@pytest.mark.parametrize("name", ["v1.n3c", "v1.ndjson.zst"])
def test_an_object_is_as_the_text_says(name: str) -> None:
    body = (GOLDEN / name).read_bytes()
    header_bytes = unpack_from("<I", body, 4)[0] + 8
    header = marked(body[:header_bytes], 0x184D2A53, b"NATS3CH")
    i, zero, e, flags, magic = unpack("<IIIBI", body[-17:])
    assert (zero, flags, magic) == (0, 0, 0x8F92EAB1)
    table = body[-(8 + 8 * e + 9) :]
    index = marked(body[-len(table) - i : -len(table)], 0x184D2A54, b"NATS3IX")["frames"]
    expected = [(header_bytes, 0), *((entry[1], entry[2]) for entry in index), (i, 0)]
    assert unpack_from("<II", table) == (0x184D2A5E, len(table) - 8)
    assert [unpack_from("<II", table, 8 + 8 * at) for at in range(e)] == expected

    content, messages = sha256(), []
    at = header_bytes
    for offset, stored, raw, count, first, last, least, greatest, digest, subjects, bloom in index:
        frame = body[offset : offset + stored]
        assert (offset, sha256(frame).digest()) == (at, digest)
        at += stored
        plain = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(frame)).read()
        assert len(plain) == raw
        content.update(plain)
        found = messages_of(header["codec"], plain)
        assert (len(found), found[0][0], found[-1][0]) == (count, first, last)
        assert (min(m[1] for m in found), max(m[1] for m in found)) == (least, greatest)
        if subjects is not None:
            assert (subjects, bloom) == (list(dict.fromkeys(m[2] for m in found)), None)
        else:
            assert all(in_bloom(bloom, message[2]) for message in found)
            assert not in_bloom(bloom, b"golden.none")
        messages += found
    assert at == len(body) - len(table) - i

    assert content.hexdigest() == header["content_sha256"]
    assert (len(messages), messages[0][0], messages[-1][0]) == (header["count"], header["first"], header["last"])
    assert (min(m[1] for m in messages), max(m[1] for m in messages)) == (header["first_time"], header["last_time"])
    assert fingerprint_of(messages[-1]) == header["last_fingerprint"]
    assert sum(len(m[2]) + len(m[3] or b"") + len(m[4]) for m in messages) == header["message_bytes"]
    assert header["raw_bytes"] == sum(entry[2] for entry in index)
    assert header["gaps"] == [2, 0, 2, 1]
    assert header["life"]["left"] == [[2, "ab" * 32]]
    assert (header["date_floor"], header["previous_seq"]) == ("2023-11-15", 4)
