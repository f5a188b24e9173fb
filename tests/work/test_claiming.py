"""The office: what it claims it runs, also when the answer to a claim was lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from actors.system import ActorSystem
from actors.testing import Probe, Recorder
from eventstore import Claim, LogUnavailable, Tail
from eventstore.memory import MemoryClaims, MemoryStore
from nats3.job.order import ChunkLimits, StoreOrder
from nats3.work.lease import NodeLease
from nats3.work.office import Office, Runnable
from nats3.work.run import Claimed

JOB = "11111111-2222-3333-4444-555555555555"


class OneJob:
    """A desk where one job is wanted."""

    async def runnable(self) -> list[Runnable]:
        return [Runnable(JOB, "job", StoreOrder("job", "S", ">", "b", limits=ChunkLimits()), 1, 1)]

    async def wanted(self, _: str) -> None:
        return None

    async def reached(self, _: int) -> None:
        return None

    async def caught_up(self) -> int:
        return 0


class Starts:
    """A staff that notes what it starts."""

    def __init__(self) -> None:
        self.started: asyncio.Queue[Claimed] = asyncio.Queue()

    def actor(self, _: Runnable, claimed: Claimed) -> Callable[[], Probe]:
        self.started.put_nowait(claimed)
        return Probe

    async def failed(self, claimed: Claimed, reason: str) -> None:
        raise AssertionError(claimed, reason)

    async def forget(self, _: str) -> None:
        return None


class LosesAnAnswer(MemoryClaims):
    """Takes what was asked for; the connection dies before the first answer."""

    lost = False

    async def take(self, wanted: Sequence[str], limit: int) -> list[Claim]:
        taken = await super().take(wanted, limit)
        if taken and not self.lost:
            self.lost = True
            raise LogUnavailable("the connection is gone")
        return taken


async def test_a_run_whose_claim_was_made_and_its_answer_lost_is_run_all_the_same() -> None:
    store, staff = MemoryStore(), Starts()
    claims = LosesAnAnswer(store)
    monotonic = asyncio.get_running_loop().time
    async with ActorSystem() as system, Tail(store) as tail:
        parts = (claims, OneJob(), staff, system, tail, NodeLease(monotonic), monotonic, Recorder())
        async with Office("node", *parts), asyncio.timeout(10):
            claimed = await staff.started.get()
    assert claims.lost
    assert claimed.job_id == JOB
