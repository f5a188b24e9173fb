from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.durable import DurableActor
from actors.errors import AskFailed, Conflict, Fenced, Transient
from actors.journal import Journal
from actors.supervision import StopReason
from actors.testing import MemoryJournal, MemoryLog, Noticed, Restarted, Stopped, run_seeded, settle
from tests.actors.stage import LONG, staged


class Sum(DurableActor[tuple[int, ...], int]):
    """Its state is all numbers so far; a negative one does not fold. `emit` waits at `gate`, `snapshots` are counted."""

    def initial(self) -> tuple[int, ...]:
        return ()

    def evolve(self, state: tuple[int, ...], event: int) -> tuple[int, ...]:
        if event < 0:
            raise ValueError(event)
        return (*state, event)

    async def receive(self, message: object) -> object:
        match message:
            case "state":
                return (self.state, self.version)
            case "recover":
                await self.recover()
                return self.state
            case tuple():
                return await self.emit(*message)
            case _:
                return None


class SavesBadly(MemoryJournal[int]):
    async def save(self, version: int, state: object) -> None:
        raise Transient(f"no room at {version}")


async def test_emit_appends_and_then_applies() -> None:
    log: MemoryLog[int] = MemoryLog()
    async with staged() as stage:
        ref = await stage.start(Sum(log.claim("a")))
        assert await ref.ask((1,), LONG) == 1
        assert await ref.ask((2, 3), LONG) == 3
        assert await ref.ask((), LONG) == 3
        assert await ref.ask("state", LONG) == ((1, 2, 3), 3)
    assert log.events("a") == [1, 2, 3]


async def test_state_is_back_before_on_start() -> None:
    log: MemoryLog[int] = MemoryLog()
    await log.claim("a").append(0, [1, 2])
    seen: list[object] = []

    class Looks(Sum):
        async def on_start(self) -> None:
            seen.append(self.state)

    async with staged() as stage:
        await stage.start(Looks(log.claim("a")))
        await settle()
    assert seen == [(1, 2)]


async def test_an_event_that_does_not_fold_is_never_written() -> None:
    log: MemoryLog[int] = MemoryLog()
    async with staged() as stage:
        ref = await stage.start(Sum(log.claim("a")))
        with pytest.raises(AskFailed):
            await ref.ask((1, -1), LONG)
    assert log.events("a") == []


async def test_a_restart_recovers_what_was_written() -> None:
    log: MemoryLog[int] = MemoryLog()
    journal = log.claim("a")
    async with staged() as stage:
        ref = await stage.system.start("a", lambda: Sum(journal))
        await ref.ask((1,), LONG)
        with pytest.raises(AskFailed):
            await ref.ask((-1,), LONG)
        await stage.clock.advance(0.5)
        assert await ref.ask("state", LONG) == ((1,), 1)


async def test_of_two_activations_only_the_newer_can_write_and_the_older_stops_silently() -> None:
    log: MemoryLog[int] = MemoryLog()
    async with staged() as stage:
        old = await stage.start(Sum(log.claim("a")), "old")
        await old.ask((1,), LONG)
        new = await stage.start(Sum(log.claim("a")), "new")
        await new.ask((2,), LONG)
        with pytest.raises(AskFailed) as failed:
            await old.ask((3,), LONG)
        assert isinstance(failed.value.__cause__, Fenced)
        await settle()
        assert stage.heard == [Stopped("old", StopReason.FENCED)]
        await new.ask((4,), LONG)
    assert log.events("a") == [1, 2, 4]
    assert log.fences("a") == [1, 2, 2]


async def test_fenced_stays_fenced_however_often_one_tries() -> None:
    log: MemoryLog[int] = MemoryLog()

    class Stubborn(Sum):
        async def receive(self, message: object) -> object:
            await log.claim("a").append(0, [1])
            for _ in range(3):
                with pytest.raises(Fenced):
                    await self.emit(7)
            return self.state

    async with staged() as stage:
        ref = await stage.start(Stubborn(log.claim("a")))
        assert await ref.ask("go", LONG) == ()


async def test_state_is_not_ahead_of_the_log_while_an_append_is_under_way() -> None:
    log: MemoryLog[int] = MemoryLog()
    seen: list[tuple[object, list[int]]] = []

    class Watched(Sum):
        async def receive(self, message: object) -> object:
            writing = self.context.spawn(self._emit_one, "emit")
            while not writing.done():
                seen.append((self.state, log.events("a")))
                await asyncio.sleep(0)
            return self.state

        async def _emit_one(self) -> None:
            await self.emit(1)

    async with staged() as stage:
        ref = await stage.start(Watched(log.claim("a")))
        assert await ref.ask("go", LONG) == (1,)
    assert all(state in {(), tuple(events)} for state, events in seen)
    assert ((), [1]) in seen


async def test_after_a_conflict_emit_succeeds_only_once_the_log_was_read_again() -> None:
    log: MemoryLog[int] = MemoryLog()
    journal = log.claim("a")
    outcomes: list[object] = []

    class Stubborn(Sum):
        async def receive(self, message: object) -> object:
            for _ in range(3):
                with pytest.raises(Conflict):
                    await self.emit(7)
                assert (self.state, self.version) == ((), 0)
            await self.recover()
            outcomes.append(self.state)
            return await self.emit(7)

    async with staged() as stage:
        ref = await stage.start(Stubborn(journal))
        await settle()
        await journal.append(0, [1])  # someone else under the same fence: a fault, but one that must be seen
        assert await ref.ask("go", LONG) == 2
    assert outcomes == [(1,)]
    assert log.events("a") == [1, 7]


