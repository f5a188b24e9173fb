"""Part of a chunk by ranged reads: its header, its index, and the frames that may hold what is wanted.

Every byte that is used is proven: header and index by the digests in them and against what the log recorded, each frame by
its digest in the index. What is not fetched is not: the SHA-256 of the object, its order and its end are the matter of
whole reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from nats3.chunk.decode import (
    END_BYTES,
    PREFIX_BYTES,
    decode_frame,
    frames_of,
    header_length,
    read_header,
    read_index,
    tail_length,
)
from nats3.chunk.layout import ChunkHeader, Codec, DecodeError, FrameEntry
from nats3.job.storing import ChunkFlushed
from nats3.message import Batch
from nats3.objects.store import Readable
from nats3.selection import Bounds, Selection
from nats3.work.tools import InThread

WHOLE_BYTES = 256 * 1024
"""A smaller object is read whole, in one request."""

_IN_FRAMES = {Codec.BINARY.value, Codec.JSON.value}
"""Codecs of which a part proves itself. Of a Parquet file only the whole does (docs/decisions/0514)."""

_HEAD_BYTES = 4096
_TAIL_BYTES = 16 * 1024
"""Guesses, so that header and index usually come with one request each."""


def worth_it(flushed: ChunkFlushed, selection: Selection) -> bool:
    """Whether the selection may leave frames out of an object that has some, and is large enough to care."""
    large = flushed.codec in _IN_FRAMES and flushed.stored_bytes > WHOLE_BYTES
    return large and not takes_all(selection, flushed)


def takes_all(selection: Selection, flushed: ChunkFlushed) -> bool:
    """Whether no message of the chunk is left out for its seq, time or subject, as far as the record tells."""
    bounds = Bounds(flushed.first, flushed.last, flushed.first_time, flushed.last_time)
    outside = (
        selection.first_seq is not None and selection.first_seq > bounds.first,
        selection.last_seq is not None and selection.last_seq < bounds.last,
        selection.from_time is not None and selection.from_time > bounds.least_time,
        selection.to_time is not None and selection.to_time <= bounds.greatest_time,
    )
    return not selection.subjects and not any(outside)


class RangedChunk:
    """One recorded object of frames, read in parts. Raises ObjectMissing, ObjectShort, DecodeError."""

    def __init__(self, objects: Readable, flushed: ChunkFlushed, in_thread: InThread) -> None:
        self._flushed = flushed
        self._in_thread = in_thread
        self._get = partial(objects.get, flushed.bucket, flushed.key)

    async def select(self, selection: Selection) -> Batch:
        """Those of its messages that are chosen."""
        header = await self._header()
        batch = Batch()
        for run in _runs(frames_of(await self._index(), selection)):
            start, end = run[0].offset, run[-1].offset + run[-1].stored_bytes
            data = memoryview(await self._get(start, end - start))
            frames = [data[entry.offset - start : entry.offset - start + entry.stored_bytes] for entry in run]
            batch.extend(await self._in_thread(partial(_decoded, header, run, frames, selection)))
        return batch

    async def _header(self) -> ChunkHeader:
        """Held against the record by everything that both say."""
        first = await self._get(0, min(_HEAD_BYTES, self._flushed.stored_bytes))
        length = header_length(first[:PREFIX_BYTES])
        header = read_header(first if length <= len(first) else await self._get(0, length))
        told, said = self._flushed, header.origin
        found = (header.content_sha256, header.last_fingerprint, header.raw_bytes, said.previous_sha256)
        recorded = (told.content_sha256, told.last_fingerprint, told.raw_bytes, told.previous_sha256)
        found += (said.opening.uuid, header.first, header.last, header.count, said.previous_seq)
        recorded += (told.life, told.first, told.last, told.count, told.previous_seq)
        if found != recorded:
            raise DecodeError("the header of the object is not that of the chunk in the log")
        return header

    async def _index(self) -> tuple[FrameEntry, ...]:
        size = self._flushed.stored_bytes
        tail = await self._end(min(_TAIL_BYTES, size))
        length = tail_length(tail[-END_BYTES:])
        if length > len(tail):
            tail = await self._end(min(length, size))
        entries = read_index(tail, size)
        told = (sum(each.count for each in entries), sum(each.raw_bytes for each in entries))
        if told != (self._flushed.count, self._flushed.raw_bytes):
            raise DecodeError("the index of the object is not that of the chunk in the log")
        return entries

    async def _end(self, length: int) -> bytes:
        """From the place where the recorded size says it is: an object of another size has something else there."""
        return await self._get(self._flushed.stored_bytes - length, length)


def _runs(entries: Sequence[FrameEntry]) -> Iterator[list[FrameEntry]]:
    """Frames that lie one behind the other, up to some MiB, are fetched with one request."""
    run: list[FrameEntry] = []
    for entry in entries:
        follows = run and run[-1].offset + run[-1].stored_bytes == entry.offset
        if run and not (follows and entry.offset + entry.stored_bytes - run[0].offset <= _RUN_BYTES):
            yield run
            run = []
        run.append(entry)
    if run:
        yield run


_RUN_BYTES = 8 * 1024 * 1024


def _decoded(
    header: ChunkHeader, run: Sequence[FrameEntry], frames: Sequence[memoryview], selection: Selection
) -> Batch:
    batch = Batch()
    for entry, data in zip(run, frames, strict=True):
        batch.extend(selection.select(decode_frame(data, entry, header.codec)))
    return batch
