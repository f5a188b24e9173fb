"""Writes chunks by docs/chunk-format.md, as an attacker would: whole in form, whatever they hold. Imports nothing of the product."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from struct import pack, unpack_from
from typing import Any

import msgpack
import zstandard

from tests.faults.chunk_reader import HEADER_MAGIC, INDEX_MAGIC, seek_table, skippable


@dataclass
class Parts:
    """A chunk taken apart: `frames` are (stored bytes, row of the index without its offset)."""

    header: dict[str, Any]
    frames: list[tuple[bytes, list[Any]]]


def apart(body: bytes) -> Parts:
    header, _ = skippable(body, 0, HEADER_MAGIC, b"NATS3CH", 16 << 20)
    index_length, _, entries, _, _ = unpack_from("<IIIBI", body, len(body) - 17)
    rows, _ = skippable(body, len(body) - (index_length + 8 + 8 * entries + 9), INDEX_MAGIC, b"NATS3IX", 64 << 20)
    return Parts(header, [(body[row[0] : row[0] + row[1]], row[1:]) for row in rows["frames"]])


def together(parts: Parts) -> bytes:
    """With digests, offsets and seek table that fit, so that only the content is wrong."""
    head = _skippable(HEADER_MAGIC, b"NATS3CH", parts.header)
    at, rows = len(head), []
    for stored, row in parts.frames:
        rows.append([at, len(stored), *row[1:7], sha256(stored).digest(), *row[8:]])
        at += len(stored)
    index = _skippable(INDEX_MAGIC, b"NATS3IX", {"frames": rows})
    return b"".join((head, *(stored for stored, _ in parts.frames), index, seek_table(len(head), rows, len(index))))


def frame_of(raw: bytes, level: int = 3) -> bytes:
    parameters = zstandard.ZstdCompressionParameters.from_level(level, write_checksum=1, write_content_size=1)
    return zstandard.ZstdCompressor(compression_params=parameters).compress(raw)


def raw_of(stored: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(stored)


def with_raw(parts: Parts, raw: bytes, **changes: Any) -> Parts:
    """One frame that holds `raw`, and a header that agrees with it but for `changes`."""
    (_, row), *_ = parts.frames
    stored = frame_of(raw)
    header = {**parts.header, "raw_bytes": len(raw), "content_sha256": sha256(raw).hexdigest(), **changes}
    return Parts(header, [(stored, [len(stored), len(raw), *row[2:]])])


def with_subject(parts: Parts, subject: bytes) -> Parts:
    """The same messages under another subject, whatever it holds."""
    said = msgpack.unpackb(raw_of(parts.frames[0][0]), raw=False)
    old = sum(len(said["subjects"][at]) for at in said["ids"])
    said["subjects"], said["ids"] = [subject], [0] * len(said["seqs"])
    size = parts.header["message_bytes"] - old + len(subject) * len(said["seqs"])
    made = with_raw(parts, msgpack.packb(said, use_bin_type=True), message_bytes=size)
    stored, row = made.frames[0]
    last = (sum(said["times"]), subject, said["headers"][-1], said["payloads"][-1])
    return Parts({**made.header, "last_fingerprint": _fingerprint(*last)}, [(stored, [*row[:8], [subject], None])])


def _fingerprint(time: int, subject: bytes, header: bytes | None, payload: bytes) -> str:
    low = bytes(byte for byte in subject if byte < 0x80)
    block = b"-" if header is None else b"+" + header
    return sha256(b"%d %d %d\n" % (time, len(low), len(payload)) + low + block + payload).hexdigest()


def _skippable(magic: int, tag: bytes, members: dict[str, Any]) -> bytes:
    body = msgpack.packb(members, use_bin_type=True)
    frame = pack("<II7sB", magic, 8 + len(body) + 32, tag, 1) + body
    return frame + sha256(frame).digest()
