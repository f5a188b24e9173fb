"""What happens to every run, of whatever kind, on `run/<id>`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

Dependency = Literal["nats", "s3", "postgres"]
ConditionName = Literal["new", "running", "degraded", "blocked", "paused", "stopped", "failed"]


@dataclass(frozen=True, slots=True)
class RunActivated:
    """A node owns the run from here on, under this fence."""

    activation: int
    node: str


@dataclass(frozen=True, slots=True)
class RunDegraded:
    """A dependency is away: the run retries in place."""

    dependency: Dependency
    reason: str


@dataclass(frozen=True, slots=True)
class RunRecovered:
    """What was away is back, or what blocked is gone: work flows."""

    after: str


@dataclass(frozen=True, slots=True)
class RunBlocked:
    """The world must change before the run can go on."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class RunPaused:
    """The run has settled what it held and stands still."""


@dataclass(frozen=True, slots=True)
class RunStopped:
    """The node let the run go; another, or the same, may go on with it."""

    reason: str


@dataclass(frozen=True, slots=True)
class RunFailed:
    """The restart law gave up: a bug of ours, named in `reason`; `fault` is its class, empty where nobody knows it.

    Version 1 had no `fault`.
    """

    reason: str
    fault: str


def fault_in(reason: str) -> str:
    """The class of an error out of its repr, `KeyError('x')`, or its usual text, `KeyError: 'x'`."""
    found = _FAULT.match(reason)
    return found[1] if found else ""


_FAULT = re.compile(r"([A-Z]\w*)(?:\(|:|$)")


def with_fault(data: dict[str, Any]) -> dict[str, Any]:
    """`run_failed` of version 1 as one of version 2."""
    return {**data, "fault": fault_in(data["reason"])}


RunEvent = RunActivated | RunDegraded | RunRecovered | RunBlocked | RunPaused | RunStopped | RunFailed

RUN_EVENTS: tuple[type[RunEvent], ...] = (
    RunActivated,
    RunDegraded,
    RunRecovered,
    RunBlocked,
    RunPaused,
    RunStopped,
    RunFailed,
)


@dataclass(frozen=True, slots=True)
class Condition:
    """How a run is, apart from what it has done."""

    name: ConditionName = "new"
    reason: str = ""


def condition_after(event: RunEvent) -> Condition:
    """A run's condition depends on its latest event of this kind alone."""
    match event:
        case RunActivated() | RunRecovered():
            return Condition("running")
        case RunDegraded(dependency=dependency, reason=reason):
            return Condition("degraded", f"{dependency}: {reason}")
        case RunBlocked(code=code, reason=reason):
            return Condition("blocked", f"{code}: {reason}")
        case RunPaused():
            return Condition("paused")
        case RunStopped(reason=reason):
            return Condition("stopped", reason)
        case RunFailed(reason=reason):
            return Condition("failed", reason)
