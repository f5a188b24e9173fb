"""What a user may order: a store job or a load job. Checked where it enters (`nats3.api`), a plain value from there on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from nats3.pace import PaceLimits
from nats3.place import MAIN

Kind = Literal["store", "load"]
CodecName = Literal["binary", "json", "parquet"]
Level = int | Literal["auto"]
"""A level of zstd; `auto` lowers it while the job falls behind and raises it while it has time."""
HeaderPolicy = Literal["safe", "verbatim", "none"]
PublishMode = Literal["auto", "atomic", "exclusive", "dedupe", "at_least_once"]
OnBadChunk = Literal["halt", "quarantine"]
Unmatched = Literal["pass", "refuse"]


@dataclass(frozen=True, slots=True)
class ChunkLimits:
    """When a chunk ends: whichever comes first. Bytes are raw (subjects, header blocks, payloads); a ceiling."""

    max_bytes: int = 1_000_000
    max_count: int = 1000
    max_age_s: float = 10.0


@dataclass(frozen=True, slots=True)
class StoreOrder:
    """Archive what `stream` holds and gets on `subject` (a filter; ">" is everything) into `bucket` below `prefix`.

    `bucket` is a place (`nats3.place`): it says through which connection of S3. `nats` names the connection of the stream.
    """

    name: str
    stream: str
    subject: str
    bucket: str
    prefix: str | None = None
    consumer: str | None = None
    limits: ChunkLimits = field(default_factory=ChunkLimits)
    codec: CodecName = "binary"
    level: Level = "auto"
    drain: bool = False
    nats: str = MAIN


@dataclass(frozen=True, slots=True)
class SubjectTransform:
    """What matches `src` is published on `dest`, in the words of NATS's own `subject_transform`."""

    src: str
    dest: str


@dataclass(frozen=True, slots=True)
class LoadOrder:
    """Publish what is archived of `read_stream` and matches, in order.

    `bucket` is a place (`nats3.place`), `nats` the connection to publish through.
    `write_subject` None means the original subject. Times are ns, half open; seqs are inclusive. None means no bound.
    `read_subjects` are several filters in place of `read_subject`, of which one must match; `read_headers` are
    (name, value) lines that must all be there. Of `subject_transforms` the first that matches decides, and
    `unmatched_subjects` says what becomes of a message that none matches. `headers` says what a replay does with headers.
    `strict_order` publishes one message at a time where the mode would let another leader of the target change their order.
    """

    name: str
    bucket: str
    read_stream: str
    read_subject: str = ">"
    write_subject: str | None = None
    prefix: str | None = None
    read_consumer: str | None = None
    poll_interval_s: float | None = None
    delete_chunks: bool = False
    from_time: int | None = None
    to_time: int | None = None
    from_seq: int | None = None
    to_seq: int | None = None
    limit: int | None = None
    headers: HeaderPolicy = "safe"
    mode: PublishMode = "auto"
    on_bad_chunk: OnBadChunk = "halt"
    read_subjects: tuple[str, ...] = ()
    read_headers: tuple[tuple[str, str], ...] = ()
    subject_transforms: tuple[SubjectTransform, ...] = ()
    unmatched_subjects: Unmatched = "pass"
    pace: PaceLimits = field(default_factory=PaceLimits)
    nats: str = MAIN
    strict_order: bool = False

    @property
    def filters(self) -> tuple[str, ...]:
        """Subjects of which a message must match one."""
        return self.read_subjects or (self.read_subject or ">",)


Order = StoreOrder | LoadOrder


def kind_of(order: Order) -> Kind:
    return "store" if isinstance(order, StoreOrder) else "load"
