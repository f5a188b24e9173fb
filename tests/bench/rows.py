"""What a row is: it measures one thing on the running servers and says what it found."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from tests.bench.figures import Figure
from tests.bench.house import House


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured.

    `messages` in a stream that is read several times, `long` in one that is read once (0: there is none), `runs` of which
    the median counts, after one that does not where `warm`, `events` in the log, `jobs` in a list.
    """

    messages: int = 50_000
    long: int = 1_000_000
    runs: int = 5
    events: int = 20_000
    jobs: int = 1000
    warm: bool = True


QUICK = Size(messages=20_000, long=0, runs=1, events=1000, jobs=50, warm=False)

Row: TypeAlias = Callable[[House, Size], Coroutine[None, None, Sequence[Figure]]]
