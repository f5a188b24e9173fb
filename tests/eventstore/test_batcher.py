"""One writer per node: what it gathers, whom it lets wait, what it does when Postgres goes away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest
from psycopg import DataError

from eventstore import (
    Append,
    Appended,
    Backoff,
    Batcher,
    Claims,
    Conflict,
    Fence,
    Fenced,
    Limits,
    LogUnavailable,
    MemoryStore,
    NewEvent,
    Position,
    PostgresStore,
    Refused,
    Stopped,
    Version,
    VersionConflict,
)

QUICK = 0.001
Until = Callable[[Callable[[], object]], Awaitable[None]]


def an_append(entity_id: str, expected: int = 0, fence: int = 0, count: int = 1) -> Append:
    events = tuple(NewEvent("counted", {"n": expected + n + 1}) for n in range(count))
    return Append(entity_id, Version(expected), Fence(fence), events)


class Gated(MemoryStore):
    """Counts calls and lets each through when told."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[int] = []
        self.called = asyncio.Event()
        self.gate = asyncio.Semaphore(0)
        self.under_way = 0

    async def append(self, batch: Sequence[Append]) -> list[Appended | Conflict | Refused]:
        self.calls.append(len(batch))
        self.under_way += 1
        assert self.under_way == 1
        self.called.set()
        await self.gate.acquire()
        self.under_way -= 1
        return await super().append(batch)


class Away(MemoryStore):
    """Fails so many times, before or after it wrote."""

    def __init__(self, before: int = 0, after: int = 0) -> None:
        super().__init__()
        self.before = before
        self.after = after

    async def append(self, batch: Sequence[Append]) -> list[Appended | Conflict | Refused]:
        if self.before:
            self.before -= 1
            raise LogUnavailable("not reached")
        outcomes = await super().append(batch)
        if self.after:
            self.after -= 1
            raise LogUnavailable("no answer")
        return outcomes


class Heard:
    def __init__(self) -> None:
        self.said: list[str] = []
        self.written: list[tuple[int, int]] = []

    def away(self, reason: str) -> None:
        self.said.append(reason)

    def back(self) -> None:
        self.said.append("back")

    def appended(self, count: int, head: int, seconds: float) -> None:
        assert seconds >= 0
        self.written.append((count, head))


async def test_nothing_waits_when_idle_and_what_is_queued_meanwhile_is_the_next_call() -> None:
    store = Gated()
    async with Batcher(store) as batcher, asyncio.TaskGroup() as tasks:
        tasks.create_task(batcher.append(an_append("run/first")))
        await store.called.wait()
        for number in range(20):
            tasks.create_task(batcher.append(an_append(f"run/{number}")))
        await asyncio.sleep(0)
        store.gate.release()
        store.gate.release()
    assert store.calls == [1, 20]


async def test_what_is_durable_is_told_and_what_was_refused_is_not() -> None:
    heard = Heard()
    async with Batcher(MemoryStore(), signal=heard) as batcher:
        await batcher.append(an_append("run/a", count=3))
        with pytest.raises(VersionConflict):
            await batcher.append(an_append("run/a", count=2))
        await batcher.append(an_append("run/b", count=1))
    assert heard.written == [(3, 3), (1, 4)]


@pytest.mark.parametrize(
    ("limits", "calls"), [(Limits(events=6), [1, 2, 2, 1]), (Limits(bytes=22), [1, 1, 1, 1, 1, 1])]
)
async def test_a_call_carries_no_more_than_its_limits_and_at_least_one(limits: Limits, calls: list[int]) -> None:
    store = Gated()
    async with Batcher(store, limits=limits) as batcher, asyncio.TaskGroup() as tasks:
        tasks.create_task(batcher.append(an_append("run/first", count=9)))
        await store.called.wait()
        for number in range(5):
            tasks.create_task(batcher.append(an_append(f"run/{number}", count=3)))
        for _ in calls:
            store.gate.release()
    assert store.calls == calls


async def test_a_full_queue_lets_writers_wait_and_drops_nothing() -> None:
    store = Gated()
    async with Batcher(store, limits=Limits(events=1, queued=2)) as batcher, asyncio.TaskGroup() as tasks:
        appends = [tasks.create_task(batcher.append(an_append(f"run/{number}"))) for number in range(50)]
        await store.called.wait()
        assert batcher.queued <= 3
        for _ in appends:
            store.gate.release()
    assert await store.head() == 50


