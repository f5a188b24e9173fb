"""Bodies of version 1: what is asked, what is answered, in the original's shapes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, assert_never
from uuid import UUID

from pydantic import Field

from nats3.api.errors import Unfit
from nats3.api.orders import Where, checked
from nats3.api.reading import Lenient
from nats3.api.values import (
    Bucket,
    ConnectionName,
    Duration,
    Filter,
    JobName,
    MaxBytes,
    MaxCount,
    NatsName,
    Prefix,
    Subject,
    Time,
)
from nats3.api.words import DURATION_REMEDY, format_ns, format_time, parse_duration, parse_time
from nats3.errors import Invalid
from nats3.job.order import ChunkLimits, CodecName, LoadOrder, StoreOrder
from nats3.job.states import RULES
from nats3.place import MAIN, place_of
from nats3.views.job_row import JobRow

_CODECS: Mapping[str, CodecName] = {
    **dict.fromkeys(("Binary", "binary", "bin"), "binary"),
    **dict.fromkeys(("Json", "json", "JSON"), "json"),
}
"""Every name that the original takes."""
_NAMES = {"limits.max_count": "batch.max_count", "limits.max_bytes": "batch.max_bytes"}


class BatchV1(Lenient):
    max_bytes: MaxBytes = 1_000_000
    max_count: MaxCount = 1000


class EncodingV1(Lenient):
    # Not as an enum: generators make one name of several that differ by case alone.
    codec: Annotated[str, Field(json_schema_extra={"pattern": f"^({'|'.join(_CODECS)})$"})] = "binary"


class IntervalV1(Lenient):
    secs: int
    nanos: int = 0


class StoreV1(Lenient):
    """An order to archive. Only the first four fields were ever needed; now not even the name is."""

    stream: NatsName
    subject: Filter
    bucket: Bucket
    name: JobName | None = None
    consumer: NatsName | None = None
    prefix: Prefix | None = None
    batch: BatchV1 | None = None
    encoding: EncodingV1 | None = None
    nats: ConnectionName = MAIN
    s3: ConnectionName = MAIN


class LoadV1(Lenient):
    """An order to publish again."""

    FORMS: ClassVar[Mapping[str, str]] = {"poll_interval": f'{DURATION_REMEDY}, or {{"secs": 300, "nanos": 0}}'}

    bucket: Bucket
    read_stream: NatsName
    read_subject: Filter
    write_subject: Subject
    name: JobName | None = None
    prefix: Prefix | None = None
    read_consumer: NatsName | None = None
    poll_interval: IntervalV1 | Duration | None = None
    delete_chunks: bool | None = None
    from_time: Time | None = None
    to_time: Time | None = None
    nats: ConnectionName = MAIN
    s3: ConnectionName = MAIN


def store_order(body: StoreV1, job_id: UUID) -> StoreOrder:
    """Raises Unfit. A work queue is drained, as version 1 always did."""
    batch = body.batch or BatchV1()
    order = StoreOrder(
        name=body.name if body.name is not None else made_up_name("store", job_id),
        stream=body.stream,
        subject=body.subject,
        bucket=place_of(body.s3, body.bucket),
        prefix=trimmed(body.prefix),
        consumer=body.consumer,
        limits=ChunkLimits(batch.max_bytes, batch.max_count),
        codec=_codec((body.encoding or EncodingV1()).codec),
        drain=True,
        nats=body.nats,
    )
    checked(order, _NAMES, Where(body.s3, body.bucket))
    return order


def load_order(body: LoadV1, job_id: UUID) -> LoadOrder:
    """Raises Unfit, Invalid."""
    order = LoadOrder(
        name=body.name if body.name is not None else made_up_name("load", job_id),
        bucket=place_of(body.s3, body.bucket),
        read_stream=body.read_stream,
        read_subject=body.read_subject,
        write_subject=body.write_subject,
        prefix=trimmed(body.prefix),
        read_consumer=body.read_consumer,
        poll_interval_s=_interval(body.poll_interval),
        delete_chunks=bool(body.delete_chunks),
        from_time=None if body.from_time is None else parse_time("from_time", body.from_time),
        to_time=None if body.to_time is None else parse_time("to_time", body.to_time),
        nats=body.nats,
    )
    checked(order, where=Where(body.s3, body.bucket))
    return order


def made_up_name(kind: str, job_id: UUID) -> str:
    return f"{kind}-{str(job_id)[:8]}"


def trimmed(prefix: str | None) -> str | None:
    """Slashes at the ends say nothing; an empty prefix is none."""
    return (prefix.strip("/") or None) if prefix is not None else None


def _codec(word: str) -> CodecName:
    if word not in _CODECS:
        raise Unfit([Invalid("encoding.codec", f"{word[:40]!r} is no codec", "use Json or Binary")])
    return _CODECS[word]


def _interval(given: IntervalV1 | str | None) -> float | None:
    if isinstance(given, IntervalV1):
        if not (0 <= given.secs < 1 << 40 and 0 <= given.nanos < 1_000_000_000):  # noqa: PLR2004 - as the original's type has it
            raise Invalid("poll_interval", "is out of range", "give secs and nanos from 0, nanos below 1000000000")
        return given.secs + given.nanos / 1e9
    return None if given is None else parse_duration("poll_interval", given)


def job_body(row: JobRow, warnings: Sequence[str] = ()) -> dict[str, Any]:
    """The answer for a job, its fields in the original's order."""
    order = row.order
    match order:
        case StoreOrder():
            body = _store_body(row, order)
        case LoadOrder():
            body = _load_body(row, order)
        case _:
            assert_never(order)
    if warnings:
        body["warnings"] = list(warnings)
    return body


def job_text(row: JobRow) -> str:
    """The job as it stands in a list, which the view `jobs` keeps. A change of it raises the version of that view."""
    return json.dumps(job_body(row), ensure_ascii=False, separators=(",", ":"))


def _store_body(row: JobRow, order: StoreOrder) -> dict[str, Any]:
    return {
        "id": str(row.job_id),
        "name": order.name,
        "status": RULES[row.state_now].word,
        "stream": order.stream,
        "consumer": order.consumer,
        "subject": order.subject,
        "bucket": order.bucket,
        "prefix": order.prefix,
        "batch": {"max_bytes": order.limits.max_bytes, "max_count": order.limits.max_count},
        "encoding": {"codec": order.codec.capitalize()},
        "created": format_time(row.created),
        "updated": format_time(row.updated),
    }


def _load_body(row: JobRow, order: LoadOrder) -> dict[str, Any]:
    return {
        "id": str(row.job_id),
        "name": order.name,
        "status": RULES[row.state_now].word,
        "bucket": order.bucket,
        "prefix": order.prefix,
        "read_stream": order.read_stream,
        "read_consumer": order.read_consumer,
        "read_subject": ", ".join(order.filters),
        "poll_interval": _interval_body(order.poll_interval_s),
        "write_subject": order.write_subject,
        "delete_chunks": order.delete_chunks,
        "from_time": None if order.from_time is None else format_ns(order.from_time),
        "to_time": None if order.to_time is None else format_ns(order.to_time),
        "created": format_time(row.created),
        "updated": format_time(row.updated),
    }


def _interval_body(seconds: float | None) -> dict[str, int] | None:
    if seconds is None:
        return None
    secs, nanos = divmod(round(seconds * 1e9), 1_000_000_000)
    return {"secs": secs, "nanos": nanos}
