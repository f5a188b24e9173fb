"""What a token may see and order: patterns of jobs, streams and buckets, and the subjects that its loads may publish to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nats3.errors import Invalid

MAX_PATTERNS = 32
MAX_PATTERN = 255


@dataclass(frozen=True, slots=True)
class Scope:
    """An empty part allows all. `*` in a pattern stands for any characters; a job is meant by its name or its id.

    `subjects` are those of NATS, with its wildcards. A scope with streams and without subjects orders no loads: what a
    load publishes may end in any stream.
    """

    jobs: tuple[str, ...] = ()
    streams: tuple[str, ...] = ()
    buckets: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()

    @property
    def is_everything(self) -> bool:
        return not (self.jobs or self.streams or self.buckets or self.subjects)

    def sees(self, job_id: str, name: str, stream: str, bucket: str) -> bool:
        """Whether a job, with all that it made, is within."""
        return (
            (fits(self.jobs, name) or job_id in self.jobs) and fits(self.streams, stream) and fits(self.buckets, bucket)
        )

    def faults_of(self, job_id: str, name: str, stream: str, bucket: str) -> list[Invalid]:
        """What of an order is outside; `stream` is the one that is read or archived."""
        parts = (("name", name, self.jobs), ("stream", stream, self.streams), ("bucket", bucket, self.buckets))
        return [
            _outside(field, value, patterns)
            for field, value, patterns in parts
            if not fits(patterns, value) and not (field == "name" and job_id in patterns)
        ]

    def fault_of_target(self, published: Iterable[str]) -> Invalid | None:
        """What speaks against a load that publishes on these subjects, each perhaps a filter of many."""
        if self.subjects:
            beyond = [each for each in published if not any(covers(pattern, each) for pattern in self.subjects)]
            return _outside("write_subject", beyond[0], self.subjects) if beyond else None
        if not self.streams:
            return None
        fault = "cannot be ordered: this token is bound to streams, and a load may publish into any"
        return Invalid("write_subject", fault, "make a token that names the subjects its loads may publish to")


def fits(patterns: Iterable[str], text: str) -> bool:
    """Whether a text is one of these; no pattern at all allows every text."""
    wanted = tuple(patterns)
    return not wanted or any(_expression(pattern).fullmatch(text) for pattern in wanted)


def covers(pattern: str, subject: str) -> bool:
    """Whether every subject that `subject` (perhaps a filter itself) can stand for matches `pattern`."""
    wanted, given = pattern.split("."), subject.split(".")
    for place, part in enumerate(wanted):
        if part == ">":
            return len(given) > place
        if place >= len(given) or given[place] == ">" or (part != "*" and given[place] != part):
            return False
    return len(given) == len(wanted)


def like(pattern: str) -> str:
    """The same pattern for SQL's LIKE, with a backslash to escape."""
    return re.sub(r"([\\%_])", r"\\\1", pattern).replace("*", "%")


def check(scope: Scope) -> Iterator[Invalid]:
    """What is wrong with patterns that somebody gave."""
    for field in ("jobs", "streams", "buckets", "subjects"):
        patterns: tuple[str, ...] = getattr(scope, field)
        if len(patterns) > MAX_PATTERNS:
            yield Invalid(field, f"lists {len(patterns)} patterns", f"list at most {MAX_PATTERNS}")
        for pattern in patterns:
            if not (0 < len(pattern) <= MAX_PATTERN and pattern.isprintable()):
                yield Invalid(field, f"{pattern[:60]!r} is no pattern", f"use 1 to {MAX_PATTERN} printable characters")


def _expression(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in pattern.split("*")), re.DOTALL)


def _outside(field: str, value: str, patterns: Iterable[str]) -> Invalid:
    return Invalid(field, f"{value[:100]!r} is outside this token's scope", f"it reaches {', '.join(patterns)}")
