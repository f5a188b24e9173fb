"""The answers of version 2 about loads: what was ordered, and what it reads."""

from __future__ import annotations

from nats3.api.shapes_v1 import Id, Shape, Time
from nats3.job.order import HeaderPolicy, OnBadChunk, PublishMode, Unmatched


class TransformAnswer(Shape):
    src: str
    dest: str


class PaceAnswer(Shape):
    """How fast a load publishes; null is no limit."""

    messages_per_s: float | None
    bytes_per_s: float | None
    speed: float | None
    max_gap: str | None


class LoadOrderAnswer(Shape):
    bucket: str
    prefix: str | None
    read_stream: str
    read_consumer: str | None
    read_subject: str
    read_subjects: list[str]
    read_headers: dict[str, str]
    write_subject: str | None
    subject_transforms: list[TransformAnswer]
    unmatched_subjects: Unmatched
    pace: PaceAnswer
    poll_interval: str | None
    delete_chunks: bool
    from_time: Time | None
    to_time: Time | None
    from_seq: int | None
    to_seq: int | None
    limit: int | None
    headers: HeaderPolicy
    mode: PublishMode
    on_bad_chunk: OnBadChunk
    strict_order: bool
    nats: str
    s3: str


class PlanRange(Shape):
    """Seqs first..last of one life that one job archived. Ranges of equal `rank` are one life, seen by several jobs."""

    job_id: Id
    life: str
    created: Time
    first: int
    last: int
    rank: int | None
    chunks: int | None
    messages: int | None


class Plan(Shape):
    """What a load reads at most. `frozen`: as its run began; else as it would be at this position of the log."""

    frozen: bool
    position: int
    chunks: int
    messages: int
    raw_bytes: int | None
    stored_bytes: int | None
    ranges: list[PlanRange]


class Count(Shape):
    """What an order would publish. `exact` false: messages are an upper bound, since not all that had to be read was.

    `raw_bytes` are subjects, headers and payloads as archived, an upper bound where chunks were not read; requests and fetched bytes are those of its chunks,
    each read once; `refusal` is the first reason for which the load would be blocked.
    """

    position: int
    exact: bool
    messages: int
    raw_bytes: int
    chunks: int
    requests: int
    fetched_bytes: int
    refusal: str | None
    ranges: list[PlanRange]
    warnings: list[str]
