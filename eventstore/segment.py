"""One segment: a range of the log as bytes that say what they are, and that anyone can read with zstd and a JSON reader.

A zstd skippable frame with a JSON object (the header), then one zstd frame of one JSON object per event and line. Keys
are sorted, there are no blanks: equal rows are equal bytes under one version of the compressor.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID

import zstandard

from eventstore.errors import SegmentAltered
from eventstore.event import Fence, Position, Recorded, Version, canonical

FORMAT = 1
LARGEST = 1 << 31
"""Bytes of a segment before compression that are ever made of it again."""

_SKIPPABLE = 0x184D2A5E
_FRAME = struct.Struct("<II")
_LEVEL = 9
_BROKEN = (ValueError, TypeError, KeyError, AttributeError, struct.error, zstandard.ZstdError)


class Row(NamedTuple):
    """An event of the log with the hash that chains it to the one before of its entity: all columns."""

    event: Recorded
    hash: bytes


@dataclass(frozen=True, slots=True)
class Header:
    """What a segment says of itself: all events with `from_position` <= position < `to_position` of the log `log_id`.

    `lines_sha256` is hex, over the lines before compression.
    """

    log_id: str
    from_position: int
    to_position: int
    events: int
    lines_bytes: int
    lines_sha256: str
    format: int = FORMAT


def encode(log_id: UUID, from_position: int, to_position: int, rows: Sequence[Row]) -> bytes:
    """The segment of these rows, which are all of [from_position, to_position), in order."""
    lines = b"".join(line(row) for row in rows)
    header = Header(str(log_id), from_position, to_position, len(rows), len(lines), sha256(lines).hexdigest())
    said = canonical(asdict(header)).encode()
    packed = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True, write_content_size=True).compress(lines)
    return _FRAME.pack(_SKIPPABLE, len(said)) + said + packed


def decode(name: str, body: bytes) -> tuple[Header, list[Row]]:
    """Header and rows of the segment `name`. Raises SegmentAltered for anything but what `encode` makes."""
    try:
        header, packed = _opened(body)
        lines = _unpacked(header, packed)
        rows = [row_of(each) for each in lines.splitlines()]
    except _BROKEN as fault:
        raise SegmentAltered(name, f"{type(fault).__name__}: {fault}") from fault
    if len(rows) != header.events:
        raise SegmentAltered(name, f"it has {len(rows)} events and says {header.events}")
    return header, rows


def _opened(body: bytes) -> tuple[Header, bytes]:
    mark, size = _FRAME.unpack_from(body)
    if mark != _SKIPPABLE:
        raise ValueError("it does not begin as a segment")
    header = Header(**json.loads(body[_FRAME.size : _FRAME.size + size]))
    if header.format != FORMAT:
        raise ValueError(f"it is of format {header.format}, this program reads {FORMAT}")
    return header, body[_FRAME.size + size :]


def _unpacked(header: Header, packed: bytes) -> bytes:
    if not 0 <= header.lines_bytes <= LARGEST:
        raise ValueError(f"it says to hold {header.lines_bytes} bytes")
    if zstandard.frame_content_size(packed) != header.lines_bytes:
        raise ValueError("its size is not the one that it says")
    lines = zstandard.ZstdDecompressor().decompress(packed, max_output_size=header.lines_bytes)
    if sha256(lines).hexdigest() != header.lines_sha256:
        raise ValueError("its lines are not those that were written")
    return lines


def line(row: Row) -> bytes:
    """A row as one line of JSON."""
    event = row.event
    said: dict[str, Any] = {
        **event._asdict(),
        "event_id": str(event.event_id),
        "recorded_at": event.recorded_at.astimezone(UTC).isoformat(timespec="microseconds"),
        "node": str(event.node),
        "correlation_id": None if event.correlation_id is None else str(event.correlation_id),
        "hash": row.hash.hex(),
    }
    return json.dumps(said, ensure_ascii=True, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def row_of(text: bytes) -> Row:
    """The row that `line` made this of."""
    said: dict[str, Any] = json.loads(text)
    correlation = said["correlation_id"]
    event = Recorded(
        position=Position(said["position"]),
        entity_id=said["entity_id"],
        version=Version(said["version"]),
        fence=Fence(said["fence"]),
        type=said["type"],
        schema_version=said["schema_version"],
        event_id=UUID(said["event_id"]),
        recorded_at=datetime.fromisoformat(said["recorded_at"]),
        node=UUID(said["node"]),
        actor=said["actor"],
        correlation_id=None if correlation is None else UUID(correlation),
        causation_position=said["causation_position"],
        data=said["data"],
    )
    return Row(event, bytes.fromhex(said["hash"]))
