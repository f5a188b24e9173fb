from __future__ import annotations

import asyncio

from actors.errors import (
    AskFailed,
    AskTimeout,
    Fenced,
)
from actors.testing import Probe
from tests.actors.stage import LONG, Diary, failure_of, staged


async def test_the_answer_is_what_receive_returns() -> None:
    async with staged() as stage:
        ref = await stage.start(Probe())
        assert await ref.ask("echo", LONG) == "echo"


async def test_an_ask_ends_at_its_deadline_and_its_question_is_not_delivered_any_more() -> None:
    probe = Probe()
    async with staged() as stage, asyncio.TaskGroup() as tasks:
        ref = await stage.start(probe)
        probe.gate.clear()
        ref.tell("hold")
        asking = tasks.create_task(failure_of(ref.ask("?", 5)))
        await stage.clock.advance(4.9)
        assert not asking.done()
        await stage.clock.advance(0.1)
        assert isinstance(await asking, AskTimeout)
        probe.gate.set()
        await ref.ask("after", LONG)
        assert probe.received == ["hold", "after"]


async def test_an_asker_hears_of_a_failure_in_a_wrapping_that_it_cannot_mistake_for_its_own() -> None:
    async with staged() as stage:
        ref = await stage.system.start("a", lambda: Diary([]))
        failure = await failure_of(ref.ask(Fenced("run/a", 1), LONG))
        assert isinstance(failure, AskFailed)
        assert isinstance(failure.__cause__, Fenced)
