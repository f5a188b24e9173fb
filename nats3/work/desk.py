"""What is wanted of jobs, as the office reads it off the view `jobs`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

from typing_extensions import override

from eventstore import EventStore, LogUnavailable, Position
from nats3.errors import Unavailable
from nats3.job.ordering import Wanted
from nats3.views.job_queries import Jobs
from nats3.work.office import Desk, Runnable

_PATIENCE_S = 2.0


class ViewDesk(Desk):
    """`wait_for(name, position, timeout)` is the projector's."""

    def __init__(
        self, store: EventStore, jobs: Jobs, wait_for: Callable[[str, Position, float], Awaitable[bool]]
    ) -> None:
        self._store = store
        self._jobs = jobs
        self._wait_for = wait_for

    @override
    async def runnable(self) -> list[Runnable]:
        return [
            Runnable(str(each.job_id), each.order.name, each.order, each.generation, each.attempts)
            for each in await self._jobs.runnable()
        ]

    @override
    async def wanted(self, job_id: str) -> Wanted | None:
        """A deleted job is not in the view for anyone, which says all."""
        row = await self._jobs.get(UUID(job_id))
        return "deleted" if row is None else row.wanted

    @override
    async def reached(self, position: int) -> None:
        await self._wait_for("jobs", Position(position), _PATIENCE_S)

    @override
    async def caught_up(self) -> int:
        try:
            head = await self._store.head()
        except LogUnavailable as away:
            raise Unavailable("postgres", away.reason) from away
        await self._wait_for("jobs", head, _PATIENCE_S)
        return head
