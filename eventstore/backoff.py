"""How long to wait before the next attempt."""

from __future__ import annotations

from random import Random


class Backoff:
    """Seconds that double from `first` to `ceiling`, with full jitter, until reset."""

    def __init__(self, first: float = 0.05, ceiling: float = 2.0, chance: Random | None = None) -> None:
        self._first = first
        self._ceiling = ceiling
        self._chance = chance or Random()  # noqa: S311 - jitter is no secret
        self._bound = first

    def next(self) -> float:
        """Wait this long, in seconds."""
        delay = self._chance.uniform(0, self._bound)
        self._bound = min(self._bound * 2, self._ceiling)
        return delay

    def reset(self) -> None:
        """The last attempt went well."""
        self._bound = self._first
