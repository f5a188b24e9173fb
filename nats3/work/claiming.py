"""Take runs for this node; what was taken without our hearing of it is given back first, or nobody would ever run it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from eventstore import Claim, Fence, Node
from nats3.failpoint import Reach
from nats3.work.lease import LEASE_S


class Claimant(Protocol):
    """This node's claims: eventstore's Claims."""

    async def take(self, wanted: Sequence[str], limit: int) -> list[Claim]: ...

    async def release(self, entity_id: str, fence: Fence) -> bool: ...


class Leaseholder(Claimant, Protocol):
    """This node's lease, and its claims."""

    async def register(self, name: str, lease: float = LEASE_S) -> object: ...

    async def renew(self) -> bool: ...

    async def leave(self) -> None: ...

    async def nodes(self) -> list[Node]: ...

    async def owned(self) -> list[Claim]: ...


class Taking:
    """One per node. `wanted` are always runs that this node does not run."""

    def __init__(self, claims: Leaseholder, reach: Reach) -> None:
        self._claims = claims
        self._reach = reach
        self._doubtful = False

    async def take(self, wanted: Sequence[str], limit: int) -> list[Claim]:
        """Up to `limit` claims. Raises LogUnavailable: then the claims may have been made, or not."""
        if self._doubtful:
            await self._give_back(wanted)
        self._doubtful = True
        taken = await self._claims.take(wanted, limit)
        if taken:
            await self._reach("run.after_claim")
        self._doubtful = False
        return taken

    async def _give_back(self, wanted: Sequence[str]) -> None:
        """The answer to a claim was lost: the log may say that this node owns what it does not run."""
        for claim in await self._claims.owned():
            if claim.entity_id in wanted:
                await self._claims.release(claim.entity_id, claim.fence)
