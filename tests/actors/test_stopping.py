from __future__ import annotations

import asyncio

import pytest

from actors.actor import Actor
from actors.errors import (
    AlreadyRunning,
    AskFailed,
    MailboxClosed,
    SystemStopping,
    Transient,
    Undelivered,
    WouldDeadlock,
)
from actors.supervision import StopReason
from actors.system import ActorSystem
from actors.testing import Noticed, Probe, Restarted, Stopped, run_seeded, settle
from tests.actors.stage import LONG, Diary, by_function, failure_of, staged


async def test_a_stop_lets_the_message_under_way_end_and_overtakes_those_that_wait() -> None:
    probe = Probe()
    async with staged() as stage, asyncio.TaskGroup() as tasks:
        ref = await stage.start(probe)
        probe.gate.clear()
        ref.tell("under way")
        ref.tell("waits")
        asking = tasks.create_task(failure_of(ref.ask("asks", LONG)))
        await probe.has_received(1)
        stopping = tasks.create_task(stage.system.stop("a", 5))
        await settle()
        assert not stopping.done()
        probe.gate.set()
        await stopping
        assert probe.received == ["under way"]
        assert isinstance(await asking, MailboxClosed)
        stopped, noticed = stage.heard
        assert stopped == Stopped("a", StopReason.ASKED)
        assert isinstance(noticed, Noticed)
        assert isinstance(noticed.error, Undelivered)
        assert noticed.error.messages == ["waits"]


async def test_a_stop_that_takes_too_long_ends_in_a_cancellation() -> None:
    diary: list[str] = []
    async with staged() as stage, asyncio.TaskGroup() as tasks:
        await stage.system.start("a", lambda: Diary(diary, stop_takes=6))
        await settle()
        stopping = tasks.create_task(stage.system.stop("a", 5))
        await stage.clock.advance(4.9)
        assert not stopping.done()
        await stage.clock.advance(0.1)
        assert stopping.done()
        assert diary == ["a starts"]
        assert stage.heard == [Stopped("a", StopReason.TIMED_OUT)]


async def test_a_stop_within_no_time_cancels_at_once_and_flushes_nothing() -> None:
    """For a node that lost its lease: whatever its actors would still write is no longer theirs."""
    diary: list[str] = []
    async with staged() as stage:
        await stage.system.start("a", lambda: Diary(diary))
        await settle()
        await stage.system.stop("a", 0)
        assert diary == ["a starts"]
        assert stage.heard == [Stopped("a", StopReason.TIMED_OUT)]


@pytest.mark.parametrize("steps", range(8))
async def test_an_actor_may_be_stopped_at_any_moment_after_its_start(steps: int) -> None:
    async with staged() as stage:
        await stage.system.start("a", Probe)
        for _ in range(steps):
            await asyncio.sleep(0)
        await stage.system.stop("a", 0 if steps % 2 else 5)
        assert stage.system.names() == []
        assert len(stage.heard) == 1


async def test_a_stop_cuts_short_a_start_that_hangs() -> None:
    class Hangs(Diary):
        async def on_start(self) -> None:
            await asyncio.Event().wait()

    diary: list[str] = []
    async with staged() as stage:
        await stage.system.start("a", lambda: Hangs(diary))
        await settle()
        await stage.system.stop("a", 5)
        assert diary == []
        assert stage.heard == [Stopped("a", StopReason.ASKED)]


async def test_a_stop_cuts_short_the_pause_before_a_restart() -> None:
    async with staged() as stage:
        ref = await stage.system.start("a", lambda: Diary([]))
        ref.tell(ValueError("bad"))
        await settle()
        await stage.system.stop("a", 5)
        assert stage.heard[1:] == [Stopped("a", StopReason.ASKED)]


async def test_an_actor_that_fails_while_it_stops_is_noticed_and_not_restarted() -> None:
    class Clumsy(Probe):
        async def on_stop(self) -> None:
            raise OSError("flush failed")

    async with staged() as stage:
        await stage.system.start("a", Clumsy)
        await settle()
        await stage.system.stop("a", 5)
        noticed, stopped = stage.heard
        assert isinstance(noticed, Noticed)
        assert str(noticed.error) == "flush failed"
        assert stopped == Stopped("a", StopReason.ASKED)


async def test_an_actor_may_end_itself_and_has_not_finished_if_its_last_flush_failed() -> None:
    flushes: list[str] = []

    class Finishing(Probe):
        async def on_start(self) -> None:
            self.context.stop()

        async def on_stop(self) -> None:
            flushes.append("try")
            if len(flushes) == 1:
                raise Transient

    async with staged() as stage:
        await stage.system.start("a", Finishing)
        await stage.clock.advance(0.5)
        assert [type(heard) for heard in stage.heard] == [Restarted, Stopped]
        assert stage.heard[1] == Stopped("a", StopReason.FINISHED)
        assert len(flushes) == 2


