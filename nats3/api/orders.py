"""Which orders are taken: every rule of a value, whatever the interface that it came through."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from nats3 import subject
from nats3.api.errors import Unfit
from nats3.api.words import format_duration
from nats3.chunk import parquet
from nats3.errors import Invalid
from nats3.job.order import CodecName, LoadOrder, Order, StoreOrder
from nats3.place import MAIN, fault_of_name, is_name, split
from nats3.transform import Transform

MAX_TEXT = 255
MAX_PREFIX = 512
MAX_SEQ = (1 << 63) - 1
COUNT = (1, 10_000_000)
BYTES = (1024, 1 << 30)
AGE = (0.1, 86_400.0)
POLL = (0.1, 30 * 86_400.0)
LEVEL = (1, 19)
RATE = (0.001, 1e12)
GAP = (0.001, 30 * 86_400.0)
MAX_LISTED = 64
"""Subjects, headers or transforms that one order may list."""
MAX_HEADER = 4096

_HEADER_NAME = re.compile(r"[!-9;-~]{1,255}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]", re.ASCII)


@dataclass(frozen=True, slots=True)
class Where:
    """The connection of S3 and the bucket as somebody gave them: of a place that is none nobody could tell where to part it."""

    s3: str
    bucket: str


def checked(order: Order, names: Mapping[str, str] | None = None, where: Where | None = None) -> Order:
    """The order, unchanged. `names` says what a field is called on its way in. Raises Unfit with all its faults."""
    where = where or Where(*split(order.bucket))
    rules = _store(order, where) if isinstance(order, StoreOrder) else _load(order, where)
    faults = [fault for fault in rules if fault is not None]
    if faults:
        called = names or {}
        raise Unfit([Invalid(called.get(fault.field, fault.field), fault.fault, fault.remedy) for fault in faults])
    return order


def _store(order: StoreOrder, where: Where) -> Iterator[Invalid | None]:
    yield _text("name", order.name)
    yield _said_of(subject.check_name, "stream", order.stream)
    yield _said_of(subject.check_filter, "subject", order.subject)
    yield from _connections(order.nats, where.s3)
    yield _bucket(where.bucket)
    yield _prefix(order.prefix)
    yield _said_of(subject.check_name, "consumer", order.consumer)
    yield _between("limits.max_count", order.limits.max_count, COUNT)
    yield _between("limits.max_bytes", order.limits.max_bytes, BYTES)
    yield _lasting("limits.max_age", order.limits.max_age_s, AGE)
    yield _codec(order.codec)
    yield _between("level", None if order.level == "auto" else order.level, LEVEL)


def _load(order: LoadOrder, where: Where) -> Iterator[Invalid | None]:
    yield _text("name", order.name)
    yield from _connections(order.nats, where.s3)
    yield _bucket(where.bucket)
    yield _prefix(order.prefix)
    yield _said_of(subject.check_name, "read_stream", order.read_stream)
    yield _said_of(subject.check_name, "read_consumer", order.read_consumer)
    yield _said_of(subject.check_filter, "read_subject", order.read_subject)
    yield from _selection(order)
    yield _said_of(subject.check_target, "write_subject", order.write_subject)
    yield from _transforms(order)
    yield from _pace(order)
    yield _lasting("poll_interval", order.poll_interval_s, POLL)
    yield _between("from_seq", order.from_seq, (1, MAX_SEQ))
    yield _between("to_seq", order.to_seq, (1, MAX_SEQ))
    yield _between("limit", order.limit, (1, MAX_SEQ))
    yield _rising("time", order.from_time, order.to_time, least=1)
    yield _rising("seq", order.from_seq, order.to_seq, least=0)


def _selection(order: LoadOrder) -> Iterator[Invalid | None]:
    if order.read_subjects and order.read_subject != ">":
        yield Invalid("read_subjects", "are given beside read_subject", "give either of them")
    yield _few("read_subjects", order.read_subjects)
    yield _few("read_headers", order.read_headers)
    for at, wanted in enumerate(order.read_subjects[:MAX_LISTED]):
        yield _said_of(subject.check_filter, f"read_subjects.{at}", wanted)
    for name, value in order.read_headers[:MAX_LISTED]:
        yield _header(name, value)


def _header(name: str, value: str) -> Invalid | None:
    field = f"read_headers.{name[:60]}"
    if not _HEADER_NAME.fullmatch(name):
        return Invalid(field, "is no name of a header", "use printable ASCII without blanks and ':'")
    if len(value.encode()) > MAX_HEADER or _CONTROL.search(value) or value != value.strip(" \t"):
        remedy = f"use at most {MAX_HEADER} bytes, no control characters, no blanks at the ends"
        return Invalid(field, "has a value that no header can have", remedy)
    return None


def _transforms(order: LoadOrder) -> Iterator[Invalid | None]:
    if order.subject_transforms and order.write_subject is not None:
        yield Invalid("subject_transforms", "are given beside write_subject", "give either of them")
    yield _few("subject_transforms", order.subject_transforms)
    if order.unmatched_subjects == "refuse" and not order.subject_transforms:
        yield Invalid("unmatched_subjects", "is refuse, and there are no subject_transforms", "leave it out")
    for at, each in enumerate(order.subject_transforms[:MAX_LISTED]):
        yield _said_of(
            lambda field, dest, src=each.src: _reach(field, src, dest), f"subject_transforms.{at}", each.dest
        )


def _reach(field: str, src: str, dest: str) -> None:
    """Raises Invalid for what is no transform of NATS, and for one that leads where nothing may be published."""
    if len(dest) > MAX_TEXT:
        raise Invalid(field, f"has {len(dest)} characters", f"use at most {MAX_TEXT}")
    reach = Transform(src, dest, field).reach
    subject.check_target(field, reach.replace("*", "x").replace(">", "x"))


def _pace(order: LoadOrder) -> Iterator[Invalid | None]:
    pace = order.pace
    yield _within("pace.messages_per_s", pace.messages_per_s, RATE)
    yield _within("pace.bytes_per_s", pace.bytes_per_s, RATE)
    yield _within("pace.speed", pace.factor, RATE)
    yield _lasting("pace.max_gap", pace.max_gap_s, GAP)
    if pace.max_gap_s is not None and pace.factor is None:
        yield Invalid("pace.max_gap", "is given without speed", "give a speed, such as 1 for the original timing")


def _few(field: str, listed: Sequence[object]) -> Invalid | None:
    if len(listed) <= MAX_LISTED:
        return None
    return Invalid(field, f"lists {len(listed)}", f"list at most {MAX_LISTED}")


def _within(field: str, value: float | None, bounds: tuple[float, float]) -> Invalid | None:
    least, most = bounds
    if value is None or least <= value <= most:
        return None
    return Invalid(field, f"{value:g} is out of range", f"use a number from {least:g} to {most:g}")


def _connections(nats: str, s3: str) -> Iterator[Invalid | None]:
    for field, name in (("nats", nats), ("s3", s3)):
        if not is_name(name):
            remedy = "use the name of a connection of the configuration, or leave it out"
            yield Invalid(field, f"{name[:60]!r} is no name of a connection", remedy)


def require_connections(order: Order, nats: Collection[str], s3: Collection[str]) -> None:
    """An order for connections that this node has. Raises Unfit, which names those there are."""
    found = (fault_of_name("nats", order.nats, nats), fault_of_name("s3", split(order.bucket)[0], s3))
    faults = [fault for fault in found if fault]
    if faults:
        raise Unfit(faults)


def _text(field: str, text: str) -> Invalid | None:
    if not text.strip():
        return Invalid(field, "is empty", "give a name, or leave the field out")
    if len(text) > MAX_TEXT:
        return Invalid(field, f"has {len(text)} characters", f"use at most {MAX_TEXT}")
    if not text.isprintable():
        return Invalid(field, "holds a character that cannot be printed", "use printable characters")
    return None


def _said_of(check: Callable[[str, str], object], field: str, value: str | None) -> Invalid | None:
    """The fault that a check raises; what is not given needs none."""
    if value is None:
        return None
    try:
        check(field, value)
    except Invalid as fault:
        return fault
    return None


def checked_place(place: str | None, prefix: str | None, s3: Collection[str]) -> None:
    """Where to look for objects, with the connections of S3 that there are. Raises Unfit."""
    connection, bucket = split(place or MAIN)
    unknown = fault_of_name("s3", connection, s3, "bucket")
    wrong = place and _bucket(bucket)
    faults = [fault for fault in (unknown, wrong, _prefix(prefix)) if fault]
    if faults:
        raise Unfit(faults)


def _codec(codec: CodecName) -> Invalid | None:
    if codec != "parquet" or parquet.AVAILABLE:
        return None
    return Invalid("codec", "parquet is not installed here", "install the extra: pip install 'nats3[parquet]'")


def _bucket(name: str) -> Invalid | None:
    if _BUCKET.fullmatch(name) and ".." not in name:
        return None
    remedy = "use 3 to 255 letters, digits, '.', '-' and '_', the first and the last a letter or digit"
    connection, colon, rest = name.partition(":")
    if colon and is_name(connection) and _BUCKET.fullmatch(rest):
        remedy = f"write s3: {connection} and bucket: {rest[:60]}"
    return Invalid("bucket", f"{name[:60]!r} is no name of a bucket", remedy)


def _prefix(prefix: str | None) -> Invalid | None:
    if prefix is None:
        return None
    remedy = f"use at most {MAX_PREFIX} printable characters, '/' between names, neither '.' nor '..' alone"
    if not prefix or len(prefix.encode()) > MAX_PREFIX or not prefix.isprintable():
        return Invalid("prefix", "is empty, too long or holds control characters", remedy)
    if any(part in ("", ".", "..") for part in prefix.split("/")):
        return Invalid("prefix", f"{prefix[:60]!r} has an empty part, '.' or '..' in it", remedy)
    return None


def _between(field: str, value: int | None, bounds: tuple[int, int]) -> Invalid | None:
    least, most = bounds
    if value is None or least <= value <= most:
        return None
    return Invalid(field, f"{value} is out of range", f"use a whole number from {least} to {most}")


def _lasting(field: str, seconds: float | None, bounds: tuple[float, float]) -> Invalid | None:
    least, most = bounds
    if seconds is None or least <= seconds <= most:
        return None
    remedy = f"use a duration from {format_duration(least)} to {format_duration(most)}"
    return Invalid(field, f"{seconds:g} s is out of range", remedy)


def _rising(what: str, start: int | None, end: int | None, *, least: int) -> Invalid | None:
    if start is None or end is None or end - start >= least:
        return None
    return Invalid(f"from_{what}", f"is not before to_{what}", f"give a from_{what} that comes before to_{what}")
