"""What is wanted of jobs, as the office reads it off the view `jobs`."""

from __future__ import annotations

from uuid import UUID

from typing_extensions import override

from eventstore import Position
from nats3.job.ordering import Wanted
from nats3.views.job_queries import Jobs
from nats3.work.abreast import Abreast
from nats3.work.office import Desk, Runnable

_PATIENCE_S = 2.0


class ViewDesk(Desk):
    def __init__(self, abreast: Abreast, jobs: Jobs) -> None:
        self._abreast = abreast
        self._jobs = jobs

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
        await self._abreast.reached("jobs", Position(position), _PATIENCE_S)

    @override
    async def caught_up(self) -> int:
        head = await self._abreast.head()
        await self._abreast.reached("jobs", head, _PATIENCE_S)
        return head
