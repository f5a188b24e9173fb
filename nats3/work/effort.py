"""How hard a job compresses: less while it falls behind, more while it has time. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

LEAST, MOST = 1, 9
"""zstd levels that `auto` chooses from: above 9 a level costs much more than it saves."""

_BEHIND = 0.5
_IDLE = 0.1
"""Shares of the time between chunks that pressing took. One level more costs at most four times as much, so that a job
which is idle is not behind after it."""


@dataclass(frozen=True, slots=True)
class Effort:
    """The level of the next chunk, and whether it may change."""

    level: int
    fixed: bool = False

    def after(self, pressing_s: float, passed_s: float) -> Effort:
        """After a chunk whose pressing took `pressing_s` of the `passed_s` seconds since the one before it was ready."""
        if self.fixed:
            return self
        if pressing_s > _BEHIND * passed_s:
            return replace(self, level=max(LEAST, self.level // 2))
        if pressing_s < _IDLE * passed_s:
            return replace(self, level=min(MOST, self.level + 1))
        return self


def effort_of(ordered: int | str) -> Effort:
    """What an order's `level` means: a number is kept, `auto` begins with the least, for there may be much to catch up."""
    return Effort(ordered, fixed=True) if isinstance(ordered, int) else Effort(LEAST)
