"""A batch becomes an object: columns, frames, index, digest, name. CPU only; meant to run in a thread.

The work is in `press`, which needs nothing of the chunk before and may run for several chunks at once. `seal` puts the
link to the previous object into the header, so it goes in order; it costs one SHA-256 of the stored bytes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import accumulate
from operator import add, lt
from typing import assert_never

from nats3.chunk import columns, head, index, jsonl
from nats3.chunk.bloom import summary
from nats3.chunk.layout import (
    FORMAT_VERSION,
    MAX_FRAME_RAW,
    MAX_FRAME_TARGET,
    ChunkHeader,
    Codec,
    Encoded,
    FrameEntry,
    Origin,
)
from nats3.chunk.object_key import Span, build_key
from nats3.chunk.packed import MAX_INT
from nats3.chunk.parquet import ParquetWriter
from nats3.chunk.zstd import Compressor
from nats3.message import Batch, fingerprint


@dataclass(frozen=True, slots=True)
class Pressed:
    """The frames of a chunk that does not know yet what it follows. The offsets count from the first frame.

    A Parquet file has row groups in their place, which its `writer` holds until it is finished.
    """

    codec: Codec
    frames: tuple[bytes, ...]
    entries: tuple[FrameEntry, ...]
    count: int
    raw_bytes: int
    message_bytes: int
    content_sha256: str
    last_fingerprint: str
    writer: ParquetWriter | None = None

    @property
    def stored_bytes(self) -> int:
        return sum(entry.stored_bytes for entry in self.entries)


def encode(
    batch: Batch, origin: Origin, codec: Codec = Codec.BINARY, level: int = 3, frame_bytes: int = 1 << 20
) -> Encoded:
    """The chunk that holds exactly this batch: `press`, then `seal`."""
    return seal(press(batch, codec, level, frame_bytes), origin)


def press(batch: Batch, codec: Codec = Codec.BINARY, level: int = 3, frame_bytes: int = 1 << 20) -> Pressed:
    """Compress the batch in frames of about `frame_bytes`. ValueError for a batch that can be no chunk."""
    ends = _checked(batch)
    compressor, content = Compressor(level), sha256()
    to_raw, writer = _writer(codec), ParquetWriter(level) if codec is Codec.PARQUET else None
    frames: list[bytes] = []
    entries: list[FrameEntry] = []
    offset = 0
    for start, stop in _cuts(ends, min(frame_bytes, MAX_FRAME_TARGET)):
        part = batch.slice(start, stop)
        raw = to_raw(part)
        if len(raw) > MAX_FRAME_RAW:
            raise ValueError(f"message {part.seqs[0]} would make a frame of {len(raw)} bytes")
        content.update(raw)
        if writer is None:
            frames.append(compressor.frame(raw))
            entries.append(_entry(part, frames[-1], len(raw), offset))
            offset += len(frames[-1])
        else:
            stored = writer.add(part)
            entries.append(replace(_entry(part, b"", len(raw), 0), stored_bytes=stored))
    return Pressed(
        codec=codec,
        frames=tuple(frames),
        entries=tuple(entries),
        count=len(batch),
        raw_bytes=sum(entry.raw_bytes for entry in entries),
        message_bytes=ends[-1],
        content_sha256=content.hexdigest(),
        last_fingerprint=fingerprint(batch[-1]),
        writer=writer,
    )


def seal(pressed: Pressed, origin: Origin) -> Encoded:
    """The whole object, linked to the one before it by `origin`. ValueError when the seqs do not follow."""
    if pressed.entries[0].first <= origin.previous_seq:
        raise ValueError(f"seq {pressed.entries[0].first} does not follow {origin.previous_seq}")
    header = _header(pressed, origin)
    body, entries = _joined(pressed, header) if pressed.writer is None else (pressed.writer.finish(header), ())
    digest = sha256(body).hexdigest()
    span = Span(header.first, header.last, header.count, header.first_time)
    return Encoded(build_key(origin, span, digest, pressed.codec), body, digest, header, entries)


def _joined(pressed: Pressed, header: ChunkHeader) -> tuple[bytes, tuple[FrameEntry, ...]]:
    """The object out of header, frames and index."""
    start = head.to_bytes(header)
    entries = tuple(replace(entry, offset=entry.offset + len(start)) for entry in pressed.entries)
    return b"".join((start, *pressed.frames, index.to_bytes(len(start), entries))), entries


def _writer(codec: Codec) -> Callable[[Batch], bytes]:
    match codec:
        case Codec.BINARY | Codec.PARQUET:
            return columns.to_raw
        case Codec.JSON:
            return jsonl.to_raw
        case _:
            assert_never(codec)


def _checked(batch: Batch) -> list[int]:
    """For each message the bytes of all up to and with it, once the batch is known to be one that can be read back."""
    lengths = {len(batch.seqs), len(batch.times), len(batch.subjects), len(batch.headers), len(batch.payloads)}
    if len(lengths) != 1 or not batch.seqs:
        raise ValueError("a chunk needs a message, and columns of one length")
    if not (batch.seqs[0] >= 1 and batch.seqs[-1] <= MAX_INT and all(map(lt, batch.seqs, batch.seqs[1:]))):
        raise ValueError("the seqs of a chunk rise from 1")
    if min(batch.times) < 0 or max(batch.times) > MAX_INT:
        raise ValueError("the times of a chunk are nanoseconds since 1970")
    blocks = (len(block) if block else 0 for block in batch.headers)
    return list(accumulate(map(add, map(add, map(len, batch.subjects), map(len, batch.payloads)), blocks)))


def _cuts(ends: list[int], frame_bytes: int) -> Iterator[tuple[int, int]]:
    """[start, stop) of each frame: as many messages as fit the target, at least one."""
    start, before = 0, 0
    while start < len(ends):
        stop = max(start + 1, bisect_right(ends, before + frame_bytes, lo=start))
        yield start, stop
        start, before = stop, ends[stop - 1]


def _entry(part: Batch, frame: bytes, raw_bytes: int, offset: int) -> FrameEntry:
    subjects, bloom = summary(part.subjects)
    return FrameEntry(
        offset=offset,
        stored_bytes=len(frame),
        raw_bytes=raw_bytes,
        count=len(part),
        first=part.seqs[0],
        last=part.seqs[-1],
        least_time=min(part.times),
        greatest_time=max(part.times),
        subjects=subjects,
        bloom=bloom,
        sha256=sha256(frame).digest(),
    )


def _header(pressed: Pressed, origin: Origin) -> ChunkHeader:
    return ChunkHeader(
        version=FORMAT_VERSION,
        codec=pressed.codec,
        origin=origin,
        first=pressed.entries[0].first,
        last=pressed.entries[-1].last,
        count=pressed.count,
        first_time=min(entry.least_time for entry in pressed.entries),
        last_time=max(entry.greatest_time for entry in pressed.entries),
        raw_bytes=pressed.raw_bytes,
        content_sha256=pressed.content_sha256,
        last_fingerprint=pressed.last_fingerprint,
        message_bytes=pressed.message_bytes,
    )
