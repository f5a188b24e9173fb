"""Bodies of version 2: every field of an order, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, assert_never
from uuid import UUID

from pydantic import FailFast, Field

from nats3.api.errors import Misshapen, Unfit
from nats3.api.orders import MAX_LISTED, Where, checked
from nats3.api.reading import Exact, as_model
from nats3.api.v1_orders import made_up_name, trimmed
from nats3.api.v2_shaping import PaceV2, TransformV2, pace_body, pace_of, transforms_of
from nats3.api.values import (
    LEVEL_FORMS,
    Bucket,
    ConnectionName,
    Duration,
    Filter,
    HeaderValue,
    JobName,
    Level,
    MaxBytes,
    MaxCount,
    NatsName,
    Prefix,
    Seq,
    Subject,
    Time,
)
from nats3.api.words import DURATION_REMEDY, format_duration, format_ns, format_time, parse_duration, parse_time
from nats3.errors import Invalid
from nats3.job.order import (
    ChunkLimits,
    CodecName,
    HeaderPolicy,
    LoadOrder,
    OnBadChunk,
    Order,
    PublishMode,
    StoreOrder,
    Unmatched,
)
from nats3.job.states import RULES
from nats3.place import MAIN, place_of, split
from nats3.views.job_row import JobRow


class LimitsV2(Exact):
    """When a chunk ends: whichever comes first."""

    max_bytes: MaxBytes = 1_000_000
    max_count: MaxCount = 1000
    max_age: Duration = "10s"


class StoreV2(Exact):
    FORMS: ClassVar[Mapping[str, str]] = {"level": LEVEL_FORMS, "limits.max_age": DURATION_REMEDY}
    STRANGERS: ClassVar[Mapping[str, tuple[str, str]]] = {
        "batch": ("is a word of version 1", "use limits, with max_bytes and max_count"),
        "encoding": ("is a word of version 1", "use codec, with binary or json"),
    }

    kind: Literal["store"]
    stream: NatsName
    bucket: Bucket
    subject: Filter = ">"
    name: JobName | None = None
    prefix: Prefix | None = None
    consumer: NatsName | None = None
    limits: LimitsV2 = LimitsV2()
    codec: CodecName = "binary"
    level: Level | Literal["auto"] = "auto"
    drain: bool = False
    nats: ConnectionName = MAIN
    s3: ConnectionName = MAIN


class LoadV2(Exact):
    FORMS: ClassVar[Mapping[str, str]] = {"poll_interval": DURATION_REMEDY, "pace.max_gap": DURATION_REMEDY}

    kind: Literal["load"]
    bucket: Bucket
    read_stream: NatsName
    read_subject: Filter = ">"
    read_subjects: list[Filter] = Field(default_factory=list, max_length=MAX_LISTED)
    read_headers: dict[str, HeaderValue] = Field(default_factory=dict, max_length=MAX_LISTED)
    write_subject: Subject | None = None
    subject_transforms: Annotated[list[TransformV2], FailFast()] = Field(default_factory=list, max_length=MAX_LISTED)
    unmatched_subjects: Unmatched = "pass"
    pace: PaceV2 = PaceV2()
    name: JobName | None = None
    prefix: Prefix | None = None
    read_consumer: NatsName | None = None
    poll_interval: Duration | None = None
    delete_chunks: bool = False
    from_time: Time | None = None
    to_time: Time | None = None
    from_seq: Seq | None = None
    to_seq: Seq | None = None
    limit: Seq | None = None
    headers: HeaderPolicy = "safe"
    mode: PublishMode = "auto"
    on_bad_chunk: OnBadChunk = "halt"
    strict_order: bool = False
    nats: ConnectionName = MAIN
    s3: ConnectionName = MAIN


def order_of(value: Any, job_id: UUID) -> Order:  # noqa: ANN401 - any JSON value
    """The order that a body asks for. Raises Misshapen, Unfit, Invalid."""
    match value:
        case {"kind": "store"}:
            store = as_model(StoreV2, value)
            return checked(_store(store, job_id), where=Where(store.s3, store.bucket))
        case {"kind": "load"}:
            load = as_model(LoadV2, value)
            return checked(_load(load, job_id), where=Where(load.s3, load.bucket))
        case dict():
            raise Unfit([Invalid("kind", "is missing or no kind of job", "give store or load")])
        case _:
            raise Misshapen([Invalid("body", "is no object", "give a JSON object")])


def _store(body: StoreV2, job_id: UUID) -> StoreOrder:
    limits = body.limits
    return StoreOrder(
        name=body.name if body.name is not None else made_up_name("store", job_id),
        stream=body.stream,
        subject=body.subject,
        bucket=place_of(body.s3, body.bucket),
        prefix=trimmed(body.prefix),
        consumer=body.consumer,
        limits=ChunkLimits(limits.max_bytes, limits.max_count, parse_duration("limits.max_age", limits.max_age)),
        codec=body.codec,
        level=body.level,
        drain=body.drain,
        nats=body.nats,
    )


def _load(body: LoadV2, job_id: UUID) -> LoadOrder:
    return LoadOrder(
        name=body.name if body.name is not None else made_up_name("load", job_id),
        bucket=place_of(body.s3, body.bucket),
        read_stream=body.read_stream,
        read_subject=body.read_subject,
        write_subject=body.write_subject,
        prefix=trimmed(body.prefix),
        read_consumer=body.read_consumer,
        poll_interval_s=None if body.poll_interval is None else parse_duration("poll_interval", body.poll_interval),
        delete_chunks=body.delete_chunks,
        from_time=None if body.from_time is None else parse_time("from_time", body.from_time),
        to_time=None if body.to_time is None else parse_time("to_time", body.to_time),
        from_seq=body.from_seq,
        to_seq=body.to_seq,
        limit=body.limit,
        headers=body.headers,
        mode=body.mode,
        on_bad_chunk=body.on_bad_chunk,
        read_subjects=tuple(body.read_subjects),
        read_headers=tuple(body.read_headers.items()),
        subject_transforms=transforms_of(body.subject_transforms),
        unmatched_subjects=body.unmatched_subjects,
        pace=pace_of(body.pace),
        nats=body.nats,
        strict_order=body.strict_order,
    )


def order_body(order: Order) -> dict[str, Any]:
    """The order in the words in which it may be given again."""
    match order:
        case StoreOrder():
            return _store_body(order)
        case LoadOrder():
            return _load_body(order)
        case _:
            assert_never(order)


def _store_body(order: StoreOrder) -> dict[str, Any]:
    limits = order.limits
    s3, bucket = split(order.bucket)
    return {
        "stream": order.stream,
        "subject": order.subject,
        "bucket": bucket,
        "prefix": order.prefix,
        "consumer": order.consumer,
        "limits": {
            "max_bytes": limits.max_bytes,
            "max_count": limits.max_count,
            "max_age": format_duration(limits.max_age_s),
        },
        "codec": order.codec,
        "level": order.level,
        "drain": order.drain,
        "nats": order.nats,
        "s3": s3,
    }


def _load_body(order: LoadOrder) -> dict[str, Any]:
    s3, bucket = split(order.bucket)
    return {
        "bucket": bucket,
        "prefix": order.prefix,
        "read_stream": order.read_stream,
        "read_consumer": order.read_consumer,
        "read_subject": order.read_subject,
        "read_subjects": list(order.read_subjects),
        "read_headers": dict(order.read_headers),
        "write_subject": order.write_subject,
        "subject_transforms": [{"src": each.src, "dest": each.dest} for each in order.subject_transforms],
        "unmatched_subjects": order.unmatched_subjects,
        "pace": pace_body(order.pace),
        "poll_interval": None if order.poll_interval_s is None else format_duration(order.poll_interval_s),
        "delete_chunks": order.delete_chunks,
        "from_time": None if order.from_time is None else format_ns(order.from_time),
        "to_time": None if order.to_time is None else format_ns(order.to_time),
        "from_seq": order.from_seq,
        "to_seq": order.to_seq,
        "limit": order.limit,
        "headers": order.headers,
        "mode": order.mode,
        "on_bad_chunk": order.on_bad_chunk,
        "strict_order": order.strict_order,
        "nats": order.nats,
        "s3": s3,
    }


_STORE_COUNTERS = ("messages", "chunks", "raw_bytes", "stored_bytes", "gaps", "lives", "last_seq")
_LOAD_COUNTERS = (
    "planned",
    "planned_chunks",
    "published",
    "published_bytes",
    "duplicates",
    "displaced",
    "skipped",
    "loaded_chunks",
    "last_seq",
)


def job_body(row: JobRow, warnings: Sequence[str] | None = None) -> dict[str, Any]:
    """The answer for a job. `commands` are those that its state takes; `last_time` is when its last message was made."""
    state = row.state_now
    names = _STORE_COUNTERS if row.kind == "store" else _LOAD_COUNTERS
    body: dict[str, Any] = {
        "id": str(row.job_id),
        "kind": row.kind,
        "name": row.name,
        "state": state.value,
        "reason": row.reason,
        "commands": sorted(RULES[state].commands),
        "order": order_body(row.order),
        "progress": {name: getattr(row, name) for name in names},
        "last_time": None if row.last_time is None else format_ns(row.last_time),
        "last_error": row.last_error,
        "last_error_at": None if row.last_error_at is None else format_time(row.last_error_at),
        "node": row.node,
        "node_id": None if row.node_id is None else str(row.node_id),
        "runs": row.attempts,
        "generation": row.generation,
        "api": row.api,
        "version": row.version,
        "position": row.position,
        "created": format_time(row.created),
        "updated": format_time(row.updated),
    }
    if warnings is not None:
        body["warnings"] = list(warnings)
    return body


def job_resource(row: JobRow) -> str:
    """The job as it stands in a list, which the view `jobs` keeps. A change of it raises the version of that view."""
    return json.dumps(job_body(row), ensure_ascii=False, separators=(",", ":"))
