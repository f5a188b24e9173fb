"""An object becomes a batch again, or DecodeError: nothing of it may be used before all of it is proven.

Whole: `decode`. In parts, by ranged reads: the first bytes give `read_header`, the last ones `tail_length` and
`read_index`, and `decode_frame` one frame of it. What is read in parts is proven by the digests of header, index and
frame, not by that of the object.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256 as sha256_of
from typing import assert_never

from nats3.chunk import columns, jsonl
from nats3.chunk.bloom import may_hold
from nats3.chunk.head import PREFIX_BYTES, header_length, read_header
from nats3.chunk.index import END_BYTES, read_index, tail_length
from nats3.chunk.layout import ChunkHeader, Codec, Decoded, DecodeError, FrameEntry, Limits
from nats3.chunk.parquet import MAGIC as PARQUET_MAGIC
from nats3.chunk.parquet import read_parquet
from nats3.chunk.zstd import Decompressor
from nats3.message import Batch, fingerprint
from nats3.selection import Selection

__all__ = [
    "END_BYTES",
    "PREFIX_BYTES",
    "decode",
    "decode_frame",
    "frames_of",
    "header_length",
    "read_header",
    "read_index",
    "tail_length",
]

DEFAULT_LIMITS = Limits()


def decode(body: bytes, sha256: str | None = None, limits: Limits = DEFAULT_LIMITS) -> Decoded:
    """All messages of an object, every byte of it verified. `sha256` is the recorded hex digest of the object.

    Raises DecodeError. Holds `body`, the batch and one raw frame at a time.
    """
    if len(body) > limits.max_object:
        raise DecodeError(f"the object has {len(body)} bytes, more than {limits.max_object}")
    if sha256 is not None and sha256_of(body).hexdigest() != sha256:
        raise DecodeError("the SHA-256 of the object differs from the recorded one")
    if body.startswith(PARQUET_MAGIC):
        return _decode_parquet(body, limits)
    header = read_header(body)
    entries = read_index(body, len(body))
    if entries[0].offset != header_length(body):
        raise DecodeError("the first frame does not follow the header")
    _check_totals(header, entries, limits)
    batch = _read_frames(body, header, entries, limits)
    _check_described(header, batch)
    return Decoded(header, batch, entries)


def _decode_parquet(body: bytes, limits: Limits) -> Decoded:
    """As `decode`. What is hashed is what codec `binary` would have for each row group."""
    header, groups = read_parquet(body, limits)
    content, batch, raw_bytes = sha256_of(), Batch(), 0
    for group in groups:
        raw = columns.to_raw(group)
        content.update(raw)
        raw_bytes += len(raw)
        batch.extend(group)
    told = (header.count, header.raw_bytes, header.content_sha256, header.first, header.last)
    if (len(batch), raw_bytes, content.hexdigest(), batch.seqs[0], batch.seqs[-1]) != told:
        raise DecodeError("the messages are not those that the header describes")
    if (min(batch.times), max(batch.times)) != (header.first_time, header.last_time):
        raise DecodeError("the messages have other times than the header says")
    if min(columns.deltas(batch.seqs)) < 1:
        raise DecodeError("the seqs of a chunk do not rise")
    _check_described(header, batch)
    return Decoded(header, batch, ())


def _check_described(header: ChunkHeader, batch: Batch) -> None:
    _check_gaps(header, batch)
    if batch.raw_bytes() != header.message_bytes or fingerprint(batch[-1]) != header.last_fingerprint:
        raise DecodeError("the messages are not those that the header describes")


def decode_frame(
    data: bytes | memoryview, entry: FrameEntry, codec: Codec = Codec.BINARY, limits: Limits = DEFAULT_LIMITS
) -> Batch:
    """The messages of one frame, whose stored bytes are `data`. Raises DecodeError."""
    return _messages(_raw(data, entry, Decompressor(), limits), entry, _reader(codec))


def frames_of(entries: Sequence[FrameEntry], selection: Selection) -> list[FrameEntry]:
    """The frames that may hold a selected message; the others need not be fetched."""
    return [entry for entry in entries if selection.touches(entry.bounds()) and _may_hold(entry, selection)]


def _may_hold(entry: FrameEntry, selection: Selection) -> bool:
    """Ask the frame's Bloom filter, which knows literal subjects only."""
    if entry.bloom is None or not selection.subjects:
        return True
    return any(
        "*" in subject or ">" in subject or may_hold(entry.bloom, subject.encode()) for subject in selection.subjects
    )


