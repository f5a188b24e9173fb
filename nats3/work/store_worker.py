"""The actor of a store job: binds, lets the messages flow, and ends with everything settled."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from typing_extensions import override

from actors.journal import Journal
from nats3.buffer import Seal
from nats3.errors import Blocked, Nats3Error
from nats3.jetstream.errors import MustBind
from nats3.job.order import StoreOrder
from nats3.job.storing import ConsumersForgotten, Storing, StoringEvent, evolve
from nats3.work.bind import Binder, Bound
from nats3.work.housekeeping import Housekeeping
from nats3.work.run import Claimed
from nats3.work.store_flow import StoreFlow
from nats3.work.tools import Tools
from nats3.work.worker import Trouble, Worker

_FORGET_S = 5.0
"""How long a deleted job tries to clear away its consumers before it leaves that to others."""


class StoreWorker(Worker[Storing, StoringEvent]):
    """One activation of a store job's run."""

    kind = "store"

    def __init__(self, claimed: Claimed, order: StoreOrder, journal: Journal[StoringEvent], tools: Tools) -> None:
        super().__init__(claimed, journal, tools)
        self._order = order
        self._objects = tools.objects(Trouble("s3", self.tell_myself, self.retried))
        self._binder = Binder(claimed, order, self, tools, self._objects)
        self._flow: StoreFlow | None = None
        self._unproven = False
        """What ended the last flow may end the next one: that the job could bind does not say that it is over."""

    @override
    def initial(self) -> Storing:
        return Storing()

    @override
    def evolve(self, state: Storing, event: StoringEvent) -> Storing:
        return evolve(state, event)

    @override
    async def round(self) -> bool:
        bound = await self._bind()
        house = Housekeeping(self.claimed, self._order, bound.bind, self, self.tools, self._objects)
        self._flow = StoreFlow(
            self.claimed,
            self._order,
            bound,
            self,
            self.tools,
            self._objects,
            progressed=self.progressed,
            keep_house=house.run,
        )
        if self.ending:
            self.finish()
        try:
            await self._flow.run()
        except (Blocked, MustBind):
            self._unproven = True
            raise
        finally:
            self._flow = None
        return False

    async def _bind(self) -> Bound:
        try:
            bound = await self._binder.bind()
        except Nats3Error:
            self._unproven = False
            raise
        if not self._unproven:
            await self.recovered()
        return bound

    @override
    async def progressed(self) -> None:
        self._unproven = False
        await super().progressed()

    @override
    def finish(self) -> bool:
        if self._flow is not None:
            self._flow.finish(Seal.PAUSE if self.why == "paused" else Seal.STOP)
        return self._flow is not None

    @override
    async def forget(self) -> None:
        """Where NATS is away, `work/tidy.py` comes back for it: the event that nothing is left is then still missing."""
        with suppress(Nats3Error, TimeoutError):
            async with asyncio.timeout(_FORGET_S):
                await self._binder.forget()
                await self.emit(ConsumersForgotten(self._order.stream))
