"""Requests of every role to every route, in worlds that do not grow too old: what they cost depends on the length of the log."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.api.fuzz import run

A_WORLD = 20_000
"""Requests that are asked of one database."""


@dataclass
class Asked:
    """What was asked in all worlds, and what was wrong."""

    statuses: Counter[int] = field(default_factory=Counter[int])
    faults: list[str] = field(default_factory=list[str])
    seconds: float = 0.0

    @property
    def requests(self) -> int:
        return self.statuses.total()


def ask(requests: int, seed: int, say: Callable[[str], None]) -> Asked:
    """World after world, each from a seed of its own, so that one of them is played again by `python -m tests.api.fuzz`."""
    asked, began = Asked(), time.monotonic()
    for number, first in enumerate(range(0, requests, A_WORLD)):
        played, faults = run(min(A_WORLD, requests - first), seed + number)
        asked.statuses += played.statuses
        asked.faults += faults
        asked.seconds = time.monotonic() - began
        say(
            f"api: {asked.requests} requests in {asked.seconds:.0f} s, {len(asked.faults)} faults, seed {seed + number}"
        )
        for fault in faults[:20]:
            say(fault)
    told = ", ".join(f"{status}: {count}" for status, count in sorted(asked.statuses.items()))
    say(f"api: {asked.requests} requests, {len(asked.faults)} faults; {told}")
    return asked