async def test_a_conflict_and_a_fence_are_raised_to_their_writers_alone() -> None:
    store = MemoryStore()
    async with Batcher(store) as batcher:
        assert (await batcher.append(an_append("run/a"))).version == 1
        with pytest.raises(VersionConflict) as conflict:
            await batcher.append(an_append("run/a"))
        with pytest.raises(Fenced) as fenced:
            await batcher.append(an_append("run/a", 1, fence=7))
    assert (conflict.value.expected, conflict.value.actual) == (0, 1)
    assert (fenced.value.mine, fenced.value.current) == (7, 0)


class Choking(MemoryStore):
    async def append(self, batch: Sequence[Append]) -> list[Appended | Conflict | Refused]:
        if any(append.entity_id == "run/bad" for append in batch):
            raise ValueError("indigestible")
        return await super().append(batch)


async def test_an_append_that_the_store_chokes_on_does_not_hurt_its_neighbours() -> None:
    store = Choking()
    batcher = Batcher(store)
    async with asyncio.TaskGroup() as tasks:
        good = [tasks.create_task(batcher.append(an_append(f"run/{number}"))) for number in range(3)]
        bad = tasks.create_task(_fault_of(batcher, "run/bad"))
        good += [tasks.create_task(batcher.append(an_append(f"run/{number}"))) for number in range(3, 6)]
        await asyncio.sleep(0)
        async with batcher:
            await bad
    assert isinstance(bad.result(), ValueError)
    assert [task.result().version for task in good] == [1] * 6


async def _fault_of(batcher: Batcher, entity_id: str) -> Exception | None:
    try:
        await batcher.append(an_append(entity_id))
    except ValueError as fault:
        return fault
    return None


async def test_an_attempt_that_wrote_before_the_answer_was_lost_is_written_once() -> None:
    store, heard = Away(after=1), Heard()
    async with Batcher(store, signal=heard, backoff=Backoff(QUICK, QUICK)) as batcher:
        appended = await batcher.append(an_append("run/a", count=3))
    assert appended == Appended("run/a", Version(3), Position(1), Position(3))
    assert len(await store.read("run/a", Version(0), 10)) == 3
    assert heard.said == ["no answer", "back"]


async def test_an_attempt_that_wrote_is_recognised_though_the_fence_moved_since(until: Until) -> None:
    store = Away(after=1)
    mine = an_append("run/a", count=2)
    async with Batcher(store, backoff=Backoff(0.2, 0.2)) as batcher, asyncio.TaskGroup() as tasks:
        written = tasks.create_task(batcher.append(mine))
        await until(lambda: store.entities)
        store.entities["run/a"].fence = Fence(99)
    assert written.result().version == 2


async def test_another_writers_event_in_our_place_is_no_attempt_of_ours() -> None:
    store = Away(before=1)
    await MemoryStore.append(store, [an_append("run/a")])
    async with Batcher(store, backoff=Backoff(QUICK, QUICK)) as batcher:
        with pytest.raises(VersionConflict):
            await batcher.append(an_append("run/a"))


async def test_the_wake_up_is_set_when_something_was_written() -> None:
    wake = asyncio.Event()
    async with Batcher(MemoryStore(), wake=wake) as batcher:
        with pytest.raises(VersionConflict):
            await batcher.append(an_append("run/a", 5))
        assert not wake.is_set()
        await batcher.append(an_append("run/a"))
        assert wake.is_set()


async def test_who_waits_when_the_batcher_is_stopped_is_told() -> None:
    store = Gated()
    batcher = Batcher(store, limits=Limits(queued=1))
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(batcher.run())
        waiting = [tasks.create_task(_stopped(batcher, f"run/{number}")) for number in range(5)]
        await store.called.wait()
        running.cancel()
    assert [task.result() for task in waiting] == [True] * 5
    with pytest.raises(Stopped):
        await batcher.append(an_append("run/late"))


async def test_leaving_the_batcher_writes_what_was_queued() -> None:
    store = MemoryStore()
    async with asyncio.TaskGroup() as tasks, Batcher(store) as batcher:
        for number in range(10):
            tasks.create_task(batcher.append(an_append(f"run/{number}")))
        await asyncio.sleep(0)
    assert await store.head() == 10


