"""Times and durations as people write them, and as we write them back."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

from nats3.errors import Invalid

_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = 1_000_000_000
_DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)\s*([A-Za-zµ]+)\s*", re.ASCII | re.IGNORECASE)
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
_UNITS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": _MINUTE,
    "h": _HOUR,
    "d": _DAY,
    "w": 7 * _DAY,
    "M": 30 * _DAY,
    "y": 365 * _DAY,
    **dict.fromkeys(("sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), _MINUTE),
    **dict.fromkeys(("hr", "hrs", "hour", "hours"), _HOUR),
    **dict.fromkeys(("day", "days"), _DAY),
    **dict.fromkeys(("week", "weeks"), 7 * _DAY),
}
_LONGEST_DURATION = 255
TIME_REMEDY = "give a time with its zone, such as 2026-11-23T12:00:00Z"
DURATION_REMEDY = "give a duration such as 500ms, 10s, 5m, 1h30m or 2d"


def parse_time(field: str, text: str) -> int:
    """Nanoseconds since 1970 of an RFC 3339 time, exactly. Raises Invalid."""
    found = _TIME.fullmatch(text)
    if not found:
        raise Invalid(field, f"{text[:60]!r} is no time of RFC 3339", TIME_REMEDY)
    *parts, fraction, sign, hours, minutes = found.groups()
    try:
        offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0)) * (-1 if sign == "-" else 1)
        year, month, day, hour, minute, second = map(int, parts)
        moment = datetime(year, month, day, hour, minute, second, tzinfo=timezone(offset))
    except ValueError as fault:
        raise Invalid(field, f"{text[:60]!r} is no time: {fault}", TIME_REMEDY) from None
    since = moment - _EPOCH
    return (since.days * 86400 + since.seconds) * _SECOND + int((fraction or "").ljust(9, "0"))


def format_ns(time_ns: int) -> str:
    """RFC 3339 in UTC with microseconds, or nanoseconds where microseconds would lose some."""
    seconds, rest = divmod(time_ns, _SECOND)
    moment = _EPOCH + timedelta(seconds=seconds)
    fraction = f"{rest:09d}"
    # Not strftime: of years below 1000 it leaves out the zeros in front.
    return f"{moment.isoformat()[:19]}.{fraction[:6] if fraction.endswith('000') else fraction}Z"


def format_time(moment: datetime) -> str:
    """RFC 3339 in UTC with microseconds."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def parse_duration(field: str, text: str) -> float:
    """Seconds. `M` is 30 days, `m` a minute. Raises Invalid."""
    total, at = 0.0, 0
    while at < len(text) <= _LONGEST_DURATION:
        found = _DURATION.match(text, at)
        unit = found and (_UNITS.get(found[2]) or _UNITS.get(found[2].lower()))
        if not found or unit is None:
            break
        total += float(found[1]) * unit
        at = found.end()
    if not text or at < len(text):
        raise Invalid(field, f"{text[:60]!r} is no duration", DURATION_REMEDY)
    return total


def format_duration(seconds: float) -> str:
    """Such as `1h30m`, `10s`, `250ms`; what `parse_duration` reads."""
    milliseconds = round(seconds * 1000)
    parts: list[str] = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, milliseconds = divmod(milliseconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
