"""A node tells how it is, beat by beat, out of what it knows already."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from nats3.work.lease import NodeLease
from nats3.work.pulse import BEAT_S, Pulse


class Enough(Exception):
    """The test has heard what it wanted."""


class Node:
    """A clock that a held-up loop moves too far, and ears."""

    def __init__(self, delays: list[float]) -> None:
        self.now = 100.0
        self.delays = delays
        self.heard: list[tuple[float, float | None, int, Mapping[str, int]]] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        if not self.delays:
            raise Enough
        self.now += seconds + self.delays.pop(0)

    def beat(self, loop_lag_s: float, lease_age_s: float | None, head: int, behind: Mapping[str, int]) -> None:
        self.heard.append((loop_lag_s, lease_age_s, head, behind))


async def test_it_tells_how_late_the_loop_ran_and_how_old_the_lease_is() -> None:
    node = Node([0.0, 2.5])
    lease = NodeLease(node.clock)
    lease.renewed(99.0)
    with pytest.raises(Enough):
        await Pulse(lease, lambda: 7, lambda: {"jobs": 2}, node, node.clock, node.sleep).run()
    assert node.heard == [
        (0.0, 1.0 + BEAT_S, 7, {"jobs": 2}),
        (2.5, 1.0 + 2 * BEAT_S + 2.5, 7, {"jobs": 2}),
    ]