async def test_leaving_the_batcher_while_the_log_is_away_ends_in_time_and_says_who_was_not_written() -> None:
    batcher = Batcher(Away(before=10**9), backoff=Backoff(QUICK, QUICK))
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks, batcher:
        writing = tasks.create_task(_stopped(batcher, "run/a"))
        await asyncio.sleep(0)
    assert writing.result()


async def test_an_append_whose_writer_gave_up_before_it_was_sent_is_not_sent() -> None:
    store = Gated()
    async with Batcher(store) as batcher, asyncio.TaskGroup() as tasks:
        tasks.create_task(batcher.append(an_append("run/first")))
        await store.called.wait()
        given_up = tasks.create_task(batcher.append(an_append("run/b")))
        await asyncio.sleep(0)
        given_up.cancel()
        store.gate.release()
    assert store.calls == [1]


async def test_postgres_says_ambiguous_and_the_batcher_writes_once(way, store: PostgresStore) -> None:
    """The answer to the append is lost on the wire after Postgres committed."""
    cut = PostgresStore(way.url)
    async with Batcher(cut, backoff=Backoff(QUICK, QUICK)) as batcher:
        await batcher.append(an_append("run/a"))
        way.swallow()
        appended = await batcher.append(an_append("run/a", 1, count=3))
    assert way.swallowed == 1
    assert appended.version == 4
    assert [event.version for event in await store.read("run/a", Version(0), 10)] == [1, 2, 3, 4]
    await cut.close()


async def test_an_outage_is_waited_out_and_nothing_is_lost(way, store: PostgresStore, until: Until) -> None:
    cut, heard = PostgresStore(way.url), Heard()
    async with Batcher(cut, signal=heard, backoff=Backoff(QUICK, QUICK)) as batcher, asyncio.TaskGroup() as tasks:
        await batcher.append(an_append("run/a"))
        way.cut()
        waiting = tasks.create_task(batcher.append(an_append("run/a", 1)))
        await until(lambda: len(heard.said) >= 3)
        way.mend()
        assert (await waiting).version == 2
    assert heard.said[-1] == "back"
    await cut.close()


async def test_what_was_written_before_a_neighbour_failed_in_the_same_call_is_not_told_a_conflict(
    store: PostgresStore,
) -> None:
    """An entity twice is two transactions: the first has written when the second is refused by Postgres itself."""
    impossible = NewEvent("counted", {"n": 2}, schema_version=1 << 15)
    heard = Heard()
    async with Batcher(store, signal=heard) as batcher, asyncio.TaskGroup() as tasks:
        one = tasks.create_task(batcher.append(an_append("run/a")))
        two = tasks.create_task(_fault_of_append(batcher, Append("run/a", Version(1), Fence(0), (impossible,))))
        other = tasks.create_task(batcher.append(an_append("run/c")))
    assert [(done.result().entity_id, done.result().version) for done in (one, other)] == [("run/a", 1), ("run/c", 1)]
    assert "smallint" in str(two.result())
    assert [(event.entity_id, event.version) for event in await store.read_log(Position(0), 10)] == [
        ("run/a", 1),
        ("run/c", 1),
    ]
    assert heard.said == []


class Broken(MemoryStore):
    """Writes, and then breaks in a way that is no outage."""

    broken = True

    async def append(self, batch: Sequence[Append]) -> list[Appended | Conflict | Refused]:
        outcomes = await super().append(batch)
        if self.broken:
            self.broken = False
            raise PermissionError("no room can be made for the next partition")
        return outcomes


async def test_what_was_written_by_a_call_that_then_failed_is_told_so() -> None:
    async with Batcher(Broken()) as batcher:
        assert (await batcher.append(an_append("run/a"))).version == 1


async def test_an_old_owner_behind_the_batcher_is_fenced(store: PostgresStore, log_url: str) -> None:
    claims = Claims(log_url)
    mine = await claims.claim("run/a")
    async with Batcher(store) as batcher:
        await batcher.append(an_append("run/a", 0, mine.fence))
        await claims.claim("run/a")
        with pytest.raises(Fenced):
            await batcher.append(an_append("run/a", 1, mine.fence))
    await claims.close()


async def _fault_of_append(batcher: Batcher, append: Append) -> Exception | None:
    try:
        await batcher.append(append)
    except DataError as fault:
        return fault
    return None


async def _stopped(batcher: Batcher, entity_id: str) -> bool:
    try:
        await batcher.append(an_append(entity_id))
    except Stopped:
        return True
    return False
