"""Surveys: walks over buckets that an operator asks for. What is asked stands on `survey/<id>`, written by commands; what
the walk found on `walk/<id>`, written by the node that walks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Literal, assert_never

SurveyTask = Literal["verify", "rebuild"]
FindingKind = Literal["missing", "corrupt", "unrecorded", "unreadable", "left", "hole", "job_in_the_log"]
SurveyOutcome = Literal["done", "failed", "cancelled"]

FAULTS: frozenset[FindingKind] = frozenset({"missing", "corrupt", "unrecorded", "unreadable"})
"""Findings that something should be done about; the others say what a rebuild made of a bucket."""


@dataclass(frozen=True, slots=True)
class SurveyAsked:
    """`verify`: hold index and bucket against each other, of one job, one bucket or all; `deep` reads every byte.
    `rebuild`: record what the bucket has and no event refers to, of all jobs whose orders are not in the log.
    """

    task: SurveyTask
    bucket: str | None = None
    prefix: str | None = None
    job_id: str | None = None
    deep: bool = False


@dataclass(frozen=True, slots=True)
class SurveyCancelled:
    reason: str = ""


@dataclass(frozen=True, slots=True)
class WalkBegun:
    """A node walks from here on, under this fence: from the start, or from where another one stopped."""

    activation: int
    node: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with one object, or remarkable. Seqs are inclusive; None where they are not known."""

    kind: FindingKind
    bucket: str
    key: str
    job_id: str | None = None
    first: int | None = None
    last: int | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class WalkFound:
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class WalkProgressed:
    """`done` of `total` things are dealt with in `step`, the last of which was `after`; `counts` are of the whole walk."""

    step: str
    after: str
    done: int
    total: int
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class WalkWaits:
    """It cannot go on for now, and tries again until it can or is cancelled. Said once, until it gets on again."""

    reason: str


@dataclass(frozen=True, slots=True)
class WalkEnded:
    """`reason` says why it failed."""

    outcome: SurveyOutcome
    counts: Mapping[str, int]
    reason: str = ""


SurveyEvent = SurveyAsked | SurveyCancelled
WalkEvent = WalkBegun | WalkFound | WalkProgressed | WalkWaits | WalkEnded

SURVEYING_EVENTS = (SurveyAsked, SurveyCancelled, WalkBegun, WalkFound, WalkProgressed, WalkWaits, WalkEnded)

FOLD = 2
"""See `storing.FOLD`."""


@dataclass(frozen=True, slots=True)
class Walk:
    """Fold of `walk/<id>`: where it stands, what it has counted, and what it waits for. `found` counts findings by kind."""

    node: str | None = None
    step: str = ""
    after: str = ""
    done: int = 0
    total: int = 0
    counts: Mapping[str, int] = field(default_factory=dict[str, int])
    found: Mapping[str, int] = field(default_factory=dict[str, int])
    ended: WalkEnded | None = None
    waits: str = ""


def evolve(walk: Walk, event: WalkEvent) -> Walk:
    match event:
        case WalkBegun(node=node):
            return replace(walk, node=node, waits="")
        case WalkFound(findings=findings):
            return replace(walk, found=_counted(walk.found, findings), waits="")
        case WalkProgressed():
            said = {each.name: getattr(event, each.name) for each in fields(event)}
            return replace(walk, **said, waits="")
        case WalkWaits(reason=reason):
            return replace(walk, waits=reason)
        case WalkEnded():
            return replace(walk, ended=event, counts=event.counts, waits="")
        case _:
            assert_never(event)


def _counted(found: Mapping[str, int], findings: Iterable[Finding]) -> Mapping[str, int]:
    counts = dict(found)
    for finding in findings:
        counts[finding.kind] = counts.get(finding.kind, 0) + 1
    return counts


def is_clean(walk: Walk) -> bool:
    """Whether nothing was found that something should be done about."""
    return not any(walk.found.get(kind) for kind in FAULTS)


def survey_entity(survey_id: str) -> str:
    """Where commands write."""
    return f"survey/{survey_id}"


def walk_entity(survey_id: str) -> str:
    """Where the node that walks writes."""
    return f"walk/{survey_id}"
