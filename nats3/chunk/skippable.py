"""Skippable zstd frames of ours: a tag, a format version, one msgpack map and a digest of it all.

0   4  magic, little-endian          4   4  length n of what follows, little-endian
8   7  tag                           15  1  format version
16  .. msgpack map, n - 40 bytes     last 32: SHA-256 of all bytes before them
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from struct import Struct
from typing import Any

from nats3.chunk.layout import FORMAT_VERSION, MIB, DecodeError
from nats3.chunk.packed import pack, unpack_map

PREFIX = Struct("<II7sB")
DIGEST_BYTES = 32
FRAME_HEADER_BYTES = 8
_LEAST = PREFIX.size + 1 + DIGEST_BYTES


@dataclass(frozen=True, slots=True)
class Kind:
    """One use of such a frame."""

    name: str
    magic: int
    tag: bytes
    max_bytes: int


HEADER = Kind("header", 0x184D2A53, b"NATS3CH", 16 * MIB)
INDEX = Kind("index", 0x184D2A54, b"NATS3IX", 64 * MIB)


def to_frame(kind: Kind, members: dict[str, object]) -> bytes:
    body = pack(members)
    length = PREFIX.size - FRAME_HEADER_BYTES + len(body) + DIGEST_BYTES
    if FRAME_HEADER_BYTES + length > kind.max_bytes:
        raise ValueError(f"the {kind.name} of a chunk would take more than {kind.max_bytes} bytes")
    frame = PREFIX.pack(kind.magic, length, kind.tag, FORMAT_VERSION) + body
    return frame + sha256(frame).digest()


def frame_length(kind: Kind, prefix: bytes) -> int:
    """Bytes of the whole frame, out of its first 16. Raises DecodeError."""
    if len(prefix) < PREFIX.size:
        raise DecodeError(f"{len(prefix)} bytes are too few for the {kind.name} of a chunk")
    magic, length, tag, version = PREFIX.unpack_from(prefix)
    if (magic, tag) != (kind.magic, kind.tag):
        raise DecodeError(f"there is no {kind.name} of a chunk here")
    if version != FORMAT_VERSION:
        raise DecodeError(f"format version {version} is not known here, only {FORMAT_VERSION}")
    if not _LEAST <= FRAME_HEADER_BYTES + length <= kind.max_bytes:
        raise DecodeError(f"the {kind.name} says it has {length} bytes")
    return FRAME_HEADER_BYTES + length


def from_frame(kind: Kind, data: bytes) -> dict[str, Any]:
    """The map in the frame that `data` starts with. Raises DecodeError."""
    length = frame_length(kind, data)
    if len(data) < length:
        raise DecodeError(f"the {kind.name} has {length} bytes and {len(data)} are here")
    content = data[: length - DIGEST_BYTES]
    if sha256(content).digest() != data[length - DIGEST_BYTES : length]:
        raise DecodeError(f"the digest of the {kind.name} differs")
    body = content[PREFIX.size :]
    return unpack_map(body, max_array=len(body))
