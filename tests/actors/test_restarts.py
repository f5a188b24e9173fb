from __future__ import annotations

import asyncio

import pytest

from actors.actor import Actor
from actors.errors import (
    AskFailed,
    Fenced,
    Kind,
    MailboxClosed,
    Permanent,
    StrayCancellation,
    Transient,
)
from actors.supervision import RestartPolicy, StopReason
from actors.system import ActorSystem
from actors.testing import Failed, Probe, Recorder, Restarted, Stopped, run_seeded, settle
from tests.actors.stage import LONG, Diary, by_function, failure_of, staged


async def test_a_failed_actor_starts_again_after_its_delay_and_keeps_its_mail() -> None:
    diary: list[str] = []
    async with staged() as stage:
        ref = await stage.system.start("a", lambda: Diary(diary))
        ref.tell(ValueError("bad"))
        ref.tell("next")
        await stage.clock.advance(0.49)
        assert diary == ["a starts", "a bad"]
        await stage.clock.advance(0.01)
        assert diary == ["a starts", "a bad", "a starts", "a next"]
        [restarted] = stage.heard
        assert isinstance(restarted, Restarted)
        assert (restarted.name, str(restarted.error), restarted.kind, restarted.delay) == ("a", "bad", Kind.BUG, 0.5)


async def test_the_sixth_failure_in_a_minute_fails_the_actor_and_frees_its_name() -> None:
    async with staged() as stage:
        ref = await stage.system.start("a", lambda: Diary([]))
        for _ in range(6):
            ref.tell(ValueError("bad"))
        await stage.clock.advance(0.5 + 1 + 2 + 4 + 8)
        assert [type(heard) for heard in stage.heard] == [Restarted] * 5 + [Failed]
        assert stage.system.find("a") is None
        with pytest.raises(MailboxClosed):
            ref.tell("late")
        assert await (await stage.system.start("a", Probe)).ask("again", LONG) == "again"


async def test_an_outage_of_an_hour_spends_no_restarts() -> None:
    outage = True

    class Dependent(Probe):
        async def on_start(self) -> None:
            if outage:
                raise Transient

    async with staged() as stage:
        ref = await stage.system.start("a", Dependent)
        await stage.clock.advance(3600)
        assert {heard.kind for heard in stage.heard if isinstance(heard, Restarted)} == {Kind.TRANSIENT}
        assert len(stage.heard) == 1202  # 3 in the first seconds, then one in 3 s
        outage = False
        await stage.clock.advance(3)
        assert await ref.ask("well again", LONG) == "well again"


async def test_health_of_a_minute_forgives() -> None:
    async with staged() as stage:
        ref = await stage.system.start("a", lambda: Diary([]))
        for _ in range(20):
            ref.tell(ValueError("bad"))
            await stage.clock.advance(60.5)
        assert {heard.delay for heard in stage.heard if isinstance(heard, Restarted)} == {0.5}
        assert stage.system.find("a") is not None


async def test_a_permanent_failure_is_given_up_at_once() -> None:
    async with staged() as stage:
        ref = await stage.system.start("a", lambda: Diary([]))
        error = Permanent("no such bucket")
        ref.tell(error)
        await settle()
        assert stage.heard == [Failed("a", error)]


async def test_a_fenced_actor_stops_silently_and_without_on_stop() -> None:
    diary: list[str] = []
    async with staged() as stage:
        ref = await stage.system.start("a", lambda: Diary(diary))
        ref.tell(Fenced("run/a", 3))
        await settle()
        assert stage.heard == [Stopped("a", StopReason.FENCED)]
        assert "a stops" not in diary


async def test_the_product_says_which_kind_its_own_errors_are() -> None:
    kinds = {OSError: Kind.TRANSIENT, KeyError: Kind.PERMANENT}
    async with staged(classify=lambda error: kinds.get(type(error), Kind.BUG)) as stage:
        ref = await stage.system.start("a", lambda: Diary([]))
        ref.tell(OSError("away"))
        ref.tell(KeyError("never"))
        await stage.clock.advance(1)
        assert [type(heard) for heard in stage.heard] == [Restarted, Failed]


async def test_a_failure_touches_no_other_actor() -> None:
    async with staged() as stage:
        well = await stage.system.start("well", Probe)
        sick = await stage.system.start("sick", lambda: Diary([]))
        sick.tell(Permanent())
        await settle()
        assert await well.ask("still here", LONG) == "still here"


