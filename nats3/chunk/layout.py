"""What a chunk says of itself: the values that its object carries beside the messages."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from nats3.errors import Nats3Error
from nats3.life import Opening

FORMAT_VERSION = 1


class Codec(Enum):
    """How a chunk is written."""

    BINARY = "binary"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a chunk belongs; everything a writer knows before it looks at the messages.

    `previous_seq` is the cursor before this chunk, `previous_sha256` the hex SHA-256 of the job's previous chunk object
    in this life, or the life's uuid when this is the life's first chunk. `gaps` are the [from, to] ranges of seqs inside
    (previous_seq, last] that an unfiltered job did not see; empty for a filtered job.
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


@dataclass(frozen=True, slots=True)
class ChunkHeader:
    """What the object itself says, in its first frame: enough to rebuild the index of a bucket."""

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


@dataclass(frozen=True, slots=True)
class FrameEntry:
    """One frame in the index: where it lies and what it holds. Times are the least and greatest, in ns."""

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


@dataclass(frozen=True, slots=True)
class Encoded:
    """A chunk ready to be stored."""

    key: str
    body: bytes
    sha256: str
    header: ChunkHeader
    frames: tuple[FrameEntry, ...] = field(default=())


class DecodeError(Nats3Error):
    """The bytes are no chunk, or not the chunk that was recorded: nothing of them may be used."""
