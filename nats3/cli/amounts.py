"""Amounts as people write them: sizes, durations, and times that lie so long ago."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from nats3.cli.exits import Exit, Refused

_DAY = 86_400.0
_UNITS = {
    "ms": 0.001, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0,
    "d": _DAY, "w": 7 * _DAY, "M": 30 * _DAY, "y": 365 * _DAY,
}  # fmt: skip
_PART = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|sec|min|s|m|h|d|w|M|y)", re.ASCII)


def wall_clock() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the border: a person says how long ago


def seconds(option: str, text: str) -> float:
    """A duration in Go's units, days, weeks, months of 30 days and years: `90s`, `1h30m`, `5sec`. Raises Refused."""
    found = _seconds(text)
    if found is None:
        raise Refused(Exit.USAGE, f"{option} {text} is no duration, for example 90s or 1h30m")
    return found


def size(option: str, text: str) -> int:
    """Bytes, in steps of 1024: `64MB`. Raises Refused."""
    from nats3.config.read import Wrong  # noqa: PLC0415 - `--help` needs no settings
    from nats3.config.read import size as read  # noqa: PLC0415 - see above

    try:
        return read(1)(text)
    except Wrong as fault:
        raise Refused(Exit.USAGE, f"{option} {text!r} {fault}: give bytes, as 64MB") from None


def moment(text: str | None, now: Callable[[], datetime] = wall_clock) -> str | None:
    """The time that lies a duration back, as RFC 3339; any other text as it is, for the server to judge."""
    back = None if text is None else _seconds(text)
    if back is None:
        return text
    try:
        return (now() - timedelta(seconds=back)).isoformat().replace("+00:00", "Z")
    except OverflowError:
        raise Refused(Exit.USAGE, f"{text} ago there was no time that could be told: give less") from None


def _seconds(text: str) -> float | None:
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in parts)
