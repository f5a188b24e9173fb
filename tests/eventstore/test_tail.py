"""One tail per node: each waker is enough alone, nobody misses, nobody sees out of order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import aclosing

import psycopg
import pytest

from eventstore import (
    Append,
    Fence,
    Listener,
    LogRewound,
    LogUnavailable,
    MemoryStore,
    NewEvent,
    Position,
    PostgresStore,
    Recorded,
    Tail,
    Version,
)
from eventstore import tail as tail_module

NEVER = 3600.0
Until = Callable[[Callable[[], object]], Awaitable[None]]


def an_append(entity_id: str, expected: int = 0, count: int = 1) -> Append:
    events = tuple(NewEvent("counted", {"n": expected + n + 1}) for n in range(count))
    return Append(entity_id, Version(expected), Fence(0), events)


async def followed(tail: Tail, after: int, up_to: int) -> list[Recorded]:
    """What a follower gets, until it has seen a position."""
    seen: list[Recorded] = []
    async with asyncio.timeout(10), aclosing(tail.follow(Position(after))) as pages:
        async for page in pages:
            seen += page
            if seen[-1].position >= up_to:
                break
    return seen


class Counting(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.reads = 0
        self.away = False
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def read_log(self, after: Position, limit: int, types: Collection[str] | None = None) -> list[Recorded]:
        self.reads += 1
        if self.away:
            raise LogUnavailable("away")
        found = await super().read_log(after, limit, types)
        await self.may_answer.wait()
        await asyncio.sleep(0)  # as every store on a network does
        return found

    async def head(self) -> Position:
        if self.away:
            raise LogUnavailable("away")
        return await super().head()

    def rewind(self, to: int) -> None:
        del self.rows[to:]


async def test_the_local_wake_up_is_enough_alone() -> None:
    store = MemoryStore()
    async with Tail(store, interval=NEVER) as tail, asyncio.TaskGroup() as tasks:
        following = tasks.create_task(followed(tail, 0, 5))
        for version in range(5):
            await store.append([an_append("run/a", version)])
            tail.wake.set()
            await asyncio.sleep(0)
        assert [event.position for event in await following] == [1, 2, 3, 4, 5]


async def test_the_timer_is_enough_alone(store: PostgresStore) -> None:
    async with Tail(store, interval=0.01) as tail, asyncio.TaskGroup() as tasks:
        following = tasks.create_task(followed(tail, 0, 5))
        for version in range(5):
            await store.append([an_append("run/a", version)])
        assert len(await following) == 5


async def test_a_notification_is_enough_alone(store: PostgresStore, log_url: str) -> None:
    async with Tail(store, listener=Listener(log_url), interval=NEVER) as tail, asyncio.TaskGroup() as tasks:
        following = tasks.create_task(followed(tail, 0, 5))
        for version in range(5):
            await store.append([an_append("run/a", version)])
        assert len(await following) == 5


class Watched(PostgresStore):
    """Counts the reads of the log that were answered."""

    answered = 0

    async def read_log(self, after: Position, limit: int, types: Collection[str] | None = None) -> list[Recorded]:
        found = await super().read_log(after, limit, types)
        self.answered += 1
        return found


async def test_what_was_written_while_nobody_listened_is_read_after_the_next_listen(
    way, store: PostgresStore, log_url: str, until: Until
) -> None:
    """The event is written while the listener cannot connect, its NOTIFY heard by nobody."""
    way.cut()
    reader = Watched(log_url)
    async with Tail(reader, listener=Listener(way.url), interval=NEVER) as tail, asyncio.TaskGroup() as tasks:
        following = tasks.create_task(followed(tail, 0, 1))
        await until(lambda: reader.answered)
        await store.append([an_append("run/a")])
        assert tail.position == 0
        way.mend()
        assert len(await following) == 1
    await reader.close()


async def test_a_killed_listener_listens_again(store: PostgresStore, log_url: str, until: Until) -> None:
    async with Tail(store, listener=Listener(log_url), interval=NEVER) as tail:
        await store.append([an_append("run/a")])
        await until(lambda: tail.position >= 1)
        async with await psycopg.AsyncConnection.connect(log_url, autocommit=True) as connection:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'eventstore listen' AND datname = current_database()"
            )
        await store.append([an_append("run/a", 1)])
        await until(lambda: tail.position >= 2)


async def test_who_starts_far_behind_catches_up_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail_module, "PAGE", 7)
    monkeypatch.setattr(tail_module, "WINDOW", 10)
    store = MemoryStore()
    await store.append([an_append("run/a", count=100)])
    async with Tail(store, interval=NEVER) as tail, asyncio.TaskGroup() as tasks:
        following = [tasks.create_task(followed(tail, after, 200)) for after in (0, 50, 100)]
        for version in range(100):
            await store.append([an_append("run/b", version)])
            tail.wake.set()
            await asyncio.sleep(0)
        results = [await task for task in following]
    assert [[event.position for event in seen] for seen in results] == [
        list(range(after + 1, 201)) for after in (0, 50, 100)
    ]


async def test_a_follower_that_was_asleep_while_the_window_moved_on_misses_nothing(
    monkeypatch: pytest.MonkeyPatch, until: Until
) -> None:
    monkeypatch.setattr(tail_module, "PAGE", 5)
    monkeypatch.setattr(tail_module, "WINDOW", 5)
    store = MemoryStore()
    await store.append([an_append("run/a")])
    async with Tail(store, interval=NEVER) as tail, aclosing(tail.follow(Position(0))) as pages:
        seen = list(await anext(pages))
        await store.append([an_append("run/b", count=60)])
        tail.wake.set()
        await until(lambda: tail.position >= 61)
        while seen[-1].position < 61:
            seen += await anext(pages)
    assert [event.position for event in seen] == list(range(1, 62))


async def test_many_followers_cost_no_more_reads_than_one(until: Until) -> None:
    store = Counting()
    async with Tail(store, interval=NEVER) as tail, asyncio.TaskGroup() as tasks:
        await until(lambda: store.reads >= 1)
        following = [tasks.create_task(followed(tail, 0, 10)) for _ in range(20)]
        await store.append([an_append("run/a", count=10)])
        tail.wake.set()
        assert [len(await task) for task in following] == [10] * 20
        assert store.reads == 2


async def test_an_outage_is_survived(until: Until) -> None:
    store = Counting()
    async with Tail(store, interval=0.001) as tail, asyncio.TaskGroup() as tasks:
        following = tasks.create_task(followed(tail, 0, 3))
        await store.append([an_append("run/a")])
        await until(lambda: tail.position >= 1)
        store.away = True
        reads = store.reads
        await until(lambda: store.reads > reads)
        await store.append([an_append("run/a", 1, count=2)])
        store.away = False
        assert [event.position for event in await following] == [1, 2, 3]


async def test_a_follower_of_a_log_that_was_put_back_is_told(until: Until) -> None:
    store = Counting()
    await store.append([an_append("run/a", count=5)])
    async with Tail(store, interval=0.001) as tail, asyncio.TaskGroup() as tasks:
        await until(lambda: store.reads >= 1)
        tasks.create_task(_rewind(store, until))
        async with aclosing(tail.follow(Position(4))) as pages, asyncio.timeout(5):
            await anext(pages)
            with pytest.raises(LogRewound, match="ends at 2, but 5 was read"):
                await anext(pages)


async def test_who_begins_to_follow_is_given_nothing_that_was_put_back_since(until: Until) -> None:
    """The tail has not looked since; the follower has, and knows of 2 events."""
    store = Counting()
    async with Tail(store, interval=NEVER) as tail, asyncio.timeout(5):
        await until(lambda: store.reads >= 1)
        await store.append([an_append("run/a", count=5)])
        tail.wake.set()
        await until(lambda: tail.position == 5)
        store.rewind(2)
        await store.append([an_append("run/b", count=4)])
        async with aclosing(tail.follow(Position(2))) as pages:
            with pytest.raises(LogRewound, match="what stands at 5 is not what was read there"):
                await anext(pages)
        assert [event.entity_id for event in await followed(tail, 2, 6)] == ["run/b"] * 4


async def test_who_begins_to_follow_while_a_read_is_under_way_is_given_what_the_next_one_proves(until: Until) -> None:
    store = Counting()
    async with Tail(store, interval=NEVER) as tail, asyncio.TaskGroup() as tasks:
        await until(lambda: store.reads == 1)
        await store.append([an_append("run/a", count=5)])
        tail.wake.set()
        await until(lambda: tail.position == 5)
        store.may_answer.clear()
        tail.wake.set()
        await until(lambda: store.reads == 3)
        following = tasks.create_task(followed(tail, 2, 5))
        await asyncio.sleep(0)
        store.may_answer.set()
        assert [event.position for event in await following] == [3, 4, 5]


async def test_a_follower_is_told_each_time_when_nothing_came_for_a_while(until: Until) -> None:
    store = Counting()
    async with (
        asyncio.timeout(5),
        Tail(store, interval=NEVER) as tail,
        aclosing(tail.follow(Position(0), idle=0.001)) as pages,
    ):
        assert [await anext(pages) for _ in range(3)] == [[], [], []]
        await store.append([an_append("run/a")])
        tail.wake.set()
        await until(lambda: tail.position == 1)
        assert [event.position for event in await anext(pages)] == [1]


async def _rewind(store: Counting, until: Until) -> None:
    store.away = True
    reads = store.reads
    await until(lambda: store.reads > reads)
    store.rewind(2)
    store.away = False