async def test_to_be_asked_outweighs_to_have_finished_so_a_failed_last_flush_does_not_revive_the_actor() -> None:
    class Finishing(Probe):
        async def on_start(self) -> None:
            self.context.stop()

        async def on_stop(self) -> None:
            await self.context.clock.sleep(1)
            raise Transient

    async with staged() as stage, asyncio.TaskGroup() as tasks:
        await stage.system.start("a", Finishing)
        await settle()
        tasks.create_task(stage.system.stop("a", 5))
        await stage.clock.advance(1)
        assert [type(heard) for heard in stage.heard] == [Noticed, Stopped]
        assert stage.system.find("a") is None


async def test_an_actor_that_stops_itself_through_the_system_is_told_so() -> None:
    async with staged() as stage:

        async def stop_me(actor: Actor, message: object) -> None:
            await stage.system.stop(actor.context.name, LONG)

        ref = await stage.start(by_function(stop_me))
        failure = await failure_of(ref.ask("go", LONG))
        assert isinstance(failure, AskFailed)
        assert isinstance(failure.__cause__, WouldDeadlock)


async def test_stopping_nobody_is_no_fault() -> None:
    async with staged() as stage:
        await stage.system.stop("nobody", 5)


async def test_at_most_one_actor_of_a_name_lives() -> None:
    async with staged() as stage:
        await stage.system.start("a", Probe)
        with pytest.raises(AlreadyRunning):
            await stage.system.start("a", Probe)
        await stage.system.stop("a", 5)
        await stage.system.start("a", Probe)


async def test_leaving_the_system_stops_all_the_last_started_first() -> None:
    diary: list[str] = []
    async with staged() as stage:
        for name in "abc":
            await stage.system.start(name, lambda: Diary(diary))
        await settle()
        diary.clear()
    assert diary == ["c stops", "b stops", "a stops"]
    assert stage.system.names() == []


def test_the_stop_of_all_is_bounded_by_25_seconds_and_neighbours_of_a_group_share_their_time() -> None:
    diary: list[str] = []

    async def story() -> tuple[float, list[str]]:
        loop = asyncio.get_running_loop()
        async with ActorSystem() as system:
            await system.start("log", lambda: Diary(diary))
            for n in range(50):
                await system.start(f"job {n}", lambda: Diary(diary, stop_takes=10), group="jobs")
            await system.start("office", lambda: Diary(diary, stop_takes=LONG))
            await asyncio.sleep(1)
            diary.clear()
            began = loop.time()
            await system.stop("office", 2)
        return loop.time() - began, list(diary)

    took, order = run_seeded(1, story)
    assert took == pytest.approx(2 + 10)
    assert sorted(order[:-1]) == sorted(f"job {n} stops" for n in range(50))
    assert order[-1] == "log stops"


def test_who_is_not_done_after_25_seconds_is_cancelled() -> None:
    diary: list[str] = []

    async def story() -> float:
        loop = asyncio.get_running_loop()
        async with ActorSystem() as system:
            await system.start("never reached", lambda: Diary(diary))
            await system.start("slow", lambda: Diary(diary, stop_takes=26))
            await asyncio.sleep(1)
            diary.clear()
            began = loop.time()
        return loop.time() - began

    assert run_seeded(1, story) == pytest.approx(25)
    assert diary == []


async def test_a_stopping_system_starts_nobody() -> None:
    async with staged() as stage:
        await stage.system.stop_all(5)
        with pytest.raises(SystemStopping):
            await stage.system.start("a", Probe)


async def test_an_error_of_the_block_passes_unchanged_after_all_have_stopped() -> None:
    diary: list[str] = []

    async def block() -> None:
        async with staged() as stage:
            await stage.system.start("a", lambda: Diary(diary))
            await settle()
            raise ValueError("of the block")

    with pytest.raises(ValueError, match="of the block"):
        await block()
    assert diary == ["a starts", "a stops"]


async def test_a_cancelled_block_stops_gracefully_too() -> None:
    diary: list[str] = []
    inside = asyncio.Event()

    async def block() -> None:
        async with staged() as stage:
            await stage.system.start("a", lambda: Diary(diary))
            await settle()
            inside.set()
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(block())
        await inside.wait()
        running.cancel()
    assert running.cancelled()
    assert diary == ["a starts", "a stops"]


async def test_an_observer_that_raises_ends_the_system_loudly() -> None:
    class Broken:
        def on_restarted(self, *_: object) -> None:
            raise RuntimeError("observer broke")

        def on_stopped(self, *_: object) -> None: ...

    async def block() -> None:
        async with ActorSystem(observer=Broken()) as system:
            ref = await system.start("a", lambda: Diary([]))
            ref.tell(ValueError("bad"))
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as ended:
        await block()
    assert ended.group_contains(RuntimeError, match="observer broke")
