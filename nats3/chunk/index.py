"""The end of a chunk: the index of its frames and the seek table of zstd's seekable format."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, pairwise
from struct import Struct
from typing import Any, cast

from nats3.chunk import skippable
from nats3.chunk.bloom import is_filter
from nats3.chunk.layout import DecodeError, FrameEntry
from nats3.chunk.packed import Fields, all_of, whole

SEEK_MAGIC = 0x184D2A5E
SEEKABLE_MAGIC = 0x8F92EAB1
_SEEK_HEADER = Struct("<II")
_SEEK_ENTRY = Struct("<II")
_SEEK_FOOTER = Struct("<IBI")

END_BYTES = _SEEK_ENTRY.size + _SEEK_FOOTER.size
"""The last entry of the seek table, which is the index frame's, and the footer: enough to learn `tail_length`."""

_MEMBERS = 11


def to_bytes(header_bytes: int, entries: Sequence[FrameEntry]) -> bytes:
    """Index frame and seek table for an object whose header takes `header_bytes`."""
    index = skippable.to_frame(skippable.INDEX, {"frames": list(map(_pack, entries))})
    return index + _seek_table(header_bytes, entries, len(index))


def _seek_table(header_bytes: int, entries: Sequence[FrameEntry], index_bytes: int) -> bytes:
    frames = [(entry.stored_bytes, entry.raw_bytes) for entry in entries]
    sizes = list(chain([(header_bytes, 0)], frames, [(index_bytes, 0)]))
    table = b"".join(_SEEK_ENTRY.pack(*pair) for pair in sizes) + _SEEK_FOOTER.pack(len(sizes), 0, SEEKABLE_MAGIC)
    return _SEEK_HEADER.pack(SEEK_MAGIC, len(table)) + table


def tail_length(end: bytes) -> int:
    """How many bytes from the end of the object index and seek table take, out of its last END_BYTES.

    Raises DecodeError.
    """
    index_bytes, table_bytes = _sizes(end)
    return index_bytes + table_bytes


def _sizes(end: bytes) -> tuple[int, int]:
    if len(end) < END_BYTES:
        raise DecodeError(f"{len(end)} bytes are too few for the end of a chunk")
    index_bytes, zero = _SEEK_ENTRY.unpack_from(end, len(end) - END_BYTES)
    frames, flags, magic = _SEEK_FOOTER.unpack_from(end, len(end) - _SEEK_FOOTER.size)
    if (zero, flags, magic) != (0, 0, SEEKABLE_MAGIC):
        raise DecodeError("the object does not end with the seek table of a chunk")
    table_bytes = _SEEK_HEADER.size + frames * _SEEK_ENTRY.size + _SEEK_FOOTER.size
    if not 3 <= frames <= skippable.INDEX.max_bytes // _SEEK_ENTRY.size or index_bytes > skippable.INDEX.max_bytes:  # noqa: PLR2004 - header, index, one frame
        raise DecodeError("the seek table lists an impossible number of frames")
    return index_bytes, table_bytes


def read_index(tail: bytes, object_bytes: int) -> tuple[FrameEntry, ...]:
    """All frames, out of at least the last `tail_length` bytes of an object of `object_bytes`. Raises DecodeError."""
    index_bytes, table_bytes = _sizes(tail)
    length = index_bytes + table_bytes
    if length > min(len(tail), object_bytes):
        raise DecodeError(f"the index takes {length} bytes and {len(tail)} of {object_bytes} are here")
    frame = tail[len(tail) - length : len(tail) - table_bytes]
    if skippable.frame_length(skippable.INDEX, frame) != index_bytes:
        raise DecodeError("the seek table and the index disagree on its length")
    fields = Fields("index", skippable.from_frame(skippable.INDEX, frame))
    entries = tuple(map(_unpack, fields.array("frames")))
    fields.end()
    _check_places(entries, object_bytes - length)
    if tail[len(tail) - table_bytes :] != _seek_table(entries[0].offset, entries, index_bytes):
        raise DecodeError("the seek table and the index disagree")
    return entries


def _check_places(entries: Sequence[FrameEntry], end: int) -> None:
    """Frames lie one behind the other up to the index, and their seqs rise."""
    if not entries:
        raise DecodeError("the index lists no frame")
    ends = [entry.offset + entry.stored_bytes for entry in entries]
    if [entry.offset for entry in entries[1:]] + [end] != ends:
        raise DecodeError("the frames of the index do not lie one behind the other")
    if any(before.last >= after.first for before, after in pairwise(entries)):
        raise DecodeError("the seqs of the index do not rise")


def _pack(entry: FrameEntry) -> list[object]:
    return [
        entry.offset,
        entry.stored_bytes,
        entry.raw_bytes,
        entry.count,
        entry.first,
        entry.last,
        entry.least_time,
        entry.greatest_time,
        entry.sha256,
        entry.subjects,
        entry.bloom,
    ]


def _unpack(members: Any) -> FrameEntry:  # noqa: ANN401 - checked here
    if not isinstance(members, list) or len(cast("list[object]", members)) != _MEMBERS:
        raise DecodeError(f"an entry of the index is no array of {_MEMBERS}")
    *numbers, digest, subjects, bloom = cast("list[Any]", members)
    offset, stored, raw, count, first, last, least, greatest = (whole("index", number) for number in numbers)
    if min(offset, stored, raw, count, first) < 1 or first > last or least > greatest or count > last - first + 1:
        raise DecodeError("an entry of the index contradicts itself")
    if type(digest) is not bytes or len(digest) != skippable.DIGEST_BYTES:
        raise DecodeError("an entry of the index has no SHA-256")
    held = _subjects(subjects, bloom)
    return FrameEntry(offset, stored, raw, count, first, last, least, greatest, held, bloom, digest)


def _subjects(subjects: Any, bloom: Any) -> tuple[bytes, ...] | None:  # noqa: ANN401 - checked here
    """Either subjects or a filter, never both."""
    if subjects is None and type(bloom) is bytes and is_filter(bloom):
        return None
    if bloom is not None or not isinstance(subjects, list) or not all_of(cast("list[object]", subjects), bytes):
        raise DecodeError("an entry of the index has neither subjects nor a filter of them")
    return tuple(cast("list[bytes]", subjects))
