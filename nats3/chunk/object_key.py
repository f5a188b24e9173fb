"""The name of a chunk in the bucket: content-addressed, without a clock, sorting by seq within one life.

{prefix}/n3v1/{stream}/{created}/{life}/{job8}/{date}/{first}-{last}-{count}-{sha16}-{activation}-{bind}.n3c
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, unquote

from nats3.chunk.layout import Codec, Origin
from nats3.errors import Invalid
from nats3.life import Opening

FORMAT = "n3v1"
MAX_KEY = 1024
EXTENSIONS = {Codec.BINARY: ".n3c", Codec.JSON: ".ndjson.zst", Codec.PARQUET: ".parquet"}

_LONGEST_REST = 220
"""Bytes of a key behind the stream's name, at most."""
_JOB8 = re.compile(r"[0-9a-f]{8}")
_KEY = re.compile(
    r"(?:(?P<prefix>.+)/)?n3v1/(?P<stream>[A-Za-z0-9_%-]+)/(?P<created>[0-9]+)/(?P<life>[0-9]{4,})/(?P<job8>[0-9a-f]{8})"
    r"/(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})/(?P<first>[0-9]{20})-(?P<last>[0-9]{20})-(?P<count>[0-9]+)"
    r"-(?P<sha16>[0-9a-f]{16})-(?P<activation>[0-9]+)-(?P<bind>[0-9]+)(?P<extension>\.n3c|\.ndjson\.zst|\.parquet)"
)


@dataclass(frozen=True, slots=True)
class ParsedKey:
    """What a key says. It is a hint from outside: the header of the object decides."""

    prefix: str
    stream: str
    created: int
    life: int
    job8: str
    date: str
    first: int
    last: int
    count: int
    sha16: str
    activation: int
    bind: int
    codec: Codec


@dataclass(frozen=True, slots=True)
class Span:
    """The messages that a key names: first and last seq, count, least time."""

    first: int
    last: int
    count: int
    first_time: int


def build_key(origin: Origin, span: Span, sha256: str, codec: Codec) -> str:
    """The key of a chunk whose object has this hex SHA-256. Raises Invalid for a prefix that cannot be."""
    folder = life_prefix(origin.prefix, origin.stream, origin.opening, origin.job_id)
    date = max(date_of(span.first_time), origin.date_floor)
    name = f"{span.first:020d}-{span.last:020d}-{span.count}-{sha256[:16]}-{origin.activation}-{origin.bind}"
    return f"{folder}{date}/{name}{EXTENSIONS[codec]}"


def parse_key(key: str) -> ParsedKey | None:
    """What the key of a chunk says, None when it is the key of something else."""
    found = _KEY.fullmatch(key)
    if not found or (codec := _codec(found["extension"])) is None:
        return None
    numbers = {name: int(found[name]) for name in ("created", "life", "first", "last", "count", "activation", "bind")}
    parsed = ParsedKey(
        prefix=found["prefix"] or "",
        stream=unquote(found["stream"]),
        job8=found["job8"],
        date=found["date"],
        sha16=found["sha16"],
        codec=codec,
        **numbers,
    )
    return parsed if _quoted(parsed.stream) == found["stream"] else None


def job_prefix(prefix: str, stream: str) -> str:
    """What the keys of all objects of the stream start with. `parse_key` tells whose each one is. Raises Invalid."""
    clean = check_prefix("prefix", prefix)
    start = f"{clean}/{FORMAT}/{_quoted(stream)}/" if clean else f"{FORMAT}/{_quoted(stream)}/"
    if len(start.encode()) > MAX_KEY - _LONGEST_REST:
        remedy = "shorten the prefix or the name of the stream"
        raise Invalid("prefix", f"object keys would be longer than {MAX_KEY} bytes", remedy)
    return start


def life_prefix(prefix: str, stream: str, opening: Opening, job_id: str) -> str:
    """What the keys of one job's objects of one life start with; they sort by seq. Raises Invalid."""
    return f"{job_prefix(prefix, stream)}{opening.created}/{opening.ordinal:04d}/{job8(job_id)}/"


def job8(job_id: str) -> str:
    """The first 8 hex digits of a job's uuid. Raises Invalid."""
    short = job_id.lower()[:8]
    if not _JOB8.fullmatch(short):
        raise Invalid("job_id", f"{job_id!r} is no uuid", "use the id that the job was given")
    return short


def check_prefix(field: str, prefix: str) -> str:
    """The prefix without slashes at its ends or doubled ones. Raises Invalid for `.`, `..` and control characters."""
    parts = [part for part in prefix.split("/") if part]
    if "." in parts or ".." in parts:
        raise Invalid(field, f"{prefix!r} holds a '.' or '..' as a part", "name the folder itself")
    if any(ord(letter) < 0x20 or 0x7F <= ord(letter) < 0xA0 or "\ud800" <= letter <= "\udfff" for letter in prefix):  # noqa: PLR2004 - control characters
        raise Invalid(field, f"{prefix!r} holds a control character", "leave it out")
    return "/".join(parts)


def date_of(time_ns: int) -> str:
    """The day in UTC, YYYY-MM-DD."""
    return datetime.fromtimestamp(time_ns // 1_000_000_000, UTC).strftime("%Y-%m-%d")


def _quoted(stream: str) -> str:
    """Percent-encoded UTF-8, all but letters, digits, `-` and `_`."""
    return quote(stream, safe="").replace(".", "%2E").replace("~", "%7E")


def _codec(extension: str) -> Codec | None:
    return next((codec for codec, known in EXTENSIONS.items() if known == extension), None)
