"""How often somebody may ask: a bucket of permissions for each, filled at a steady rate."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

KEPT = 10_000
"""So many askers are remembered; the one that was quiet for longest is forgotten first, with a full bucket."""


@dataclass(frozen=True, slots=True)
class Rate:
    """`per_second` on average, `burst` at once; `per_second` 0 is no limit."""

    per_second: float
    burst: int


class Rates:
    """Counts by name. `monotonic` gives seconds."""

    def __init__(self, rate: Rate, monotonic: Callable[[], float]) -> None:
        self.rate = rate
        self._monotonic = monotonic
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_of(self, name: str) -> float:
        """Take one permission of this name: 0.0, or the seconds until there is one, and none is taken."""
        if not self.rate.per_second:
            return 0.0
        wait, left, now = self._look(name)
        if not wait:
            self._left[name] = (left - 1, now)
            self._left.move_to_end(name)
            if len(self._left) > KEPT:
                self._left.popitem(last=False)
        return wait

    def wait_now(self, name: str) -> float:
        """The same without taking any."""
        return self._look(name)[0] if self.rate.per_second else 0.0

    def _look(self, name: str) -> tuple[float, float, float]:
        now = self._monotonic()
        left, then = self._left.get(name, (float(self.rate.burst), now))
        left = min(float(self.rate.burst), left + (now - then) * self.rate.per_second)
        return (0.0 if left >= 1 else (1 - left) / self.rate.per_second), left, now