async def test_emits_of_several_child_tasks_are_written_one_after_the_other() -> None:
    log: MemoryLog[int] = MemoryLog()

    class Busy(Sum):
        async def receive(self, message: object) -> object:
            async with asyncio.TaskGroup() as tasks:
                for n in range(20):
                    tasks.create_task(self.emit(n, n))
            return self.state

    async with staged() as stage:
        ref = await stage.start(Busy(log.claim("a")))
        state = await ref.ask("go", LONG)
    assert state == tuple(log.events("a"))
    assert log.events("a") == [n for n in range(20) for _ in range(2)]


# Doubt: the append failed, or was cancelled, and may have been written


@pytest.mark.parametrize("written", [False, True])
async def test_after_an_ambiguous_failure_the_next_emit_finds_out_and_never_writes_twice(*, written: bool) -> None:
    log: MemoryLog[int] = MemoryLog()
    journal = log.claim("a")
    told: list[object] = []

    class Retries(Sum):
        async def receive(self, message: object) -> object:
            with pytest.raises(Transient):
                await self.emit(7)
            try:
                await self.emit(7)
            except Conflict as conflict:
                told.append((conflict.expected, conflict.actual))
            return self.state

    async with staged() as stage:
        ref = await stage.start(Retries(journal))
        journal.fail_next_append(Transient(), written=written)
        assert await ref.ask("go", LONG) == (7,)
    assert log.events("a") == [7]
    assert told == ([(0, 1)] if written else [])


@pytest.mark.parametrize("steps", range(8))
async def test_an_emit_cancelled_at_any_await_leaves_state_and_log_in_step(steps: int) -> None:
    log: MemoryLog[int] = MemoryLog()

    class Cancelled(Sum):
        async def receive(self, message: object) -> object:
            emit = self.context.spawn(self._emit_one, "emit")
            for _ in range(steps):
                await asyncio.sleep(0)
            emit.cancel()
            await settle()
            try:
                await self.emit(2)
            except Conflict:
                assert self.state == tuple(log.events("a"))
                await self.emit(2)
            return self.state

        async def _emit_one(self) -> None:
            await self.emit(1)

    async with staged() as stage:
        ref = await stage.start(Cancelled(log.claim("a")))
        state = await ref.ask("go", LONG)
    assert state == tuple(log.events("a"))
    assert log.events("a") in ([2], [1, 2])


# Snapshots


async def test_a_snapshot_is_kept_every_n_events_and_recovery_reads_only_the_tail() -> None:
    log: MemoryLog[int] = MemoryLog()
    journal = log.claim("a")
    kept: list[object] = []
    async with staged() as stage:
        ref = await stage.start(Sum(journal, snapshot_every=3))
        for events in ((1, 2), (3, 4), (5,), (6,), (7, 8, 9, 10)):
            await ref.ask(events, LONG)
            history = await journal.recover()
            kept.append((history.snapshot, tuple(history.events)))
    assert kept == [
        (None, (1, 2)),
        ((1, 2, 3, 4), ()),
        ((1, 2, 3, 4), (5,)),
        ((1, 2, 3, 4, 5, 6), ()),
        (tuple(range(1, 11)), ()),
    ]


async def test_a_snapshot_that_cannot_be_kept_is_noticed_and_the_emit_has_succeeded() -> None:
    log: MemoryLog[int] = MemoryLog()
    claimed = log.claim("a")
    journal = SavesBadly("a", claimed.fence, claimed._entity)
    async with staged() as stage:
        ref = await stage.start(Sum(journal, snapshot_every=2))
        assert await ref.ask((1, 2), LONG) == 2
        [noticed] = stage.heard
        assert isinstance(noticed, Noticed)
        assert str(noticed.error) == "no room at 2"


@given(st.lists(st.integers(0, 9), max_size=30), st.integers(1, 7), st.integers(1, 5))
def test_the_fold_of_all_is_the_fold_of_snapshot_and_tail(numbers: list[int], every: int, at_once: int) -> None:
    async def story() -> tuple[object, ...]:
        log: MemoryLog[int] = MemoryLog()
        states: list[object] = [tuple(numbers)]
        for snapshot_every in (every, None):
            async with staged() as stage:
                ref = await stage.start(Sum(log.claim("a"), snapshot_every))
                for n in range(0, len(numbers) if snapshot_every else 0, at_once):
                    await ref.ask(tuple(numbers[n : n + at_once]), LONG)
                states.append((await ref.ask("state", LONG))[0])
        return (*states, tuple(log.events("a")))

    assert len(set(run_seeded(0, story))) == 1


async def test_recover_after_another_writer_shows_its_events() -> None:
    log: MemoryLog[int] = MemoryLog()
    journal: Journal[int] = log.claim("a")
    async with staged() as stage:
        ref = await stage.start(Sum(journal))
        await settle()
        await journal.append(0, [5])
        assert await ref.ask("recover", LONG) == (5,)
        assert not any(isinstance(heard, Restarted) for heard in stage.heard)
