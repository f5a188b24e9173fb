"""What a job asks for follows what comes and what the budget has, for one job and for a hundred."""

from __future__ import annotations

import asyncio
import random
from types import SimpleNamespace

import pytest

from actors.testing import run_seeded
from nats3.buffer import Seal
from nats3.errors import Blocked
from nats3.jetstream.memory import MemoryJetStream
from nats3.jetstream.streams import ConsumerSpec
from nats3.job.order import ChunkLimits, StoreOrder
from nats3.work.bind import Bound
from nats3.work.budget import Budget
from nats3.work.intake import QUIET, Intake, Reading, cost
from nats3.work.tools import Habits
from tests.sim.node import tools_over

MIB = 1 << 20


class House:
    """Streams in memory, one budget, an intake for each stream, and a bucket that is slow."""

    def __init__(self, budget: int, max_payload: int = MIB) -> None:
        self.jet = MemoryJetStream(max_payload)
        self.objects = self.index = None
        self.habits = Habits()
        self.rng = random.Random(1)
        self.tools = tools_over(self)
        object.__setattr__(self.tools, "budget", Budget(budget))
        self.most_held = 0
        self.stored: dict[str, int] = {}

    async def intake(self, name: str, **limits: float) -> tuple[Intake, asyncio.Queue]:
        self.jet.make_stream(name, [f"{name}.>"])
        await self.jet.streams.make_consumer(spec(name))
        info = await self.jet.streams.info(name)
        order = StoreOrder(name, name, ">", "bucket", limits=ChunkLimits(**limits))
        bound = Bound(info, "c", self.jet.source(name, "c", ack="all"), 1, False, False)
        run = SimpleNamespace(state=SimpleNamespace(cursor=0))
        sealed: asyncio.Queue = asyncio.Queue(1)
        account = self.tools.budget.account(name)
        return Intake(Reading("job", order, bound, run, None), self.tools, account, sealed), sealed

    async def ship(self, name: str, account, sealed: asyncio.Queue) -> None:
        """Take a while for each chunk, then give its memory back."""
        while (batch := await sealed.get()) is not None:
            self.look()
            await asyncio.sleep(self.rng.uniform(0.01, 0.5))
            account.give(cost(len(batch.batch), batch.message_bytes))
            self.stored[name] = self.stored.get(name, 0) + len(batch.batch)

    def look(self) -> None:
        self.most_held = max(self.most_held, self.tools.budget.held)


def spec(stream: str) -> ConsumerSpec:
    return ConsumerSpec(
        stream=stream, name="c", filter_subject="", start_seq=1, ack="all", ack_wait_s=60.0, inactive_threshold_s=None
    )


async def _a_hundred(house: House, jobs: int, messages: int, size: int) -> None:
    async with asyncio.TaskGroup() as tasks:
        intakes = []
        for number in range(jobs):
            name = f"S{number}"
            intake, sealed = await house.intake(name, max_bytes=20_000_000, max_count=10_000, max_age_s=5.0)
            intakes.append(intake)
            tasks.create_task(intake.run())
            tasks.create_task(house.ship(name, intake._account, sealed))
        for number in range(messages):
            for job in range(jobs):
                house.jet.publish(f"S{job}.x", b"%d" % number + bytes(size))
            await asyncio.sleep(0.2)
            house.look()
        while sum(house.stored.values()) < jobs * messages:
            await asyncio.sleep(1)
            house.look()
        for intake in intakes:
            intake.finish(Seal.STOP)


def test_a_hundred_jobs_with_large_messages_stay_within_the_budget_and_all_get_on() -> None:
    async def life() -> House:
        house = House(8 * MIB, max_payload=MIB // 4)
        await _a_hundred(house, jobs=100, messages=3, size=MIB // 4 - 100)
        return house

    house = run_seeded(1, life)
    assert house.stored == {f"S{number}": 3 for number in range(100)}
    assert house.most_held <= 8 * MIB + 100 * 1000, "beside what messages weigh in Python"
    assert house.most_held > 4 * MIB


def test_two_hundred_quiet_jobs_hold_little() -> None:
    async def life() -> House:
        house = House(256 * MIB)
        await _a_hundred(house, jobs=200, messages=2, size=100)
        return house

    house = run_seeded(1, life)
    assert house.most_held <= 200 * (QUIET + 2000)


def test_a_message_that_no_job_may_hold_blocks_before_it_is_received() -> None:
    async def life() -> None:
        house = House(8 * MIB, max_payload=16 * MIB)
        intake, _ = await house.intake("S", max_bytes=1_000_000)
        house.jet.publish("S.x", bytes(5 * MIB))
        async with asyncio.timeout(100):
            await intake.run()

    with pytest.raises(Blocked, match=r"message_too_large.*limits\.memory"):
        run_seeded(1, life)
