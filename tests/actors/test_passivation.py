from __future__ import annotations

import asyncio

import pytest

from actors.supervision import StopReason
from actors.system import ActorSystem
from actors.testing import Probe, Stopped, run_seeded
from tests.actors.stage import LONG, Diary, staged


async def test_an_idle_actor_is_passivated_and_its_next_message_activates_it_again() -> None:
    diary: list[str] = []
    async with staged() as stage:
        ref = await stage.system.start("a", lambda: Diary(diary), idle_after=60)
        ref.tell("1")
        await stage.clock.advance(59)
        ref.tell("2")
        await stage.clock.advance(59)
        assert stage.heard == []
        await stage.clock.advance(1)
        assert stage.heard == [Stopped("a", StopReason.IDLE)]
        assert await ref.ask("3", LONG) == "3"
        assert diary == ["a starts", "a 1", "a 2", "a stops", "a starts", "a 3"]


async def test_an_actor_with_a_living_child_task_is_not_idle() -> None:
    class Busy(Probe):
        async def on_start(self) -> None:
            self.context.spawn(lambda: self.context.clock.sleep(100), "work")

    async with staged() as stage:
        await stage.system.start("a", Busy, idle_after=60)
        await stage.clock.advance(119)
        assert stage.heard == []
        await stage.clock.advance(1)
        assert stage.heard == [Stopped("a", StopReason.IDLE)]


async def test_a_passivated_actor_stops_at_once_when_asked() -> None:
    async with staged() as stage:
        await stage.system.start("a", Probe, idle_after=1)
        await stage.clock.advance(1)
        await stage.system.stop("a", 5)
        assert stage.heard == [Stopped("a", StopReason.IDLE), Stopped("a", StopReason.ASKED)]


@pytest.mark.parametrize("seed", range(100))
def test_no_message_is_lost_around_passivation(seed: int) -> None:
    diary: list[str] = []

    async def story() -> None:
        async with ActorSystem() as system:
            ref = await system.start("a", lambda: Diary(diary, stop_takes=0.5), idle_after=1)
            for n in range(10):
                await asyncio.sleep(n * 0.25)
                ref.tell(n)
            await asyncio.sleep(10)

    run_seeded(seed, story)
    assert [line for line in diary if line[-1].isdigit()] == [f"a {n}" for n in range(10)]
    assert diary.count("a starts") == diary.count("a stops") > 1
