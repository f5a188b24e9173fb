"""Times as the server writes them, exactly."""

from __future__ import annotations

import re
from calendar import timegm

from nats3.message import TimeNs

_FORM = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:(Z)|([+-])(\d\d):(\d\d))", re.ASCII)


def nanoseconds(text: str) -> TimeNs:
    """Unix nanoseconds of an RFC 3339 time with up to nine decimals. Raises ValueError for any other text."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no RFC 3339 time")
    year, month, day, hour, minute, second = map(int, found.groups()[:6])
    seconds = timegm((year, month, day, hour, minute, second))
    if found[8] is None:
        offset = int(found[10]) * 3600 + int(found[11]) * 60
        seconds += -offset if found[9] == "+" else offset
    return TimeNs(seconds * 1_000_000_000 + int((found[7] or "").ljust(9, "0")))
