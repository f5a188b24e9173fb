"""A node's share of all runs: what it hands over, and what it takes although it has its share. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

HAND_OVER_S = 10.0
"""How long between two runs that a node hands over because it has more than its share."""

STRANDED_S = 10.0
"""How long a run may be nobody's until nodes that have their share take it: those that have not may be unable to read it."""


@dataclass(slots=True)
class Share:
    """One per node. `now` is in seconds, of one monotonic clock."""

    _nodes: frozenset[object] = frozenset()
    _missing: dict[str, float] = field(default_factory=dict[str, float])
    _beyond: set[str] = field(default_factory=set[str])
    _next_hand_over: float = float("-inf")
    _next_look: float = float("-inf")

    def miss(self, runs: Collection[str], now: float) -> None:
        """These are wanted, and this node has not got them; it does not know who has."""
        self._missing = {run: self._missing.get(run, now) for run in runs}

    def meet(self, nodes: Collection[object]) -> None:
        """These live. One that is new may be able to run what no other was."""
        if self._nodes != frozenset(nodes):
            self._nodes = frozenset(nodes)
            self._beyond.clear()

    def stranded(self, now: float) -> list[str]:
        """What has been missed for long, now and then: if nobody has it, it is to be had."""
        if now < self._next_look:
            return []
        self._next_look = now + STRANDED_S
        return [run for run, since in self._missing.items() if now - since >= STRANDED_S]

    def take_beyond(self, run: str) -> None:
        """Nobody else took it, so it is not handed over either."""
        self._beyond.add(run)

    def hands_over(self, held: Sequence[str], share: int, now: float) -> str | None:
        """One run at a time, the newest, so that no more of them stand still than must."""
        willing = [run for run in held if run not in self._beyond]
        if len(held) <= share + 1 or not willing or now < self._next_hand_over:
            return None
        self._next_hand_over = now + HAND_OVER_S
        return willing[-1]
