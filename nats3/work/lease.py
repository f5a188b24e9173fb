"""This node's right to act, by its own monotonic clock: shorter than what the database grants, so that it ends first."""

from __future__ import annotations

from collections.abc import Callable

LEASE_S = 10.0
"""What the database grants at each renewal."""

RENEW_S = 3.0
MARGIN_S = 2.0
"""How much sooner the node stops believing in its lease than the database does."""


class NodeLease:
    """Valid for LEASE_S - MARGIN_S seconds from the moment at which the last successful renewal was begun."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._until = float("-inf")
        self._begun: float | None = None

    def renewed(self, begun: float) -> None:
        """A renewal that was begun at monotonic time `begun` has succeeded."""
        self._begun = begun
        self._until = begun + LEASE_S - MARGIN_S

    def valid(self) -> bool:
        return self._monotonic() < self._until

    def age_s(self) -> float | None:
        """Seconds since the last successful renewal was begun; None before the first."""
        return None if self._begun is None else self._monotonic() - self._begun

    def left_s(self) -> float:
        return max(0.0, self._until - self._monotonic())