def _reader(codec: Codec) -> Callable[[bytes, int], Batch]:
    match codec:
        case Codec.BINARY:
            return columns.from_raw
        case Codec.PARQUET:
            raise DecodeError("a Parquet file has no frames")
        case Codec.JSON:
            return jsonl.from_raw
        case _:
            assert_never(codec)


def _check_totals(header: ChunkHeader, entries: Sequence[FrameEntry], limits: Limits) -> None:
    """The index and the header tell the same story, and one that fits the limits."""
    told = (
        sum(entry.count for entry in entries),
        sum(entry.raw_bytes for entry in entries),
        entries[0].first,
        entries[-1].last,
        min(entry.least_time for entry in entries),
        max(entry.greatest_time for entry in entries),
    )
    if told != (header.count, header.raw_bytes, header.first, header.last, header.first_time, header.last_time):
        raise DecodeError("header and index contradict each other")
    if header.raw_bytes > limits.max_raw or header.count > limits.max_count:
        raise DecodeError(f"{header.count} messages in {header.raw_bytes} raw bytes are more than this reader takes")


def _read_frames(body: bytes, header: ChunkHeader, entries: Sequence[FrameEntry], limits: Limits) -> Batch:
    view, content, batch = memoryview(body), sha256_of(), Batch()
    decompressor, reader = Decompressor(), _reader(header.codec)
    for entry in entries:
        raw = _raw(view[entry.offset : entry.offset + entry.stored_bytes], entry, decompressor, limits)
        content.update(raw)
        batch.extend(_messages(raw, entry, reader))
    if content.hexdigest() != header.content_sha256:
        raise DecodeError("the SHA-256 of the content differs from the header's")
    return batch


def _raw(data: bytes | memoryview, entry: FrameEntry, decompressor: Decompressor, limits: Limits) -> bytes:
    if len(data) != entry.stored_bytes or sha256_of(data).digest() != entry.sha256:
        raise DecodeError(f"the frame with seqs {entry.first} to {entry.last} is not the one in the index")
    if entry.raw_bytes > limits.max_frame or entry.count > limits.max_count:
        raise DecodeError(f"a frame of {entry.raw_bytes} bytes is larger than this reader takes")
    return decompressor.raw(data, entry.raw_bytes)


def _messages(raw: bytes, entry: FrameEntry, reader: Callable[[bytes, int], Batch]) -> Batch:
    batch = reader(raw, entry.count)
    if len(batch) != entry.count:
        raise DecodeError(f"a frame holds {len(batch)} messages and the index says {entry.count}")
    told = (batch.seqs[0], batch.seqs[-1], min(batch.times), max(batch.times))
    if told != (entry.first, entry.last, entry.least_time, entry.greatest_time):
        raise DecodeError("a frame holds other seqs or times than the index says")
    if min(columns.deltas(batch.seqs)) < 1:
        raise DecodeError("the seqs of a frame do not rise")
    _check_subjects(set(batch.subjects), entry)
    return batch


def _check_subjects(held: set[bytes], entry: FrameEntry) -> None:
    """An index that hides a subject would make a selection skip its messages."""
    if entry.subjects is not None:
        honest = held == set(entry.subjects)
    else:
        honest = entry.bloom is not None and all(may_hold(entry.bloom, subject) for subject in held)
    if not honest:
        raise DecodeError("a frame holds other subjects than the index says")


def _check_gaps(header: ChunkHeader, batch: Batch) -> None:
    seqs = set(batch.seqs) if header.origin.gaps else set[int]()
    if any(not seqs.isdisjoint(range(start, stop + 1)) for start, stop in header.origin.gaps):
        raise DecodeError("a message lies in a gap of the header")
