"""A node's own signs of life: how late its loop runs, how old its lease is, how far behind its views are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from typing_extensions import override

from eventstore import Background
from nats3.work.lease import NodeLease

BEAT_S = 1.0
"""Between two beats; a loop that is held up for longer is told at the beat after."""


class Listener(Protocol):
    """Whom to tell; telemetry gives one."""

    def beat(self, loop_lag_s: float, lease_age_s: float | None, head: int, behind: Mapping[str, int]) -> None:
        """`behind`: events that the views kept by this node have yet to fold, by view. No age without a lease."""
        ...


@dataclass
class Pulse(Background):
    """Tells how the node is, once per BEAT_S, without asking anybody: all of it is known in memory."""

    lease: NodeLease
    head: Callable[[], int]
    behind: Callable[[], Mapping[str, int]]
    listener: Listener
    monotonic: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]

    @override
    async def run(self) -> None:
        """Beat for ever."""
        while True:
            due = self.monotonic() + BEAT_S
            await self.sleep(BEAT_S)
            late = max(0.0, self.monotonic() - due)
            self.listener.beat(late, self.lease.age_s(), self.head(), self.behind())
