"""Version 2: what shapes a load: which headers it selects, what becomes of subjects, and how fast it goes."""

from __future__ import annotations

from typing import Any

from nats3.api.reading import Exact
from nats3.api.values import Duration, Filter, Rate, TransformTarget
from nats3.api.words import format_duration, parse_duration
from nats3.job.order import SubjectTransform
from nats3.pace import PaceLimits


class TransformV2(Exact):
    """What matches `src` is published on `dest`, as in NATS's own `subject_transform`."""

    src: Filter
    dest: TransformTarget


class PaceV2(Exact):
    """How fast a load publishes; what is left out is no limit. `speed` 1 is the original timing, 2 twice as fast, with no
    pause longer than `max_gap`.
    """

    messages_per_s: Rate | None = None
    bytes_per_s: Rate | None = None
    speed: Rate | None = None
    max_gap: Duration | None = None


def transforms_of(bodies: list[TransformV2]) -> tuple[SubjectTransform, ...]:
    return tuple(SubjectTransform(each.src, each.dest) for each in bodies)


def pace_of(body: PaceV2) -> PaceLimits:
    """Raises Invalid."""
    gap = None if body.max_gap is None else parse_duration("pace.max_gap", body.max_gap)
    return PaceLimits(body.messages_per_s, body.bytes_per_s, body.speed, gap)


def pace_body(pace: PaceLimits) -> dict[str, Any]:
    """In the words of PaceV2."""
    return {
        "messages_per_s": pace.messages_per_s,
        "bytes_per_s": pace.bytes_per_s,
        "speed": pace.factor,
        "max_gap": None if pace.max_gap_s is None else format_duration(pace.max_gap_s),
    }
