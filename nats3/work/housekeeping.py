"""What a store job does beside its work, slowly: find what was stored too late, and clear away what is condemned."""

from __future__ import annotations

from nats3.errors import Nats3Error
from nats3.job.order import StoreOrder
from nats3.objects.store import ObjectStore
from nats3.work.run import Claimed, StoringRun
from nats3.work.stragglers import Stragglers
from nats3.work.sweeper import Sweeper
from nats3.work.tools import Tools


class Housekeeping:
    """For one bind; ends with it."""

    def __init__(
        self, claimed: Claimed, order: StoreOrder, bind: int, run: StoringRun, tools: Tools, objects: ObjectStore
    ) -> None:
        self._order = order
        self._tools = tools
        self._habits = tools.habits
        self._stragglers = Stragglers(claimed, order, bind, run, objects, index=tools.index, in_thread=tools.in_thread)
        self._sweeper = Sweeper(claimed, run, objects, tools.condemned, tools.index, tools.lease)

    async def run(self) -> None:
        """Until cancelled. A fault of S3 or Postgres is told and puts off what is to be done; the job's work goes on."""
        await self._tools.sleep(self._habits.first_s)
        while True:
            try:
                await self._keep()
            except Nats3Error as fault:
                self._tools.signals.enduring(self._order.name, "housekeeping", str(fault), 1)
            await self._tools.sleep(self._habits.every_s)

    async def _keep(self) -> None:
        late = await self._stragglers.look(self._rest)
        if late:
            self._tools.signals.bound(self._order.name, f"{late} objects were stored too late and are condemned")
        if self._habits.grace_s is not None:
            swept = await self._sweeper.sweep(self._habits.grace_s)
            if swept:
                self._tools.signals.bound(self._order.name, f"{swept} condemned objects are deleted")

    async def _rest(self) -> None:
        await self._tools.sleep(self._habits.page_s)
