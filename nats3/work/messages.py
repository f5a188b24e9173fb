"""What workers are told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nats3.job.running import Dependency

Why = Literal["paused", "deleted", "shutdown", "handed_over"]


@dataclass(frozen=True, slots=True)
class LookNow:
    """Somebody says that what blocked is gone: do not wait for the next look."""


@dataclass(frozen=True, slots=True)
class Ending:
    """The stop that follows has this reason."""

    why: Why


@dataclass(frozen=True, slots=True)
class Away:
    """A call to a dependency has failed `attempt` times in a row and is being repeated in place."""

    dependency: Dependency
    reason: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Back:
    """The call that had failed went through."""

    dependency: Dependency