async def test_a_cancellation_that_nobody_asked_for_is_a_bug_and_not_the_end() -> None:
    async def cancelled_within(actor: Actor, message: object) -> None:
        child = actor.context.spawn(asyncio.Event().wait, "child")
        child.cancel()
        await child

    async with staged() as stage:
        ref = await stage.system.start("a", lambda: by_function(cancelled_within))
        ref.tell("go")
        await stage.clock.advance(0.5)
        [restarted] = stage.heard
        assert isinstance(restarted, Restarted)
        assert isinstance(restarted.error, StrayCancellation)
        assert stage.system.find("a") is ref


async def test_a_policy_of_ones_own_is_obeyed() -> None:
    async with staged() as stage:
        ref = await stage.system.start("a", lambda: Diary([]), policy=RestartPolicy(first_delay=7, restarts=1))
        ref.tell(ValueError())
        ref.tell(ValueError())
        await stage.clock.advance(7)
        assert [type(heard) for heard in stage.heard] == [Restarted, Failed]


class Parent(Probe):
    def __init__(self, diary: list[str]) -> None:
        super().__init__()
        self.diary = diary
        self.fuse = asyncio.Event()

    async def on_start(self) -> None:
        self.context.spawn(self.child, "child")
        self.context.spawn(self.sibling, "sibling")

    async def child(self) -> None:
        await self.fuse.wait()
        raise OSError("child failed")

    async def sibling(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.diary.append("sibling ends")

    async def on_stop(self) -> None:
        await self.context.clock.sleep(1)
        self.diary.append("flushed")


async def test_the_failure_of_a_child_task_fails_its_actor_even_within_receive() -> None:
    diary: list[str] = []
    parent = Parent(diary)
    async with staged() as stage, asyncio.TaskGroup() as tasks:
        ref = await stage.start(parent)
        parent.gate.clear()
        asking = tasks.create_task(failure_of(ref.ask("?", LONG)))
        await parent.has_received(1)
        parent.fuse.set()
        assert isinstance(await asking, AskFailed)
        await settle()
        [restarted] = stage.heard
        assert isinstance(restarted, Restarted)
        assert str(restarted.error) == "child failed"
        assert diary == ["sibling ends"]
        parent.fuse.clear()


async def test_on_stop_runs_while_the_child_tasks_still_do_and_they_are_cancelled_after_it() -> None:
    diary: list[str] = []
    async with staged() as stage, asyncio.TaskGroup() as tasks:
        await stage.start(Parent(diary))
        await settle()
        tasks.create_task(stage.system.stop("a", 5))
        await stage.clock.advance(0.9)
        assert diary == []
        await stage.clock.advance(0.1)
        assert diary == ["flushed", "sibling ends"]


async def test_a_child_that_fails_while_it_is_cancelled_leaves_no_mark_on_the_next_activation() -> None:
    """Before Python 3.13 a TaskGroup whose child fails late leaves its task marked as cancelled."""
    marks: list[int] = []

    class Clumsy(Actor):
        async def on_start(self) -> None:
            own = asyncio.current_task()
            assert own is not None
            marks.append(own.cancelling())
            self.context.spawn(self.child, "child")
            self.context.stop()

        async def child(self) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                raise OSError("clean-up failed")

        async def on_stop(self) -> None:
            await asyncio.sleep(0)

    async with staged() as stage:
        await stage.system.start("a", Clumsy)
        await stage.clock.advance(0.5 + 1)
        assert marks == [0, 0, 0]
        assert [type(heard) for heard in stage.heard] == [Restarted] * 3


@pytest.mark.parametrize("seed", range(20))
def test_a_stray_cancellation_after_a_late_failure_does_not_end_the_actor(seed: int) -> None:
    recorder = Recorder()

    class Late(Actor):
        async def on_start(self) -> None:
            self.context.spawn(self.child, "child")

        async def child(self) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                if self.context.stopping:
                    raise Transient

        async def receive(self, message: object) -> None:
            if message == "finish":
                self.context.stop()
            else:
                raise asyncio.CancelledError

    async def story() -> None:
        async with ActorSystem(observer=recorder) as system:
            ref = await system.start("a", Late)
            for message in ("finish", "stray", "finish", "stray"):
                await asyncio.sleep(60)
                ref.tell(message)
            await asyncio.sleep(60)
            assert system.find("a") is ref

    run_seeded(seed, story)
    assert all(isinstance(heard, Restarted) for heard in recorder.heard[:4])
