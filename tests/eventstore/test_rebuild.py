"""A view made anew while it is read and written: swapped whole, resumable, comparable, reversible."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from random import Random
from uuid import uuid4

import psycopg
import pytest

from eventstore import (
    Append,
    Connection,
    Fence,
    Listener,
    LogUnavailable,
    NewEvent,
    NodeId,
    NothingBefore,
    Poisoned,
    Position,
    PostgresStore,
    Progress,
    Projector,
    Rebuild,
    Recorded,
    Tail,
    Version,
    View,
    connection,
    copy_in,
    projector,
    table_of,
)
from eventstore.connection import Link
from eventstore.projection import REBUILT, Checkpoint
from eventstore.projector import Keeper
from eventstore.standby import Standby
from tests.eventstore.conftest import Way
from tests.faults.tcp_proxy import in_front_of


@dataclass
class Sums:
    name: str = "sums"
    version: int = 1
    types: frozenset[str] = frozenset({"counted"})
    factor: int = 1
    poison: int = 0

    async def create(self, connection: Connection) -> None:
        await connection.execute(
            f"CREATE TABLE IF NOT EXISTS {table_of(self)} (entity_id text PRIMARY KEY, total bigint, times bigint)"
        )

    async def apply(self, connection: Connection, events: Sequence[Recorded]) -> None:
        if any(event.data["n"] == self.poison for event in events):
            raise ValueError("poison")
        await connection.execute(
            f"INSERT INTO {table_of(self)} AS t SELECT e, sum(n), count(*) FROM unnest(%s::text[], %s::bigint[]) u (e, n)"
            " GROUP BY e ON CONFLICT (entity_id) DO UPDATE"
            " SET total = t.total + excluded.total, times = t.times + excluded.times",
            ([event.entity_id for event in events], [event.data["n"] * self.factor for event in events]),
        )


def an_append(entity_id: str, expected: int = 0, count: int = 1) -> Append:
    events = tuple(NewEvent("counted", {"n": expected + n + 1}) for n in range(count))
    return Append(entity_id, Version(expected), Fence(0), events)


@asynccontextmanager
async def projecting(url: str, store: PostgresStore, view: Sums) -> AsyncIterator[Projector]:
    async with Tail(store, listener=Listener(url)) as tail, Projector(url, store, tail, [view]) as projector:
        yield projector


async def fetch(url: str, query: str = "SELECT * FROM sums ORDER BY 1") -> list[tuple]:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        return await (await connection.execute(query)).fetchall()


async def versions(url: str) -> list[tuple]:
    return await fetch(url, "SELECT version, status, active FROM es.projection ORDER BY version")


async def test_a_view_whose_connection_goes_silent_goes_on_over_a_new_one(
    store: PostgresStore, log_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Making its tables may take long, and a message of events may not: only then it is given up soon."""
    for module in (projector, connection):
        monkeypatch.setattr(module, "DEADLINE_S", 0.5)
    async with (
        in_front_of(log_url) as (proxy, url),
        Tail(store, listener=Listener(log_url)) as tail,
        Projector(url, store, tail, [Sums()]) as views,
    ):
        await store.append([an_append("run/a")])
        assert await views.wait_for("sums", Position(1), 10)
        proxy.silence()
        await store.append([an_append("run/a", 1)])
        assert await views.wait_for("sums", Position(2), 10)


