"""What moving the past out of the log promises: one suite, on memory and on Postgres."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from eventstore import (
    Append,
    Appended,
    EventStore,
    Fence,
    Hold,
    Kept,
    LogUnavailable,
    MemoryPartitions,
    MemorySegments,
    MemoryStore,
    NewEvent,
    Partition,
    Policy,
    Position,
    PostgresPartitions,
    PostgresStore,
    Recorded,
    Retention,
    SegmentAltered,
    SegmentMissing,
    Span,
    Version,
    migrate,
)
from eventstore.retention import DROPPED, EXPORTED
from eventstore.segment import Row, decode, encode

SIZE = 10
"""Positions of a partition."""

ALL = Policy(timedelta(0), 0)


def ends(event: NewEvent) -> bool:
    return event.type == "over"


class MemoryWorld:
    def __init__(self, segments: MemorySegments) -> None:
        self.segments = segments
        self.store = MemoryStore(ends=ends, segments=segments)
        self.followers: dict[str, int] = {}
        self.snapshots: dict[str, int] = {}
        self.partitions = MemoryPartitions(self.store, SIZE, self.followers, self.snapshots)

    async def followed(self, name: str, position: int) -> None:
        self.followers[name] = position

    async def snapshot(self, entity_id: str, version: int) -> None:
        self.snapshots[entity_id] = version

    async def held(self, name: str) -> list[Hold]:
        return await self.partitions.held(name)

    async def change(self, position: int) -> None:
        """What only a superuser can do to an event."""
        place = next(i for i, row in enumerate(self.store.rows) if row.event.position == position)
        row = self.store.rows[place]
        self.store.rows[place] = row._replace(event=row.event._replace(actor="mallory"))

    async def forget(self, position: int) -> None:
        """What only a superuser can do to what is remembered of a segment."""
        kept = self.store.index.kept
        kept[:] = [each for each in kept if each[0].from_position != position]

    async def close(self) -> None:
        return


class PostgresWorld:
    def __init__(self, url: str, segments: MemorySegments) -> None:
        self.url = url
        self.segments = segments
        self.store = PostgresStore(url, ends=ends, segments=segments)
        self.partitions = PostgresPartitions(url)

    async def followed(self, name: str, position: int) -> None:
        await self._say(
            "INSERT INTO es.projection (name, version, code, position) VALUES (%s, 1, 1, %s)"
            " ON CONFLICT (name, version) DO UPDATE SET position = excluded.position",
            (name, position),
        )

    async def snapshot(self, entity_id: str, version: int) -> None:
        await self._say(
            "INSERT INTO es.snapshot VALUES (%s, %s, 0, 1, '') ON CONFLICT (entity_id)"
            " DO UPDATE SET version = excluded.version",
            (entity_id, version),
        )

    async def held(self, name: str) -> list[Hold]:
        return [Hold(*row) for row in await self._say("SELECT kind, name, position FROM es.held(%s)", (name,))]

    async def change(self, position: int) -> None:
        await self._say("UPDATE es.event SET actor = 'mallory' WHERE position = %s", (position,))

    async def forget(self, position: int) -> None:
        await self._say("DELETE FROM es.segment WHERE from_position = %s", (position,))

    async def close(self) -> None:
        await self.store.close()
        await self.partitions.close()

    async def _say(self, statement: str, values: tuple[Any, ...]) -> list[Any]:
        async with await psycopg.AsyncConnection.connect(self.url, autocommit=True) as connection:
            await connection.execute("SET session_replication_role = replica")
            cursor = await connection.execute(statement, values)
            return await cursor.fetchall() if cursor.description else []


World = MemoryWorld | PostgresWorld


class Dying:
    """Partitions, segments and store of a node that dies before or after its n-th step, of whatever kind."""

    def __init__(self, world: World, steps: int) -> None:
        self._world = world
        self._left = steps

    def turn(self) -> AbstractAsyncContextManager[bool]:
        return self._world.partitions.turn()

    async def look(self) -> list[Partition]:
        return await self._world.partitions.look()

    async def rows(self, low: int, high: int, limit: int) -> list[Row]:
        return await self._world.partitions.rows(low, high, limit)

    async def keep(self, kept: Kept, spans: list[Span]) -> bool:
        return await self._step(lambda: self._world.partitions.keep(kept, spans))

    async def drop(self, name: str) -> list[Hold]:
        return await self._step(lambda: self._world.partitions.drop(name))

    async def put(self, name: str, body: bytes) -> None:
        await self._step(lambda: self._world.segments.put(name, body))

    async def get(self, name: str) -> bytes:
        return await self._world.segments.get(name)

    async def append(self, batch: list[Append]) -> list[Any]:
        return await self._step(lambda: self._world.store.append(batch))

    async def read(self, entity_id: str, after: Version, limit: int) -> list[Recorded]:
        return await self._world.store.read(entity_id, after, limit)

    async def log_id(self) -> Any:
        return await self._world.store.log_id()

    async def _step(self, step: Callable[[], Awaitable[Any]]) -> Any:
        """The first half of its deaths come before the step, the second behind it."""
        self._left -= 1
        if self._left == 0:
            raise LogUnavailable("it died before")
        done = await step()
        self._left -= 1
        if self._left == 0:
            raise LogUnavailable("it died behind")
        return done


async def no_snapshot(_entity_id: str) -> None:
    return


def moving(world: World, policy: Policy = ALL, snapshot: Callable[[str], Awaitable[None]] = no_snapshot) -> Retention:
    return Retention(world.partitions, world.store, world.segments, policy, snapshot, events=4)


async def whole(store: EventStore, page: int = 1000) -> list[Recorded]:
    found: list[Recorded] = []
    while more := await store.read_log(found[-1].position if found else Position(0), page):
        found += more
    return found


async def write(store: EventStore, entity_id: str, count: int, last: str = "said", expected: int = 0) -> None:
    types = ["said"] * (count - 1) + [last]
    events = tuple(NewEvent(type_, {"n": n, "half": n / 2, "ü": [None]}) for n, type_ in enumerate(types))
    append = Append(entity_id, Version(expected), Fence(0), events, "user:ann", None, Position(7))
    (outcome,) = await store.append([append])
    assert isinstance(outcome, Appended)


async def three_lives(world: World) -> list[Recorded]:
    """36 events: of three entities that end, and of one that begins in the last partition."""
    for step in range(3):
        await write(world.store, "run/a", 5, "over" if step == 2 else "said", step * 5)
        await write(world.store, f"job/{step}", 5, "over")
    await write(world.store, "run/late", 6)
    return await whole(world.store)


class Contract:
    async def test_what_was_moved_is_read_as_if_nothing_had_happened(self, world: World) -> None:
        before = await three_lives(world)
        await moving(world).round()
        moved = await world.partitions.look()
        assert [each.dropped for each in moved[:4]] == [True, True, True, False]
        assert {row.event.position for row in await world.partitions.rows(0, 36, 100)} == set(range(31, 36))
        for page in (1, 3, 7, 10, 100):
            assert (await whole(world.store, page))[: len(before)] == before
        for after in range(0, 36, 5):
            found = await world.store.read_log(Position(after), 12, ["over"])
            assert found == [event for event in before if event.position > after and event.type == "over"][:12]
        for entity_id in ("run/a", "job/1", "run/late"):
            mine = [event for event in before if event.entity_id == entity_id]
            for after in range(len(mine) + 1):
                for limit in (1, 4, 100):
                    assert await world.store.read(entity_id, Version(after), limit) == mine[after : after + limit]
        assert await world.store.read_log(Position(0), 0) == []
        assert await world.store.read("run/a", Version(0), 0) == []

    async def test_an_entity_goes_on_after_its_past_was_moved(self, world: World) -> None:
        await three_lives(world)
        await moving(world).round()
        await write(world.store, "run/a", 2, expected=15)
        assert [event.version for event in await world.store.read("run/a", Version(12), 100)] == [13, 14, 15, 16, 17]

    async def test_each_step_is_an_event_and_the_last_one_ends_the_history(self, world: World) -> None:
        await three_lives(world)
        await moving(world).round()
        await moving(world).round()
        for name, low in [(each.name, each.from_position) for each in await world.partitions.look()][:3]:
            events = await world.store.read(f"partition/{name}", Version(0), 10)
            assert [(event.type, event.data) for event in events] == [
                (EXPORTED, {"from": low, "to": low + SIZE}),
                (DROPPED, {"from": low, "to": low + SIZE}),
            ]

    async def test_who_has_not_read_it_holds_a_partition(self, world: World) -> None:
        await three_lives(world)
        await world.followed("slow", 19)
        await moving(world).round()
        first, second, third = (await world.partitions.look())[:3]
        assert (first.dropped, second.dropped, second.exported) == (True, False, second.to_position)
        assert [(hold.kind, hold.position) for hold in await world.held(second.name)] == [("follower", 19)]
        assert ("partition", 11) in [(hold.kind, hold.position) for hold in await world.held(third.name)]
        await world.followed("slow", 20)
        await moving(world).round()
        assert [each.dropped for each in (await world.partitions.look())[:3]] == [True, True, False]

    async def test_an_open_entity_holds_a_partition_until_a_snapshot_covers_it(self, world: World) -> None:
        await write(world.store, "run/open", 6)
        await write(world.store, "run/closed", 3, "over")
        await write(world.store, "run/open", 4, expected=6)
        await moving(world).round()
        first = (await world.partitions.look())[0]
        assert (first.dropped, first.exported) == (False, first.to_position)
        assert await world.held(first.name) == [Hold("entity", "run/open", 7)]
        await world.snapshot("run/open", 6)
        await moving(world).round()
        assert not (await world.partitions.look())[0].dropped
        asked: list[str] = []

        async def snapshot(entity_id: str) -> None:
            asked.append(entity_id)
            await world.snapshot(entity_id, 7)

        await moving(world, snapshot=snapshot).round()
        assert (await world.partitions.look())[0].dropped
        assert asked == ["run/open"]

    async def test_an_entity_that_went_on_after_its_end_is_open(self, world: World) -> None:
        await write(world.store, "run/a", 12, "over")
        await write(world.store, "run/a", 3, expected=12)
        await moving(world).round()
        first = (await world.partitions.look())[0]
        assert await world.held(first.name) == [Hold("entity", "run/a", 10)]
        await write(world.store, "run/a", 1, "over", expected=15)
        await moving(world).round()
        assert (await world.partitions.look())[0].dropped

    async def test_a_partition_that_may_get_more_events_stays(self, world: World) -> None:
        await write(world.store, "run/a", 10, "over")
        await moving(world).round()
        first = (await world.partitions.look())[0]
        assert (first.age, first.exported, first.dropped) == (None, 1, False)
        assert ("head", 10) in [(hold.kind, hold.position) for hold in await world.held(first.name)]
        assert ("segment", 1) in [(hold.kind, hold.position) for hold in await world.partitions.drop(first.name)]
        await write(world.store, "run/b", 1)
        await moving(world).round()
        assert (await world.partitions.look())[0].dropped

    async def test_what_is_young_or_among_the_newest_stays(self, world: World) -> None:
        await three_lives(world)
        for policy in (Policy(timedelta(hours=1), 0), Policy(timedelta(0), 27)):
            await moving(world, policy).round()
            assert (await world.partitions.look())[0].exported == 1
        await moving(world, Policy(timedelta(0), 26)).round()
        assert [each.dropped for each in (await world.partitions.look())[:3]] == [True, False, False]

    async def test_a_death_between_any_two_steps_repeats_or_goes_on(self, world: World) -> None:
        before = await three_lives(world)
        deaths = 0
        for steps in range(1, 1000):
            dying = Dying(world, steps)
            if (await world.partitions.look())[2].said == 2:
                break
            with suppress(LogUnavailable):
                await Retention(dying, dying, dying, ALL, no_snapshot, events=4).round()  # type: ignore[arg-type]
                continue
            deaths += 1
            assert (await whole(world.store, 7))[: len(before)] == before
        assert deaths > 8
        after = await whole(world.store)
        assert after[: len(before)] == before
        told = [(event.entity_id, event.type) for event in after[len(before) :]]
        assert len(told) == len(set(told))
        assert len([type_ for _, type_ in told if type_ == DROPPED]) == 3

    async def test_two_nodes_at_once_do_no_harm(self, world: World) -> None:
        before = await three_lives(world)

        class Impolite(Dying):
            def turn(self) -> AbstractAsyncContextManager[bool]:
                return suppress_nothing()

        class suppress_nothing:  # noqa: N801 - reads as a verb
            async def __aenter__(self) -> bool:
                return True

            async def __aexit__(self, *_: object) -> None:
                return

        async with asyncio.TaskGroup() as tasks:
            for _ in range(3):
                node = Impolite(world, 1_000_000)
                tasks.create_task(Retention(node, world.store, world.segments, ALL, no_snapshot, events=4).round())  # type: ignore[arg-type]
        await moving(world).round()
        after = await whole(world.store)
        assert after[: len(before)] == before
        told = [(event.entity_id, event.type) for event in after[len(before) :]]
        assert len(told) == len(set(told))
        assert len([type_ for _, type_ in told if type_ == DROPPED]) == 3

    async def test_one_node_at_a_time_has_its_turn(self, world: World) -> None:
        await three_lives(world)
        async with world.partitions.turn() as first:
            assert first
            other = world.partitions if isinstance(world, MemoryWorld) else PostgresPartitions(world.url)
            async with other.turn() as second:
                assert not second
            if isinstance(other, PostgresPartitions):
                await other.close()
        async with world.partitions.turn() as again:
            assert again

    @pytest.mark.parametrize("page", [3, 1000])
    async def test_a_segment_that_is_missing_or_altered_is_named_and_no_answer_is_short(
        self, world: World, page: int
    ) -> None:
        await three_lives(world)
        await moving(world).round()
        names = sorted(world.segments.bodies)
        body = world.segments.bodies.pop(names[1])
        fresh = MemoryStore(segments=world.segments) if isinstance(world, MemoryWorld) else await self._fresh(world)
        if isinstance(fresh, MemoryStore) and isinstance(world, MemoryWorld):
            fresh.rows, fresh.index, fresh._cold._index = world.store.rows, world.store.index, world.store.index
            fresh.entities = world.store.entities
        with pytest.raises(SegmentMissing) as missing:
            await whole(fresh, page)
        assert missing.value.name == names[1]
        with pytest.raises(SegmentMissing):
            await fresh.read("run/a", Version(0), 100)
        for wrong in (body[:-1], body[:-1] + bytes([body[-1] ^ 1]), b"", world.segments.bodies[names[0]]):
            world.segments.bodies[names[1]] = wrong
            with pytest.raises(SegmentAltered) as altered:
                await whole(fresh, page)
            assert altered.value.name == names[1]
        world.segments.bodies[names[1]] = body
        assert len(await whole(fresh, page)) == 42
        if isinstance(fresh, PostgresStore):
            await fresh.close()

    async def test_another_segment_of_the_same_range_is_not_taken_for_the_one_that_was_written(
        self, world: World
    ) -> None:
        await three_lives(world)
        await moving(world).round()
        name = min(world.segments.bodies)
        header, rows = decode(name, world.segments.bodies[name])
        forged = [row._replace(event=row.event._replace(actor="mallory")) for row in rows]
        world.segments.bodies[name] = encode(UUID(header.log_id), header.from_position, header.to_position, forged)
        with pytest.raises(SegmentAltered, match="not those that were written"):
            await whole(world.store)

    async def test_a_segment_that_the_log_forgot_is_no_gap_in_silence(self, world: World) -> None:
        await three_lives(world)
        await moving(world).round()
        await world.forget(5)
        with pytest.raises(SegmentMissing, match="of position 5"):
            await whole(world.store)
        with pytest.raises(SegmentMissing):
            await world.store.read_log(Position(0), 100, ["over"])

    async def test_a_segment_of_other_events_than_the_log_has_is_refused(self, world: World) -> None:
        if isinstance(world, MemoryWorld):
            pytest.skip("only Postgres counts: the store in memory trusts who calls it")
        await three_lives(world)
        name = (await world.partitions.look())[0].name
        kept = Kept(Position(1), Position(5), name, "x", "0" * 64, 1, 3, ("said",), None, None)
        with pytest.raises(psycopg.errors.RaiseException, match="with 3 events does not fit: there are 4"):
            await world.partitions.keep(kept, [])

    async def _fresh(self, world: PostgresWorld) -> PostgresStore:
        return PostgresStore(world.url, segments=world.segments)

    async def test_who_knows_no_place_of_segments_is_told_so(self, world: World) -> None:
        await three_lives(world)
        await moving(world).round()
        world.store._cold._segments = None
        with pytest.raises(SegmentMissing, match="no place is configured"):
            await whole(world.store)

    async def test_nothing_is_dropped_that_is_not_given_back_as_it_was_put(self, world: World) -> None:
        before = await three_lives(world)

        class Lossy(MemorySegments):
            async def put(self, name: str, body: bytes) -> None:
                await super().put(name, body[:-1])

        lossy = Lossy()
        with pytest.raises(SegmentAltered):
            await Retention(world.partitions, world.store, lossy, ALL, no_snapshot).round()
        assert (await world.partitions.look())[0].exported == 1
        assert await whole(world.store) == before

    async def test_nothing_is_dropped_that_differs_from_what_the_log_holds(self, world: World) -> None:
        await three_lives(world)

        class Slow(MemorySegments):
            async def put(self, name: str, body: bytes) -> None:
                await super().put(name, body)
                await world.change(3)

        with pytest.raises(SegmentAltered, match="not what the log holds"):
            await Retention(world.partitions, world.store, Slow(), ALL, no_snapshot).round()
        assert not (await world.partitions.look())[0].dropped

    async def test_where_segments_are_kept_is_away_nothing_happens_and_all_goes_on_later(self, world: World) -> None:
        before = await three_lives(world)

        class Away(MemorySegments):
            async def put(self, name: str, body: bytes) -> None:
                raise LogUnavailable("the bucket is away")

        with pytest.raises(LogUnavailable):
            await Retention(world.partitions, world.store, Away(), ALL, no_snapshot).round()
        assert await whole(world.store) == before
        await moving(world).round()
        assert (await world.partitions.look())[2].dropped

    async def test_a_segment_that_does_not_follow_the_one_before_is_not_remembered(self, world: World) -> None:
        await three_lives(world)
        name = (await world.partitions.look())[0].name
        kept = Kept(Position(5), Position(11), name, "x", "0" * 64, 1, 6, ("said",), None, None)
        assert not await world.partitions.keep(kept, [])


class TestMemory(Contract):
    @pytest.fixture
    async def world(self) -> World:
        return MemoryWorld(MemorySegments())


class TestPostgres(Contract):
    @pytest.fixture
    async def world(self, postgres_url: str) -> AsyncIterator[World]:
        async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as connection:
            await connection.execute(f"ALTER DATABASE {connection.info.dbname} SET es.partition_size = '{SIZE}'")
        await asyncio.to_thread(migrate.migrate, postgres_url)
        world = PostgresWorld(postgres_url, MemorySegments())
        yield world
        await world.close()
