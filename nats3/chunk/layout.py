"""What a chunk says of itself: the values that its object carries beside the messages."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from nats3.errors import Nats3Error
from nats3.life import Opening
from nats3.message import Batch
from nats3.selection import Bounds

FORMAT_VERSION = 1

MIB = 1 << 20
MAX_FRAME_TARGET = 8 * MIB
MAX_FRAME_RAW = 96 * MIB
"""The largest message that a NATS server takes is 64 MiB, in base64 86 MiB; beside it stand its subject and headers."""


class Codec(Enum):
    """How a chunk is written."""

    BINARY = "binary"
    JSON = "json"
    PARQUET = "parquet"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a chunk belongs; everything a writer knows before it looks at the messages.

    `previous_seq` is the cursor before this chunk, `previous_sha256` the hex SHA-256 of the job's previous chunk object
    in this life, or the life's uuid when this is the life's first chunk. `gaps` are the [from, to] ranges of seqs inside
    (previous_seq, last] that an unfiltered job did not see; empty for a filtered job. `date_floor` is the date in the
    key of the previous chunk of this life ("" for its first): dates in keys never go back, so that keys sort by seq also
    when the server's clock does not.
    """

    log_id: str
    job_id: str
    stream: str
    subject_filter: str
    consumer: str | None
    opening: Opening
    previous_seq: int
    previous_sha256: str
    activation: int
    bind: int
    prefix: str = ""
    gaps: tuple[tuple[int, int], ...] = ()
    date_floor: str = ""


@dataclass(frozen=True, slots=True)
class ChunkHeader:
    """What the object itself says, in its first frame: enough to rebuild the index of a bucket.

    `first_time` and `last_time` are the least and the greatest server time in it (a server's clock may step back), so
    a chunk may be skipped by them. `raw_bytes` is the length of all frames decompressed, what a reader must hold, and
    `content_sha256` the hex SHA-256 of just that. `message_bytes` counts subjects, header blocks and payloads.
    """

    version: int
    codec: Codec
    origin: Origin
    first: int
    last: int
    count: int
    first_time: int
    last_time: int
    raw_bytes: int
    content_sha256: str
    last_fingerprint: str
    message_bytes: int = 0


@dataclass(frozen=True, slots=True)
class FrameEntry:
    """One frame in the index: where it lies and what it holds. Times are the least and greatest, in ns.

    `sha256` is that of the stored bytes. `subjects` are all distinct ones; where they are too many it is None and
    `bloom` holds a filter of them (see bloom.py).
    """

    offset: int
    stored_bytes: int
    raw_bytes: int
    count: int
    first: int
    last: int
    least_time: int
    greatest_time: int
    subjects: tuple[bytes, ...] | None = None
    bloom: bytes | None = None
    sha256: bytes = b""

    def bounds(self) -> Bounds:
        return Bounds(self.first, self.last, self.least_time, self.greatest_time, self.subjects)


@dataclass(frozen=True, slots=True)
class Encoded:
    """A chunk ready to be stored."""

    key: str
    body: bytes
    sha256: str
    header: ChunkHeader
    frames: tuple[FrameEntry, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Decoded:
    """A chunk of which every byte was verified."""

    header: ChunkHeader
    batch: Batch
    frames: tuple[FrameEntry, ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a reader is ready to hold, in bytes and messages: checked before anything is allocated."""

    max_object: int = 1152 * MIB
    max_raw: int = 2048 * MIB
    max_frame: int = MAX_FRAME_RAW
    max_count: int = 10_000_000


class DecodeError(Nats3Error):
    """The bytes are no chunk, or not the chunk that was recorded: nothing of them may be used."""
