"""What reads the log in Postgres reads what was moved out of it: audit, chain, views, followers, as the least role."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta

import psycopg
import pytest

from eventstore import (
    Append,
    Audit,
    Fence,
    MemorySegments,
    NewEvent,
    Past,
    Policy,
    Position,
    PostgresPartitions,
    PostgresStore,
    Projector,
    Question,
    Rebuild,
    Recorded,
    Retention,
    SegmentAltered,
    SegmentMissing,
    Snapshots,
    Tail,
    Version,
    decisions,
    migrate,
    verify,
)
from eventstore.connection import Link
from tests.eventstore.test_rebuild import Sums

SIZE = 10
EVENTS = 60


def ends(event: NewEvent) -> bool:
    return event.type == "over"


@dataclass
class Scene:
    """A log of EVENTS events; `before` is what it held before any of it was moved."""

    url: str
    segments: MemorySegments
    store: PostgresStore
    before: list[Recorded]

    async def move(self) -> int:
        """A round over all that is due; the position below which nothing is in Postgres then."""
        partitions, snapshots = PostgresPartitions(self.url), Snapshots(self.url)

        async def snapshot(entity_id: str) -> None:
            await decisions.keep(snapshots, self.store, entity_id.partition("/")[2])

        try:
            policy = Policy(timedelta(0), 0)
            await Retention(partitions, self.store, self.segments, policy, snapshot, events=4).round()
        finally:
            await partitions.close()
            await snapshots.close()
        return await self.store.floor()


async def fill(store: PostgresStore) -> list[Recorded]:
    for step in range(EVENTS // 10):
        for name in ("run/a", "run/b"):
            events = [NewEvent("counted", {"n": step * 5 + n + 1}) for n in range(5)]
            events[-1] = NewEvent("over", {"n": 0})
            await store.append([Append(name, Version(step * 5), Fence(0), tuple(events), f"user:{step}")])
    return await store.read_log(Position(0), 1000)


@pytest.fixture
async def scene(postgres_url: str) -> AsyncIterator[Scene]:
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as connection:
        await connection.execute(f"ALTER DATABASE {connection.info.dbname} SET es.partition_size = '{SIZE}'")
    await asyncio.to_thread(migrate.migrate, postgres_url)
    segments = MemorySegments()
    store = PostgresStore(postgres_url, ends=ends, segments=segments)
    yield Scene(postgres_url, segments, store, await fill(store))
    await store.close()


@pytest.mark.parametrize("window", [7, 100_000])
async def test_questions_are_answered_in_both_directions_as_if_nothing_had_happened(scene: Scene, window: int) -> None:
    audit = Audit(scene.url, window, segments=scene.segments)
    half = scene.before[25].recorded_at
    questions = (
        Question(),
        Question(entity_id="run/b"),
        Question(types=frozenset({"over"})),
        Question(actor="user:1"),
        Question(category="run", since=half),
        Question(until=half),
    )
    expected = {question: [event for event in scene.before if question.fits(event)] for question in questions}
    assert await scene.move() == 51
    for question, events in expected.items():
        assert await _all(audit, question, newest_first=False) == events
        assert await _all(audit, question, newest_first=True) == events[::-1]
    assert [await audit.event(Position(at)) for at in (1, 27, 55)] == [scene.before[at - 1] for at in (1, 27, 55)]
    for event in scene.before[::7]:
        reached = max(e.position for e in scene.before if e.recorded_at == event.recorded_at)
        assert await audit.position_at(event.recorded_at) == reached
        mine = [e for e in scene.before if e.entity_id == "run/a" and e.position <= event.position]
        assert await audit.entity("run/a", event.position) == mine
        assert await audit.entity("run/a", event.position, Version(3), 4) == mine[3:7]
    assert await audit.position_at(scene.before[0].recorded_at - timedelta(seconds=1)) == 0
    await audit.close()


async def _all(audit: Audit, question: Question, *, newest_first: bool) -> list[Recorded]:
    """All pages, without what retention itself recorded."""
    found: list[Recorded] = []
    then: Position | None = None
    while True:
        if newest_first:
            page = await audit.newest_first(question, then, 4)
        else:
            page = await audit.oldest_first(question, then or Position(0), 4)
        found += page.events
        then = page.then
        if then is None:
            return [event for event in found if not event.entity_id.startswith("partition/")]


async def test_the_chain_is_walked_through_the_segments(scene: Scene) -> None:
    whole = await verify(scene.url)
    assert await scene.move() == 51
    after = await verify(scene.url, segments=scene.segments)
    assert (after.broken, after.events) == (None, whole.events + 10)
    with pytest.raises(SegmentMissing):
        await verify(scene.url)
    scene.segments.bodies.pop(sorted(scene.segments.bodies)[2])
    with pytest.raises(SegmentMissing):
        await verify(scene.url, segments=scene.segments)


async def test_a_view_is_rebuilt_from_the_segments_and_is_the_same(scene: Scene) -> None:
    async with Tail(scene.store) as tail, Projector(scene.url, scene.store, tail, [Sums()]) as projector:
        assert await projector.wait_for("sums", Position(EVENTS), 10)
        await projector.close()
        rows = await _rows(scene.url)
        assert await scene.move() == 51
        assert (await Rebuild(scene.url, scene.store, Sums(), segments=scene.segments, page=7).verify()).differ == ()
        await Rebuild(scene.url, scene.store, Sums(), segments=scene.segments).run()
        assert await _rows(scene.url) == rows
    body = scene.segments.bodies.pop(name := sorted(scene.segments.bodies)[3])
    with pytest.raises(SegmentMissing):
        await Rebuild(scene.url, scene.store, Sums(), segments=scene.segments).run()
    ((reason,),) = await _ask(scene.url, "SELECT error->>'reason' FROM es.projection WHERE status = 'stalled'")
    assert name in reason
    scene.segments.bodies[name] = body
    await Rebuild(scene.url, scene.store, Sums(), segments=scene.segments).run()
    assert await _rows(scene.url) == rows


async def test_a_rebuild_under_way_holds_what_it_has_still_to_read(scene: Scene) -> None:
    await _ask(scene.url, "INSERT INTO es.projection (name, version, code, position) VALUES ('sums', 2, 1, 15)")
    assert await scene.move() == 11
    past = Past(scene.url, scene.segments)
    second = (await past.partitions())[1]
    assert [(hold.kind, hold.name) for hold in second.held_by] == [("follower", "projection sums v2 (building)")]
    await _ask(scene.url, "UPDATE es.projection SET status = 'retired'")  # the version kept for a quick return
    assert await scene.move() == 11
    await _ask(scene.url, "DELETE FROM es.projection")
    assert await scene.move() >= 51
    await past.close()


async def test_what_was_decided_about_a_projection_is_known_without_any_segment(scene: Scene) -> None:
    said = NewEvent("projection_event_skipped", {"position": 5, "reason": "x"})
    await scene.store.append([Append("projection/sums", Version(0), Fence(0), (said,))])
    for step in range(2):
        await _more(scene.store, step)
    assert await scene.move() > EVENTS
    blind = PostgresStore(scene.url)
    with pytest.raises(SegmentMissing):
        await blind.read("projection/sums", Version(0), 10)
    link = Link(scene.url, "test")
    assert [event.data["position"] for event in await decisions.history(link, blind, "sums")] == [5]
    await link.drop()
    await blind.close()


async def _more(store: PostgresStore, step: int) -> None:
    events = (*(NewEvent("counted", {"n": n}) for n in range(1, 20)), NewEvent("over", {}))
    await store.append([Append(f"run/more-{step}", Version(0), Fence(0), events)])


async def test_who_follows_from_an_old_position_and_who_reads_while_it_moves_misses_nothing(scene: Scene) -> None:
    async with Tail(scene.store) as tail, asyncio.TaskGroup() as tasks:
        reading = [tasks.create_task(_read_on(scene.url, scene.segments)) for _ in range(3)]
        moving = tasks.create_task(scene.move())
        seen: list[Recorded] = []
        async with aclosing(tail.follow(Position(3))) as pages, asyncio.timeout(15):
            async for page in pages:
                seen += page
                if seen[-1].position >= EVENTS:
                    break
        assert seen[: EVENTS - 3] == scene.before[3:]
        assert await moving == 51
        for each in reading:
            assert await each == scene.before


async def _read_on(url: str, segments: MemorySegments) -> list[Recorded]:
    """The whole log again and again, in small pages, until its beginning has moved."""
    store = PostgresStore(url, segments=segments)
    while True:
        floor = await store.floor()
        found: list[Recorded] = []
        while len(found) < EVENTS:
            found += await store.read_log(found[-1].position if found else Position(0), 9)
        if floor > 1:
            await store.close()
            return found[:EVENTS]


async def test_a_long_read_is_not_cut_and_nobody_waits_long_for_it(scene: Scene) -> None:
    async with await psycopg.AsyncConnection.connect(scene.url) as reader:
        await reader.execute("SELECT count(*) FROM es.event")
        assert await scene.move() == 1
        partitions = PostgresPartitions(scene.url)
        first = (await partitions.look())[0]
        assert [hold.kind for hold in await partitions.drop(first.name)] == ["reader"]
        await partitions.close()
    assert await scene.move() >= 51


async def test_segments_are_listed_and_read_back(scene: Scene) -> None:
    await scene.move()
    past = Past(scene.url, scene.segments)
    listed = await past.segments(Position(0), 1000)
    assert [kept.from_position for kept, _ in listed] == sorted(kept.from_position for kept, _ in listed)
    assert sum(kept.events for kept, _ in listed) >= 50
    assert all([each.fault is None async for each in past.check()])
    name = listed[1][0].name
    scene.segments.bodies[name] += b"x"
    scene.segments.bodies.pop(listed[2][0].name)
    faults = {each.kept.name: each.fault async for each in past.check() if each.fault}
    assert faults == {name: "its bytes are not those that were written", listed[2][0].name: "it does not exist"}
    with pytest.raises(SegmentAltered):
        await scene.store.read_log(Position(0), 1000)
    await past.close()


async def test_everything_that_follows_the_log_is_in_the_rule(scene: Scene) -> None:
    """Whoever adds a table of checkpoints must add it to es.following, or retention would overtake it."""
    tables = await _ask(
        scene.url,
        "SELECT table_name FROM information_schema.columns WHERE table_schema = 'es' AND column_name = 'position'"
        " AND data_type = 'bigint' AND table_name NOT LIKE 'event%' AND table_name NOT IN ('snapshot', 'following')",
    )
    ((rule,),) = await _ask(scene.url, "SELECT pg_get_viewdef('es.following'::regclass)")
    followers = {name for (name,) in tables if name != "position"}
    assert followers
    assert all(name in rule for name in followers)


async def test_the_least_role_moves_rebuilds_swaps_and_returns(scene: Scene, app_url: str) -> None:
    store = PostgresStore(app_url, ends=ends, segments=scene.segments)
    assert await store.power() is None
    async with Tail(store) as tail, Projector(app_url, store, tail, [Sums()]) as projector:
        assert await projector.wait_for("sums", Position(EVENTS), 10)
    await Rebuild(app_url, store, Sums(), segments=scene.segments).run()
    await Rebuild(app_url, store, Sums()).return_to_before()
    await _ask(scene.url, "DELETE FROM es.projection WHERE NOT active")
    assert await Scene(app_url, scene.segments, store, []).move() >= 51
    assert (await verify(app_url, segments=scene.segments)).broken is None
    for step in range(3):
        await _more(store, step)  # new partitions are made
    async with await psycopg.AsyncConnection.connect(app_url, autocommit=True) as connection:
        for forbidden in (
            "DROP TABLE es.event_0000000000000000061",
            "ALTER TABLE es.event DETACH PARTITION es.event_0000000000000000061",
            "UPDATE es.log SET floor = 1",
            "DELETE FROM es.segment",
            "UPDATE es.partition SET dropped_at = NULL",
            "INSERT INTO es.segment_entity VALUES ('a', 1, 1, 1)",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await connection.execute(forbidden)
    await store.close()


@pytest.fixture
def app_url(scene: Scene) -> Iterator[str]:
    with psycopg.connect(scene.url, autocommit=True) as connection:
        role = f"app_{connection.info.dbname}"
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'app'")
        migrate.migrate(scene.url, role)
        yield psycopg.conninfo.make_conninfo(scene.url, user=role, password="app")
        connection.execute(f"DROP OWNED BY {role}")
        connection.execute(f"DROP ROLE {role}")


async def test_a_log_of_before_is_raised_and_its_role_may_go_on(scene: Scene, app_url: str) -> None:
    """What revision 0001 had: another append, and none of what retention needs."""
    await asyncio.to_thread(_back_to_0001, scene.url)
    store = PostgresStore(app_url, ends=ends)
    await asyncio.to_thread(migrate.migrate, scene.url)
    await _more(store, 1)
    assert await store.read_log(Position(0), EVENTS) == scene.before
    ((old,),) = await _ask(
        app_url,
        "SELECT outcome FROM es.append(gen_random_uuid(), '{run/z}', '{0}', '{0}', '{1}', '{\"\"}', '{\"x\"}', '{me}',"
        " '{NULL}', '{NULL}', '{1}', '{1}', '{t}', '{1}', ARRAY[gen_random_uuid()], ARRAY['{}'], '{\"x\"}')",
    )
    assert old == "appended"  # a program of before still calls it so
    await store.close()


def _back_to_0001(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP VIEW es.following CASCADE")
        connection.execute("DROP TABLE es.segment_entity, es.segment")
        connection.execute("ALTER TABLE es.log DROP COLUMN floor")
        connection.execute("ALTER TABLE es.partition DROP COLUMN dropped_at, ADD COLUMN exported jsonb")
        connection.execute("DROP FUNCTION es.held, es.keep_segment, es.drop_partition")
        connection.execute("DROP FUNCTION es.append")
        connection.execute(
            "CREATE FUNCTION es.append(uuid, text[], bigint[], bigint[], bigint[], bytea[], bytea[], text[], uuid[],"
            " bigint[], int[], bigint[], text[], smallint[], uuid[], text[], bytea[]) RETURNS TABLE (outcome text)"
            " LANGUAGE sql AS 'SELECT NULL'"
        )
        connection.execute("UPDATE es.schema_version SET version_num = '0001'")


async def _rows(url: str) -> list[tuple[object, ...]]:
    return await _ask(url, "SELECT entity_id, total, times FROM sums ORDER BY 1")


async def _ask(url: str, statement: str) -> list[tuple[object, ...]]:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        cursor = await connection.execute(statement)
        return await cursor.fetchall() if cursor.description else []
