"""This node's right to act, by its own monotonic clock: shorter than what the database grants, so that it ends first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from eventstore import LogUnavailable

LEASE_S = 10.0
"""What the database grants at each renewal."""

RENEW_S = 3.0
MARGIN_S = 2.0
"""How much sooner the node stops believing in its lease than the database does."""


RENEW_AGAIN_S = 0.5
"""How long after a renewal that failed the next one is begun."""


class Lessee(Protocol):
    """What the database knows of this node. Raises LogUnavailable when it is away."""

    async def register(self, name: str, lease: float = LEASE_S) -> object: ...

    async def renew(self) -> bool:
        """False: it had run out before, so others may have taken what this node owned."""
        ...


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

    def now(self) -> float:
        return self._monotonic()

    def valid(self) -> bool:
        return self._monotonic() < self._until

    def age_s(self) -> float | None:
        """Seconds since the last successful renewal was begun; None before the first."""
        return None if self._begun is None else self._monotonic() - self._begun

    def left_s(self) -> float:
        return max(0.0, self._until - self._monotonic())


async def keep(
    lessee: Lessee, name: str, lease: NodeLease, *, kept: Callable[[], None], lost: Callable[[], Awaitable[None]]
) -> None:
    """Renew for ever; call `kept` where the node may act (again), `lost` where others may have taken, or soon may take, what runs here."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_renew(lessee, name, lease, kept, lost))
        tasks.create_task(_watch(lease, lost))


async def _renew(
    lessee: Lessee, name: str, lease: NodeLease, kept: Callable[[], None], lost: Callable[[], Awaitable[None]]
) -> None:
    registered = False
    while True:
        begun = lease.now()
        try:
            if not registered:
                await lessee.register(name, LEASE_S)
                registered = True
                regained = True
            else:
                regained = not await lessee.renew()
                if regained:
                    await lost()
            regained = regained or not lease.valid()
            lease.renewed(begun)
            if regained and lease.valid():
                kept()
        except LogUnavailable:
            await asyncio.sleep(RENEW_AGAIN_S)
        else:
            await asyncio.sleep(RENEW_S)


async def _watch(lease: NodeLease, lost: Callable[[], Awaitable[None]]) -> None:
    """By this node's clock alone: a renewal that hangs longer than the lease lasts must not hide its end."""
    while True:
        if not lease.valid():
            await lost()
        await asyncio.sleep(lease.left_s() or RENEW_AGAIN_S)
