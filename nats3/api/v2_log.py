"""Version 2: the partitions of the event log, and the segments in the bucket that old ones became."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import asdict
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from eventstore import Checked, Kept, Position, Standing
from nats3.api.errors import WalkUnderWay
from nats3.api.pages import listing
from nats3.api.reading import int_of, only
from nats3.api.services import Services
from nats3.api.v2_verify import MEDIA, Answer
from nats3.api.words import format_time


async def partitions(services: Services, request: Request) -> Response:
    """All partitions, oldest first; what keeps one in the database that is written to the bucket already."""
    only(request)
    return listing(request, [_partition(each) for each in await services.past.partitions()], None)


async def segments(services: Services, request: Request) -> Response:
    """Segments in the order of the log."""
    only(request, "after", "limit")
    after, limit = int_of(request, "after", 0), int_of(request, "limit", 100, 1, 1000)
    found = await services.past.segments(Position(after), limit)
    more = {"after": found[-1][0].from_position} if len(found) == limit else None
    return listing(request, [_segment(*each) for each in found], more)


async def verify(services: Services, request: Request) -> Response:
    """Read every segment back: one JSON object a line, the last one is the verdict. Raises WalkUnderWay."""
    only(request)
    if request.method == "HEAD":
        return Response(media_type=MEDIA)
    floor = max((each.partition.exported for each in await services.past.partitions()), default=Position(1))
    if not services.walks.take():
        raise WalkUnderWay
    return Answer(services.walks, _lines(services.past.check(), floor))


async def _lines(checks: AsyncGenerator[Checked], end: int) -> AsyncGenerator[bytes]:
    seen, broken = 0, 0
    async with aclosing(checks):
        async for each in checks:
            seen += 1
            broken += each.fault is not None
            yield _line({"position": each.up_to - 1, "head": end - 1, "segment": each.kept.name, "fault": each.fault})
    yield _line({"verdict": "broken" if broken else "whole", "segments": seen, "broken": broken})


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _partition(standing: Standing) -> dict[str, Any]:
    each = standing.partition
    state = "dropped" if each.dropped else "exported" if each.exported == each.to_position else "kept"
    return {
        "name": each.name,
        "from_position": each.from_position,
        "to_position": each.to_position,
        "state": state,
        "exported_to": each.exported,
        "held_by": [asdict(hold) for hold in standing.held_by],
    }


def _segment(kept: Kept, dropped_at: datetime | None) -> dict[str, Any]:
    return {
        "name": kept.name,
        "partition": kept.partition,
        "from_position": kept.from_position,
        "to_position": kept.to_position,
        "events": kept.events,
        "size": kept.size,
        "sha256": kept.sha256,
        "first_recorded_at": _time(kept.first_recorded_at),
        "last_recorded_at": _time(kept.last_recorded_at),
        "dropped_at": _time(dropped_at),
    }


def _time(time: datetime | None) -> str | None:
    return None if time is None else format_time(time)
