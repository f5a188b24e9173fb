"""Which messages a chunk held, in a few bytes per message: what stays known of it once it is deleted."""

from __future__ import annotations

from itertools import accumulate
from struct import Struct

from nats3.chunk.columns import deltas
from nats3.chunk.layout import MIB, DecodeError
from nats3.chunk.packed import all_of, pack, unpack_columns
from nats3.chunk.zstd import Compressor, Decompressor
from nats3.message import Batch

_LEVEL = 6
_PREFIX = Struct("<II")
"""How many messages, and how many bytes the columns take."""

_MOST_RAW = 256 * MIB
_NAMES = ("seqs", "times")


MOST = 512 * 1024
"""An event holds no more than 1 MiB, and this stands in it in base64."""


def to_bytes(batch: Batch) -> bytes:
    """Seqs and times of the batch. Nothing where they take more than MOST: what was in it is then not known."""
    raw = pack({"seqs": deltas(batch.seqs), "times": deltas(batch.times)})
    held = _PREFIX.pack(len(batch), len(raw)) + Compressor(_LEVEL).frame(raw)
    return held if len(held) <= MOST else b""


def from_bytes(held: bytes) -> Batch:
    """The messages as far as they are known: seqs and times; subjects, header blocks and payloads are empty.

    Raises DecodeError.
    """
    if len(held) < _PREFIX.size:
        raise DecodeError("what a deleted chunk held is not known")
    count, raw_bytes = _PREFIX.unpack_from(held)
    if raw_bytes > _MOST_RAW:
        raise DecodeError(f"{raw_bytes} bytes of seqs and times are more than this reader takes")
    columns = unpack_columns(Decompressor().raw(held[_PREFIX.size :], raw_bytes), len(_NAMES), count)
    if tuple(columns) != _NAMES or any(len(each) != count or not all_of(each, int) for each in columns.values()):
        raise DecodeError("what a deleted chunk held is no pair of columns")
    seqs, times = (list(accumulate(columns[name])) for name in _NAMES)
    return Batch(seqs, times, [b""] * count, [None] * count, [b""] * count)
