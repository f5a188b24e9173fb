"""The answers of version 2 as schemas. What is asked stands in `v2_orders` and beside the routes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nats3.api.shapes_load import LoadOrderAnswer, Plan
from nats3.api.shapes_v1 import Id, Shape, Time
from nats3.job.order import CodecName
from nats3.job.states import Command
from nats3.state import StateName


class Fault(Shape):
    """One field: what is wrong with its value, and what would be right."""

    field: str
    fault: str
    remedy: str


class Problem(Shape):
    """RFC 9457. `code` never changes its meaning."""

    type: str = Field(examples=["urn:nats3:problem:not_allowed"])
    title: str
    status: int
    detail: str
    instance: str
    code: str
    errors: list[Fault]


class LimitsAnswer(Shape):
    """When a chunk ends: whichever comes first."""

    max_bytes: int
    max_count: int
    max_age: str


class StoreOrderAnswer(Shape):
    stream: str
    subject: str
    bucket: str
    prefix: str | None
    consumer: str | None
    limits: LimitsAnswer
    codec: CodecName
    level: int | Literal["auto"]
    drain: bool
    nats: str
    s3: str


class StoreProgress(Shape):
    """What was archived; `gaps` counts seqs."""

    messages: int
    chunks: int
    raw_bytes: int
    stored_bytes: int
    gaps: int
    lives: int
    last_seq: int


class LoadProgress(Shape):
    """What of the plan the target has acknowledged, in messages of this generation; `displaced` stand there in another order."""

    planned: int
    planned_chunks: int
    published: int
    published_bytes: int
    duplicates: int
    displaced: int
    skipped: int
    loaded_chunks: int
    last_seq: int


class AnyJob(Shape):
    """A job: what was ordered, how it is and what it has done. `commands` are those that its state takes; `node_id` is the `id`
    among the nodes, and the `node` of its events.
    """

    id: Id
    name: str
    state: StateName
    reason: str
    commands: list[Command]
    last_time: Time | None
    last_error: str | None
    last_error_at: Time | None
    node: str | None
    node_id: Id | None
    runs: int
    generation: int
    api: int
    version: int
    position: int
    created: Time
    updated: Time
    warnings: list[str] = Field(default_factory=list)


class StoreJob(AnyJob):
    kind: Literal["store"]
    order: StoreOrderAnswer
    progress: StoreProgress


class LoadJob(AnyJob):
    kind: Literal["load"]
    order: LoadOrderAnswer
    progress: LoadProgress


class Chunk(Shape):
    """An object in the bucket as its event recorded it. `id` is the position of that event."""

    id: int
    recorded_at: Time
    job_id: Id
    bucket: str
    key: str
    codec: str
    stream: str
    subject: str
    consumer: str | None
    prefix: str
    life: str
    ordinal: int
    created: Time
    previous_seq: int
    first: int
    last: int
    count: int
    first_time: Time
    last_time: Time
    raw_bytes: int
    stored_bytes: int
    sha256: str
    content_sha256: str
    previous_sha256: str
    last_fingerprint: str
    sealed_by: str
    gaps: list[list[int]]
    gap_count: int
    adopted_from: str | None
    deletion: Literal["requested", "done"] | None
    deletion_position: int | None


class Life(Shape):
    """One existence of a stream. `created` are all creation times under which the stream went on in it."""

    position: int
    recorded_at: Time
    job_id: Id
    life: str
    ordinal: int
    created: list[Time]
    reason: str
    parent: str | None
    upto: int
    equal: int
    cursor: int


class Gap(Shape):
    """Seqs first..last (inclusive) that are not archived; where the reason is `possible`, what of them is not archived may have
    been dropped unread. `inside` is the key of the chunk around them.
    """

    position: int
    recorded_at: Time
    job_id: Id
    life: str
    first: int
    last: int
    reason: str
    inside: str | None


class Range(Shape):
    """Seqs first..last of a life lie in chunks that follow each other without a gap between them."""

    life: str
    ordinal: int
    first: int
    last: int
    chunks: int
    messages: int
    first_time: Time
    last_time: Time


class Coverage(Shape):
    """Lives and archived ranges stand on the first page alone; gaps go on by `Link`."""

    lives: list[Life]
    archived: list[Range]
    gaps: list[Gap]


class RunAnswer(Shape):
    """A run: from an order to begin to its end. `activations` counts how often a node took it up."""

    number: int
    generation: int
    state: str
    reason: str
    activations: int
    node: str | None
    node_id: Id | None
    ordered_at: Time
    began_at: Time | None
    ended_at: Time | None


class DryRun(Shape):
    """What would be ordered. `plan` is None for a store job."""

    order: StoreOrderAnswer | LoadOrderAnswer
    plan: Plan | None
    warnings: list[str]


class StreamThere(Shape):
    """The stream as NATS has it now."""

    created: Time
    retention: Literal["limits", "interest", "workqueue"]
    subjects: list[str]
    messages: int
    first_seq: int
    last_seq: int


class StreamInBuckets(Shape):
    """What of the stream lies in buckets, over all its lives."""

    jobs: int
    chunks: int
    messages: int
    raw_bytes: int
    stored_bytes: int
    last_seq: int
    first_time: Time
    last_time: Time


class StreamAnswer(Shape):
    """A stream. `there` is null where it does not exist, `archived` where nothing of it lies in a bucket."""

    name: str
    there: StreamThere | None
    archived: StreamInBuckets | None


class Verdict(Shape):
    """Whether an object is what was recorded, and what is wrong with it."""

    id: int
    bucket: str
    key: str
    verdict: Literal["whole", "missing", "corrupt"]
    fault: str | None
    sha256: str
    messages: int
    stored_bytes: int


class MessageAnswer(Shape):
    """`header` and `payload` are base64; `text` is the payload where it is UTF-8."""

    seq: int
    time: Time
    subject: str
    header: str | None
    payload: str
    text: str | None
