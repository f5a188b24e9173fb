"""The restart law: pure, so that a table of failures and a clock reading prove it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import assert_never

from actors.errors import Kind


class StopReason(Enum):
    """Why an actor stopped without having failed."""

    ASKED = "asked"
    FINISHED = "finished"  # by itself
    IDLE = "idle"  # passivated: its next message activates it again
    FENCED = "fenced"
    TIMED_OUT = "timed out"  # asked, but cancelled because it took too long


@dataclass(frozen=True, slots=True)
class Failure:
    """One activation that failed at `at` (seconds, monotonic), `healthy_for` seconds after its start was complete."""

    kind: Kind
    at: float
    healthy_for: float = 0.0


@dataclass(frozen=True, slots=True)
class Restart:
    """Activate again after `delay` seconds."""

    delay: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Do not activate again, and say so: someone must act."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Do not activate again, and say nothing: someone else has taken over."""


Verdict = Restart | GiveUp | Stop


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """One for one. Seconds, except `restarts` (how many are allowed within `within`) and `jitter` (share of a delay)."""

    first_delay: float = 0.5
    factor: float = 2.0
    longest_delay: float = 30.0
    longest_wait: float = 3.0  # after a transient fault: what was away may be back at any moment
    jitter: float = 0.2
    restarts: int = 5
    within: float = 60.0
    healthy_after: float = 60.0

    def judge(self, failures: Sequence[Failure], now: float, chance: float = 0.0) -> Verdict:
        """What follows from the last of `failures` (oldest first, at least one). `chance` in [0, 1) shortens the delay.

        A transient failure delays but spends no restart; a failure after `healthy_after` begins anew.
        """
        kind = failures[-1].kind
        row = self._in_a_row(failures)
        match kind:
            case Kind.FENCED:
                return Stop()
            case Kind.PERMANENT:
                return GiveUp()
            case Kind.BUG if self._spent(row[:-1], now) >= self.restarts:
                return GiveUp()
            case Kind.BUG:
                return Restart(self._delay(len(row), self.longest_delay, chance))
            case Kind.TRANSIENT:
                return Restart(self._delay(len(row), self.longest_wait, chance))
            case _:
                assert_never(kind)

    def _in_a_row(self, failures: Sequence[Failure]) -> Sequence[Failure]:
        """The last failures that followed each other without health between them; at least the last one."""
        anew = [at for at, failure in enumerate(failures) if failure.healthy_for >= self.healthy_after]
        return failures[anew[-1] :] if anew else failures

    def _spent(self, before: Sequence[Failure], now: float) -> int:
        """Restarts that the window still remembers."""
        return sum(failure.kind is Kind.BUG and failure.at > now - self.within for failure in before)

    def _delay(self, row: int, longest: float, chance: float) -> float:
        # The exponent is capped so that a year of outage does not overflow a float.
        delay = min(longest, self.first_delay * self.factor ** min(row - 1, 64))
        return delay * (1 - self.jitter * chance)
