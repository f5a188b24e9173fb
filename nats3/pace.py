"""How fast a replay goes: arithmetic on the caller's monotonic seconds; nobody waits here."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate


@dataclass(frozen=True, slots=True)
class PaceLimits:
    """What an order asks for; None: no limit. `factor` 2.0 replays twice as fast as it was recorded, with no pause
    between two messages longer than `max_gap_s`.
    """

    messages_per_s: float | None = None
    bytes_per_s: float | None = None
    factor: float | None = None
    max_gap_s: float | None = None

    @property
    def unlimited(self) -> bool:
        """Whether nothing is asked for."""
        return self.messages_per_s is None and self.bytes_per_s is None and self.factor is None


class Pace:
    """One replay's permission to send. A quiet time saves up at most `burst_s` of it."""

    def __init__(self, limits: PaceLimits, now: float, burst_s: float = 0.1) -> None:
        self._limits = limits
        self._burst = burst_s
        self._free_at = now
        self._timing = Timing(limits.factor, limits.max_gap_s) if limits.factor else None

    def due(self, times: Sequence[int], sizes: Sequence[int], now: float) -> tuple[int, float]:
        """(n, wait): the first n of the messages with these server times and bytes may go now; ask again in `wait` s.

        n is 0 exactly when wait > 0. Call `sent` for what really went.
        """
        if self._free_at > now:
            return 0, self._free_at - now
        if self._timing is None:
            return self._share(sizes, now), 0.0
        ready, wait = self._timing.due(times, now)
        return (self._share(sizes[:ready], now), 0.0) if ready else (0, wait)

    def sent(self, times: Sequence[int], size: int, now: float) -> None:
        """Messages with these server times and `size` bytes together were sent."""
        cost = max(_cost(len(times), self._limits.messages_per_s), _cost(size, self._limits.bytes_per_s))
        self._free_at = max(self._free_at, now - self._burst) + cost
        if self._timing is not None and times:
            self._timing.sent(times, now)

    def _share(self, sizes: Sequence[int], now: float) -> int:
        """As many as the saved time pays for, at least one: what a large one costs too much is waited for afterwards."""
        saved = min(now - self._free_at, self._burst)
        share = len(sizes)
        if self._limits.messages_per_s is not None:
            share = min(share, int(saved * self._limits.messages_per_s))
        if self._limits.bytes_per_s is not None:
            share = min(share, bisect_right(list(accumulate(sizes)), saved * self._limits.bytes_per_s))
        return min(len(sizes), max(1, share))


class Timing:
    """The original timing times a factor."""

    def __init__(self, factor: float, max_gap_s: float | None) -> None:
        self._factor = factor
        self._max_gap_ns = None if max_gap_s is None else int(max_gap_s * 1e9 * factor)
        self._last: int | None = None
        self._due = 0.0

    def due(self, times: Sequence[int], now: float) -> tuple[int, float]:
        """(n, seconds until the next): how many of the messages are due at `now`."""
        moments = self._moments(times, now)
        ready = bisect_right(moments, now)
        return ready, (moments[ready] - now if ready < len(moments) else 0.0)

    def sent(self, times: Sequence[int], now: float) -> None:
        self._due = self._moments(times, now)[-1]
        self._last = times[-1]

    def _moments(self, times: Sequence[int], now: float) -> list[float]:
        """When each message is due; never earlier than the one before, also when the server's clock stepped back."""
        first = times[0] if times else 0
        before = first if self._last is None else self._last
        start = now if self._last is None else self._due
        gaps = (self._gap(after - earlier) for earlier, after in zip((before, *times), times, strict=False))
        return list(accumulate(gaps, initial=start))[1:]

    def _gap(self, ns: int) -> float:
        bounded = max(0, ns) if self._max_gap_ns is None else min(max(0, ns), self._max_gap_ns)
        return bounded / 1e9 / self._factor


def _cost(amount: int, rate: float | None) -> float:
    return amount / rate if rate else 0.0
