"""Comes back for what deleted jobs left in NATS: that they were deleted stands in the log, and that nothing is left too."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Protocol

from typing_extensions import override

from actors import errors as actor_errors
from eventstore import Background, LogRewound, LogUnavailable, Position, Tail
from nats3.errors import Nats3Error, Unavailable
from nats3.job.history import types_of
from nats3.job.ordering import JobDeleted
from nats3.work.claiming import Claimant

TIDY_S = 30.0
"""How often a node looks for what is left."""

_DELETED = types_of(JobDeleted)


class Untidy(Protocol):
    """Deleted jobs, as a view of the log has them. Raises Unavailable."""

    async def untidy(self) -> list[str]: ...

    async def caught_up(self) -> int:
        """Wait, a little, until the view holds what the log holds now; the position of its last event."""
        ...


class Forgetter(Protocol):
    async def forget(self, job_id: str, fence: int) -> None:
        """Leave nothing of the job in NATS, and record that, under this fence. Raises Unavailable and other faults of NATS."""
        ...


@dataclass
class Tidy(Background):
    """One per node; an async context manager."""

    untidy: Untidy
    claims: Claimant
    staff: Forgetter
    tail: Tail
    _seen: Position = field(default=Position(0))

    @override
    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                self._seen = Position(await self.untidy.caught_up())
                for job_id in await self.untidy.untidy():
                    await self._tidy(job_id)
            except (Nats3Error, LogUnavailable):
                pass  # it is asked for again below, for as long as the view says that something is left
            await self._until_deleted()

    async def _tidy(self, job_id: str) -> None:
        """Under a claim: while a node still runs the job there is none to be had, and that node tidies up itself."""
        for claim in await self.claims.take([f"run/{job_id}"], 1):
            try:
                await self.staff.forget(job_id, claim.fence)
            except (actor_errors.ActorError, Unavailable):
                continue
            finally:
                await self.claims.release(claim.entity_id, claim.fence)

    async def _until_deleted(self) -> None:
        """Wait until another job is deleted, or a while."""
        try:
            async with asyncio.timeout(TIDY_S), aclosing(self.tail.follow(self._seen)) as pages:
                async for page in pages:
                    if any(event.type in _DELETED for event in page):
                        return
        except (TimeoutError, LogRewound, LogUnavailable):
            return