async def test_readers_see_a_whole_table_all_the_time_and_the_new_one_after_the_swap(
    store: PostgresStore, log_url: str
) -> None:
    await store.append([an_append("run/old", count=500)])
    done = asyncio.Event()
    async with projecting(log_url, store, Sums()) as projector, asyncio.TaskGroup() as tasks:
        assert await projector.wait_for("sums", Position(500), 10)
        await fetch(log_url, "UPDATE sums__v1 SET total = -1 RETURNING 1")
        writing = tasks.create_task(_write_until(store, done))
        reading = tasks.create_task(_read_until(log_url, done))
        rebuilt = await Rebuild(log_url, store, Sums(), page=50).run("user:ann")
        done.set()
        last = await writing
        assert await projector.wait_for("sums", last, 10)
        totals = await reading
    assert totals[-1] == 500 * 501 // 2
    assert set(totals) <= {-1, 500 * 501 // 2}
    assert totals == sorted(totals)
    assert await versions(log_url) == [(1, "retired", False), (2, "live", True)]
    times = (await fetch(log_url, "SELECT total, times FROM sums WHERE entity_id = 'run/new'"))[0]
    assert times == (times[1] * (times[1] + 1) // 2, len(await store.read("run/new", Version(0), 100_000)))
    (event,) = await store.read("projection/sums", Version(0), 10)
    assert (event.type, event.actor, event.data["version"]) == ("projection_rebuilt", "user:ann", 2)
    assert rebuilt.version == 2


class Patient(Rebuild):
    """Counts how often it tried to swap."""

    tries = 0

    async def _try_to_swap(self, connection: Connection, view: View, at: Checkpoint, actor: str) -> Checkpoint:
        self.tries += 1
        return await super()._try_to_swap(connection, view, at, actor)


async def test_a_reader_who_stays_holds_up_the_swap_and_no_other_reader(
    store: PostgresStore, log_url: str, until: Callable[..., Awaitable[None]]
) -> None:
    await store.append([an_append("run/a", count=5)])
    async with projecting(log_url, store, Sums()) as projector:
        assert await projector.wait_for("sums", Position(5), 10)
    rebuild, done = Patient(log_url, store, Sums(factor=2)), asyncio.Event()
    async with await psycopg.AsyncConnection.connect(log_url) as staying, asyncio.TaskGroup() as tasks:
        await staying.execute("SELECT * FROM sums")
        running = tasks.create_task(rebuild.run())
        reading = tasks.create_task(_read_until(log_url, done, "run/a", "-c statement_timeout=2000"))
        await until(lambda: rebuild.tries > 2)
        assert not running.done()
        await staying.rollback()
        await running
        done.set()
    assert set(reading.result()) == {15, 30}


@dataclass
class Once(Sums):
    """Takes a number once, which only an index knows."""

    name: str = "once"

    async def create(self, connection: Connection) -> None:
        await connection.execute(f"CREATE TABLE IF NOT EXISTS {table_of(self)} (n bigint)")

    async def index(self, connection: Connection) -> None:
        await connection.execute(f"CREATE UNIQUE INDEX IF NOT EXISTS {table_of(self)}_n ON {table_of(self)} (n)")

    async def apply(self, connection: Connection, events: Sequence[Recorded]) -> None:
        await copy_in(connection, table_of(self), ("n",), [(event.data["n"],) for event in events])


async def test_a_row_that_no_index_can_hold_is_poison_though_indexes_come_last(
    store: PostgresStore, log_url: str
) -> None:
    await store.append([an_append("run/a", count=6)])
    async with projecting(log_url, store, Once()) as projector:
        assert await projector.wait_for("once", Position(6), 10)
    await store.append([an_append("run/b"), an_append("run/c", count=3)])
    with pytest.raises(Poisoned, match=r"position 7 .*once__v2_n"):
        await Rebuild(log_url, store, Once()).run()
    assert await fetch(log_url, "SELECT n FROM once__v2 ORDER BY n") == [(n,) for n in range(1, 7)]


async def test_a_rebuilt_table_has_the_indexes_and_the_statistics_of_a_live_one(
    store: PostgresStore, log_url: str
) -> None:
    await store.append([an_append("run/a", count=6)])
    async with projecting(log_url, store, Once()) as projector:
        assert await projector.wait_for("once", Position(6), 10)
    await Rebuild(log_url, store, Once()).run()
    indexes = "SELECT tablename FROM pg_indexes WHERE indexname ~ '^once__v._n$' ORDER BY 1"
    assert await fetch(log_url, indexes) == [("once__v1",), ("once__v2",)]
    assert await fetch(log_url, "SELECT reltuples FROM pg_class WHERE relname = 'once__v2'") == [(6.0,)]


async def test_a_swap_waits_for_a_slow_commit_of_the_log_and_not_for_ever(store: PostgresStore, log_url: str) -> None:
    """Readers are not in its way then: to begin anew would only wait for the next commit."""
    await store.append([an_append("run/a", count=5)])
    async with projecting(log_url, store, Sums()) as projector:
        assert await projector.wait_for("sums", Position(5), 10)
        rebuild = Patient(log_url, store, Sums())
        async with await psycopg.AsyncConnection.connect(log_url) as slow, asyncio.TaskGroup() as tasks:
            await slow.execute("SELECT pg_advisory_xact_lock(7405, 1)")
            swapping = tasks.create_task(rebuild.run())
            waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 7405 AND NOT granted"
            while await fetch(log_url, waits) != [(1,)]:
                assert not swapping.done()
            await slow.execute("SELECT pg_sleep(0.3)")
            await slow.commit()
    assert rebuild.tries == 1
    assert await versions(log_url) == [(1, "retired", False), (2, "live", True)]


class Late(Rebuild):
    """Lets something happen between catching up and the swap."""

    between: Callable[[], Awaitable[None]]

    async def _swap(self, view: View, at: Checkpoint, actor: str) -> Checkpoint:
        await self.between()
        return await super()._swap(view, at, actor)


async def test_a_swap_never_takes_readers_back_in_time(store: PostgresStore, log_url: str) -> None:
    """The old version moves on after the new one caught up; then nobody projects any more."""

    async def move_the_old_one() -> None:
        (outcome,) = await store.append([an_append("run/a", 5, count=4)])
        async with projecting(log_url, store, Sums()) as projector:
            assert await projector.wait_for("sums", outcome.last, 10)

    await store.append([an_append("run/a", count=5)])
    async with projecting(log_url, store, Sums()) as projector:
        assert await projector.wait_for("sums", Position(5), 10)
    rebuild = Late(log_url, store, Sums())
    rebuild.between = move_the_old_one
    assert (await rebuild.run()).position == 9
    assert await versions(log_url) == [(1, "retired", False), (2, "live", True)]
    assert await fetch(log_url) == [("run/a", 45, 9)]


async def test_a_cancelled_rebuild_goes_on_where_it_stopped(store: PostgresStore, log_url: str) -> None:
    await store.append([an_append("run/a", count=400)])
    seen: list[Progress] = []
    enough = asyncio.Event()

    def note(progress: Progress) -> None:
        seen.append(progress)
        if progress.position >= 100:
            enough.set()

    async with projecting(log_url, store, Sums()) as projector:
        assert await projector.wait_for("sums", Position(400), 10)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(Rebuild(log_url, store, Sums(), page=20, progress=note).run())
        await enough.wait()
        running.cancel()
    assert await versions(log_url) == [(1, "live", True), (2, "building", False)]
    cancelled_at = seen[-1].position
    await Rebuild(log_url, store, Sums(), page=20, progress=note).run()
    later = [progress.position for progress in seen if progress.position > cancelled_at]
    assert min(later) <= cancelled_at + 40
    assert seen[-1].head == 400
    assert await fetch(log_url) == [("run/a", 400 * 401 // 2, 400)]
    assert await versions(log_url) == [(1, "retired", False), (2, "live", True)]


async def test_what_a_rebuild_left_can_be_discarded(store: PostgresStore, log_url: str) -> None:
    await store.append([an_append("run/a", count=5)])
    async with projecting(log_url, store, Sums()) as projector:
        assert await projector.wait_for("sums", Position(5), 10)
    with pytest.raises(Poisoned, match="position 3"):
        await Rebuild(log_url, store, Sums(poison=3)).run()
    assert await versions(log_url) == [(1, "live", True), (2, "stalled", False)]
    await Rebuild(log_url, store, Sums()).discard()
    assert await versions(log_url) == [(1, "live", True)]
    assert await fetch(log_url, "SELECT to_regclass('sums__v2')") == [(None,)]


async def test_verify_finds_a_changed_row_and_leaves_nothing_behind(store: PostgresStore, log_url: str) -> None:
    await store.append([an_append(f"run/{n}", count=3) for n in range(20)])
    async with projecting(log_url, store, Sums()) as projector:
        assert await projector.wait_for("sums", await store.head(), 10)
        assert (await Rebuild(log_url, store, Sums()).verify()).differ == ()
        await fetch(log_url, "UPDATE sums__v1 SET total = total + 1 WHERE entity_id = 'run/7' RETURNING 1")
        verdict = await Rebuild(log_url, store, Sums()).verify()
    assert (verdict.differ, verdict.version) == (("sums",), 1)
    assert await versions(log_url) == [(1, "live", True)]
    assert await fetch(log_url, "SELECT to_regclass('sums__v2')") == [(None,)]


async def test_the_version_before_is_back_at_once_and_catches_up(store: PostgresStore, log_url: str) -> None:
    await store.append([an_append("run/a", count=5)])
    async with projecting(log_url, store, Sums()) as projector:
        assert await projector.wait_for("sums", Position(5), 10)
        with pytest.raises(NothingBefore):
            await Rebuild(log_url, store, Sums()).return_to_before()
        await Rebuild(log_url, store, Sums()).run()
        (outcome,) = await store.append([an_append("run/a", 5)])
        assert await projector.wait_for("sums", outcome.last, 10)
        assert await Rebuild(log_url, store, Sums()).return_to_before() == 1
        (outcome,) = await store.append([an_append("run/a", 6)])
        assert await projector.wait_for("sums", outcome.last, 10)
    assert await versions(log_url) == [(1, "live", True), (2, "retired", False)]
    assert await fetch(log_url, "SELECT * FROM sums__v1") == [("run/a", 28, 7)]
    assert await fetch(log_url) == [("run/a", 28, 7)]


async def test_readers_and_the_log_agree_on_the_version_whichever_answer_to_a_return_is_lost(
    store: PostgresStore, log_url: str, way: Way
) -> None:
    await store.append([an_append("run/a", count=5)])
    async with projecting(log_url, store, Sums()) as projector:
        assert await projector.wait_for("sums", Position(5), 10)
        await Rebuild(log_url, store, Sums()).run()
        for spared in itertools.count():
            (outcome,) = await store.append([an_append("run/a", 5 + spared)])
            assert await projector.wait_for("sums", outcome.last, 10)
            before = await shown(log_url)
            way.swallow(spared)
            cut = PostgresStore(way.url)
            with suppress(LogUnavailable):
                await Rebuild(way.url, cut, Sums()).return_to_before()
            await cut.close()
            await sees(log_url, ("run/a", sum(range(7 + spared)), 6 + spared))
            assert await told(store) == await shown(log_url)
            if await shown(log_url) != before:
                await Rebuild(log_url, store, Sums()).run()
            if way.swallowing.is_set():
                break
    assert spared > 5, "no answer between the first and the last was lost"


async def shown(url: str) -> int:
    """The version that readers see."""
    return next(version for version, _, active in await versions(url) if active)


async def told(store: PostgresStore) -> int:
    """The version that readers see as the log has it."""
    said = await store.read("projection/sums", Version(0), 1000)
    return [event.data["version"] for event in said if event.type == REBUILT][-1]


async def sees(url: str, row: tuple) -> None:
    """Readers come to see the one row, though nothing more is written."""
    async with asyncio.timeout(10):
        while await fetch(url) != [row]:
            continue


async def test_one_version_is_kept_to_return_to_and_older_ones_are_dropped(store: PostgresStore, log_url: str) -> None:
    await store.append([an_append("run/a", count=5)])
    async with projecting(log_url, store, Sums()) as projector:
        assert await projector.wait_for("sums", Position(5), 10)
        for _ in range(3):
            await Rebuild(log_url, store, Sums()).run()
    assert await versions(log_url) == [(3, "retired", False), (4, "live", True)]
    assert await fetch(log_url, "SELECT to_regclass('sums__v2'), to_regclass('sums__v3')::text") == [(None, "sums__v3")]


class Slow(Keeper):
    """Something happens between reading which version readers see and taking it."""

    meanwhile: Callable[[], Awaitable[object]] | None = None

    async def _current(self) -> View | None:
        view = await super()._current()
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            await meanwhile()
        return view


async def test_who_is_about_to_keep_a_view_keeps_the_version_that_was_swapped_in_meanwhile(
    store: PostgresStore, log_url: str
) -> None:
    await store.append([an_append("run/a", count=5)])
    async with projecting(log_url, store, Sums()) as projector:
        assert await projector.wait_for("sums", Position(5), 10)
    async with Tail(store, listener=Listener(log_url)) as tail, asyncio.TaskGroup() as tasks:
        node = uuid4()
        standby = Standby(Link(log_url, "test"), NodeId(node), Random(1))
        keeper = Slow(log_url, store, tail, Sums(), NodeId(node), Random(1), standby=standby, segments=None)
        keeper.meanwhile = Rebuild(log_url, store, Sums()).run
        keeping = tasks.create_task(keeper.run())
        async with asyncio.timeout(10):
            while await fetch(log_url, "SELECT owner FROM es.projection WHERE version = 2") != [(node,)]:
                pass
        keeping.cancel()
    assert await versions(log_url) == [(1, "retired", False), (2, "live", True)]


async def test_a_newer_program_rebuilds_what_an_older_one_made(store: PostgresStore, log_url: str) -> None:
    await store.append([an_append("run/a", count=5)])
    async with projecting(log_url, store, Sums()) as projector:
        assert await projector.wait_for("sums", Position(5), 10)
    newer = Sums(version=2, factor=10)
    async with projecting(log_url, store, newer) as projector:
        async with asyncio.timeout(10):
            while await fetch(log_url) != [("run/a", 150, 5)]:
                pass
        (outcome,) = await store.append([an_append("run/a", 5)])
        assert await projector.wait_for("sums", outcome.last, 10)
    assert await fetch(log_url) == [("run/a", 210, 6)]
    assert replace(newer, version=3).version == 3


async def _write_until(store: PostgresStore, done: asyncio.Event) -> Position:
    version, last = 0, Position(0)
    while not done.is_set() or version < 20:
        (outcome,) = await store.append([an_append("run/new", version)])
        version, last = outcome.version, outcome.last
    return last


async def _read_until(url: str, done: asyncio.Event, entity_id: str = "run/old", options: str = "") -> list[int]:
    totals: list[int] = []
    async with await psycopg.AsyncConnection.connect(url, autocommit=True, options=options) as connection:
        finished = False
        while not finished:
            finished = done.is_set()
            cursor = await connection.execute("SELECT total FROM sums WHERE entity_id = %s", (entity_id,))
            (row,) = await cursor.fetchall()
            totals.append(row[0])
    return totals
