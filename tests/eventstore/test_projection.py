"""Views: exactly once in effect, stopped exactly at poison, owned by one node, caught up without any NOTIFY."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import psycopg
import pytest

from eventstore import (
    Append,
    Claims,
    Connection,
    Fence,
    Listener,
    NewEvent,
    NodeId,
    Position,
    PostgresStore,
    Projector,
    Recorded,
    Superseded,
    Tail,
    UnknownProjection,
    UnknownType,
    Version,
    View,
    projection,
    table_of,
)
from eventstore import projector as projector_room
from eventstore.connection import Link


@dataclass
class Sums:
    """entity_id -> sum of n and how many; `poison` is an n that it cannot fold."""

    name: str = "sums"
    version: int = 1
    types: frozenset[str] = frozenset({"counted"})
    poison: frozenset[int] = frozenset()
    pages: list[list[int]] = field(default_factory=list)

    async def create(self, connection: Connection) -> None:
        await connection.execute(
            f"CREATE TABLE IF NOT EXISTS {table_of(self)} (entity_id text PRIMARY KEY, total bigint, times bigint)"
        )

    async def apply(self, connection: Connection, events: Sequence[Recorded]) -> None:
        self.pages.append([event.data["n"] for event in events])
        await connection.execute(
            f"INSERT INTO {table_of(self)} AS t SELECT e, sum(n), count(*) FROM unnest(%s::text[], %s::bigint[]) u (e, n)"
            " GROUP BY e ON CONFLICT (entity_id) DO UPDATE"
            " SET total = t.total + excluded.total, times = t.times + excluded.times",
            ([event.entity_id for event in events], [event.data["n"] for event in events]),
        )
        if bad := self.poison & {event.data["n"] for event in events}:
            raise ValueError(f"cannot fold {sorted(bad)}")


def an_append(entity_id: str, expected: int = 0, count: int = 1, type_: str = "counted") -> Append:
    events = tuple(NewEvent(type_, {"n": expected + n + 1}) for n in range(count))
    return Append(entity_id, Version(expected), Fence(0), events)


@asynccontextmanager
async def projecting(
    url: str, store: PostgresStore, *views: View, node: NodeId | None = None
) -> AsyncIterator[Projector]:
    async with Tail(store, listener=Listener(url)) as tail, Projector(url, store, tail, views, node=node) as projector:
        yield projector


async def rows(url: str, query: str = "SELECT * FROM sums ORDER BY 1") -> list[tuple]:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        return await (await connection.execute(query)).fetchall()


async def until_stalled(projector: Projector, name: str = "sums") -> projection.ProjectionStatus:
    async with asyncio.timeout(10):
        while True:
            for status in await projector.status():
                if (status.name, status.status) == (name, "stalled"):
                    return status


async def test_a_view_holds_the_fold_of_the_log_and_says_how_far(store: PostgresStore, log_url: str) -> None:
    await store.append([an_append("run/a", count=3), an_append("run/b", count=1)])
    async with projecting(log_url, store, Sums()) as projector:
        (outcome,) = await store.append([an_append("run/a", 3, count=2)])
        assert await projector.wait_for("sums", outcome.last, 10)
        (status,) = await projector.status()
    assert await rows(log_url) == [("run/a", 15, 5), ("run/b", 1, 1)]
    assert (status.status, status.active, status.position, status.error) == ("live", True, outcome.last, None)


async def test_how_far_a_view_is_behind_is_known_of_those_that_this_node_keeps(
    store: PostgresStore, log_url: str
) -> None:
    await store.append([an_append("run/a", count=20)])
    async with projecting(log_url, store, Sums(poison=frozenset({13}))) as projector:
        await until_stalled(projector)
        assert projector.behind() == {"sums": 8}
        async with projecting(log_url, PostgresStore(log_url, store.node), Sums()) as other:
            assert other.behind() == {}


async def test_what_comes_while_nobody_waits_is_folded_at_once_as_soon_as_somebody_does(
    store: PostgresStore, log_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projector_room, "REST", 60.0)
    view = Sums()
    async with projecting(log_url, store, view) as projector:
        assert await projector.wait_for("sums", Position(0), 10)
        for n in range(6):
            (outcome,) = await store.append([an_append("run/a", n)])
            if n == 0:
                await folded(log_url, outcome.last)
        async with asyncio.timeout(10):
            while projector.behind() != {"sums": 5}:  # noqa: ASYNC110 - the tail has read all
                await asyncio.sleep(0.001)
        assert await projector.wait_for("sums", outcome.last, 10)
    assert view.pages == [[1], [2, 3, 4, 5, 6]]


async def folded(url: str, position: Position) -> None:
    """Until the view is there, asked in Postgres: the projector does not know that anybody waits."""
    async with asyncio.timeout(10):
        while await rows(url, "SELECT position FROM es.projection") != [(position,)]:
            continue


async def test_a_view_that_is_far_behind_does_not_rest(
    store: PostgresStore, log_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projector_room, "REST", 60.0)
    for n in range(3):
        await store.append([an_append(f"run/{n}", count=1000)])
    async with projecting(log_url, store, Sums()):
        await folded(log_url, Position(3000))


async def test_a_view_that_nobody_can_read_yet_is_named(store: PostgresStore, log_url: str) -> None:
    async with Tail(store) as tail:
        projector = Projector(log_url, store, tail, [Sums()])
        assert await projector.unmade() == {"sums"}
        async with projector:
            async with asyncio.timeout(10):
                while await projector.unmade():
                    continue
    assert await rows(log_url) == []


async def test_types_not_asked_for_are_passed_over_and_counted_as_read(store: PostgresStore, log_url: str) -> None:
    view = Sums()
    async with projecting(log_url, store, view) as projector:
        (outcome,) = await store.append([an_append("run/a", type_="other")])
        assert await projector.wait_for("sums", outcome.last, 10)
    assert view.pages == []


async def test_a_restart_goes_on_at_the_checkpoint(store: PostgresStore, log_url: str) -> None:
    for version in range(3):
        (outcome,) = await store.append([an_append("run/a", version)])
        async with projecting(log_url, store, Sums()) as projector:
            assert await projector.wait_for("sums", outcome.last, 10)
    assert await rows(log_url) == [("run/a", 6, 3)]


async def test_a_killed_connection_in_every_place_leaves_each_event_applied_once(
    store: PostgresStore, log_url: str
) -> None:
    async with projecting(log_url, store, Sums()) as projector, asyncio.TaskGroup() as tasks:
        tasks.create_task(_kill_often(log_url, "eventstore view sums", 15))
        for version in range(150):
            (outcome,) = await store.append([an_append("run/a", version)])
        assert await projector.wait_for("sums", outcome.last, 10)
    assert await rows(log_url) == [("run/a", 150 * 151 // 2, 150)]


@dataclass
class Killed(Sums):
    """Its connection is killed so many times, after the checkpoint was moved or after the effect was written as well."""

    url: str = ""
    effect_first: bool = False
    left: int = 3

    async def apply(self, connection: Connection, events: Sequence[Recorded]) -> None:
        if not self.left:
            await super().apply(connection, events)
            return
        self.left -= 1
        if self.effect_first:
            await super().apply(connection, events)
        await rows(self.url, f"SELECT pg_terminate_backend({connection.info.backend_pid})")
        await connection.execute("SELECT 1")


@pytest.mark.parametrize("effect_first", [False, True])
async def test_a_kill_between_checkpoint_effect_and_commit_leaves_neither(
    store: PostgresStore, log_url: str, *, effect_first: bool
) -> None:
    await store.append([an_append("run/a", count=7)])
    view = Killed(url=log_url, effect_first=effect_first)
    async with projecting(log_url, store, view) as projector:
        assert await projector.wait_for("sums", Position(7), 15)
    assert (await rows(log_url), view.left) == ([("run/a", 28, 7)], 0)


async def test_the_effect_of_an_owner_that_was_superseded_is_rolled_back(store: PostgresStore, log_url: str) -> None:
    await store.append([an_append("run/a")])
    events = await store.read_log(Position(0), 10)
    view, link = Sums(), Link(log_url, "test")
    old = await projection.take(link, view, NodeId(events[0].event_id), 1)
    assert old is not None
    await projection.prepare(link, view)
    new = await projection.take(link, view, store.node, 1)
    assert new is not None
    with pytest.raises(Superseded):
        await projection.advance(link, view, old, events, events[-1].position)
    assert await rows(log_url) == []
    moved = await projection.advance(link, view, new, events, events[-1].position)
    with pytest.raises(Superseded):
        await projection.advance(link, view, new, events, events[-1].position)
    assert moved.position == 1
    assert await rows(log_url) == [("run/a", 1, 1)]
    await link.drop()


async def test_an_owner_that_was_superseded_does_not_pass_over_what_the_view_does_not_want(
    store: PostgresStore, log_url: str
) -> None:
    await store.append([an_append("run/a", count=2, type_="other")])
    view, link = Sums(), Link(log_url, "test")
    old = await projection.take(link, view, store.node, 1)
    assert old is not None
    new = await projection.take(link, view, store.node, 1)
    assert new is not None
    with pytest.raises(Superseded):
        await projection.advance(link, view, old, [], Position(2))
    moved = await projection.advance(link, view, new, [], Position(1))
    with pytest.raises(Superseded):
        await projection.advance(link, view, new, [], Position(2))
    assert (await projection.advance(link, view, moved, [], Position(2))).position == 2
    await link.drop()


async def test_poison_stops_it_exactly_there_and_says_why(store: PostgresStore, log_url: str) -> None:
    await store.append([an_append("run/a", count=20)])
    async with projecting(log_url, store, Sums(poison=frozenset({13}))) as projector:
        status = await until_stalled(projector)
        assert not await projector.wait_for("sums", Position(13), 0.01)
    assert status.position == 12
    assert status.error == {
        "position": 13,
        "entity_id": "run/a",
        "type": "counted",
        "reason": "ValueError: cannot fold [13]",
    }
    assert await rows(log_url) == [("run/a", 12 * 13 // 2, 12)]


@dataclass
class Older(Sums):
    """What is poison to it is only of a newer program."""

    async def apply(self, connection: Connection, events: Sequence[Recorded]) -> None:
        if self.poison & {event.data["n"] for event in events}:
            raise UnknownType("counted", 2)
        await super().apply(connection, events)


async def test_a_view_that_meets_an_event_of_a_newer_program_stops_there_until_a_node_of_that_one_takes_it(
    store: PostgresStore, log_url: str
) -> None:
    """Both write the same tables; the older one says once where it stopped, and keeps no other from going on."""
    one, two = Claims(log_url), Claims(log_url)
    await one.register("older", 60)
    await two.register("newer", 60)
    await store.append([an_append("run/a", count=20)])
    told: list[tuple[str, int, str]] = []
    async with Tail(store, listener=Listener(log_url)) as tail:
        views = [Older(poison=frozenset({13}))]
        older = Projector(log_url, store, tail, views, node=one.node, stalled=lambda *said: told.append(said))
        async with older:
            status = await until_stalled(older)
            assert (status.position, await rows(log_url)) == (12, [("run/a", 12 * 13 // 2, 12)])
            assert older.behind() == {"sums": 8}
            async with projecting(log_url, store, Sums(), node=two.node) as newer:
                assert await newer.wait_for("sums", Position(20), 15)
                assert [(row.status, row.owner, row.error) for row in await newer.status()] == [
                    ("live", two.node, None)
                ]
                assert await older.wait_for("sums", Position(20), 10)
                async with asyncio.timeout(10):
                    while older.behind():  # noqa: ASYNC110 - it looks for another owner now and then
                        await asyncio.sleep(0.05)
    assert await rows(log_url) == [("run/a", 210, 20)]
    assert told == [("sums", 13, "UnknownType: no event type counted of version 2 is known")]
    for claims in (one, two):
        await claims.close()


async def test_a_skip_is_an_event_and_lets_it_go_on_over_that_one_alone(store: PostgresStore, log_url: str) -> None:
    await store.append([an_append("run/a", count=20)])
    async with projecting(log_url, store, Sums(poison=frozenset({5, 13}))) as projector:
        await until_stalled(projector)
        await projector.skip("sums", Position(5), "known to be wrong", "user:ann")
        async with asyncio.timeout(10):
            while (await until_stalled(projector)).position != 12:
                pass
        skipped = await projector.skip("sums", Position(13), "that one too", "user:ann")
        assert await projector.wait_for("sums", skipped.last, 10)
        (status,) = await projector.status()
    assert (status.status, status.error) == ("live", None)
    assert await rows(log_url) == [("run/a", 210 - 18, 18)]
    (first, _) = await store.read("projection/sums", Version(0), 10)
    assert (first.type, first.actor) == ("projection_event_skipped", "user:ann")
    assert first.data == {"position": 5, "reason": "known to be wrong"}


async def test_one_node_keeps_a_view_and_another_takes_over_when_it_leaves(store: PostgresStore, log_url: str) -> None:
    one, two = Claims(log_url), Claims(log_url)
    await one.register("one")
    await two.register("two")
    theirs = Sums()
    async with projecting(log_url, store, Sums(), node=one.node) as first:
        (outcome,) = await store.append([an_append("run/a")])
        assert await first.wait_for("sums", outcome.last, 10)
        async with projecting(log_url, store, theirs, node=two.node) as second:
            (outcome,) = await store.append([an_append("run/a", 1)])
            assert await second.wait_for("sums", outcome.last, 10)
            assert [status.owner for status in await second.status()] == [one.node]
    assert theirs.pages == []
    await one.leave()
    async with projecting(log_url, store, theirs, node=two.node) as second:
        (outcome,) = await store.append([an_append("run/a", 2)])
        assert await second.wait_for("sums", outcome.last, 10)
    assert theirs.pages == [[3]]
    for claims in (one, two):
        await claims.close()


async def test_two_projectors_that_fight_apply_each_event_once(store: PostgresStore, log_url: str) -> None:
    async with projecting(log_url, store, Sums()) as first, projecting(log_url, store, Sums()) as second:
        for version in range(60):
            (outcome,) = await store.append([an_append("run/a", version)])
        assert await first.wait_for("sums", outcome.last, 10)
        assert await second.wait_for("sums", outcome.last, 10)
    assert await rows(log_url) == [("run/a", 60 * 61 // 2, 60)]


async def test_with_every_notification_dropped_it_catches_up_by_the_timer(store: PostgresStore, log_url: str) -> None:
    async with Tail(store, interval=0.01) as tail, Projector(log_url, store, tail, [Sums()]) as projector:
        for version in range(5):
            (outcome,) = await store.append([an_append("run/a", version)])
        assert await projector.wait_for("sums", outcome.last, 10)
    assert await rows(log_url) == [("run/a", 15, 5)]


async def test_many_views_go_their_own_ways(store: PostgresStore, log_url: str) -> None:
    await store.append([an_append("run/a", count=5)])
    stuck = Sums(name="stuck", poison=frozenset({2}))
    async with projecting(log_url, store, Sums(), stuck) as projector:
        assert await projector.wait_for("sums", Position(5), 10)
        assert (await until_stalled(projector, "stuck")).position == 1


async def test_a_projection_that_is_not_there_is_named(store: PostgresStore, log_url: str) -> None:
    async with projecting(log_url, store, Sums()) as projector:
        with pytest.raises(UnknownProjection, match="no projection nothing"):
            await projector.wait_for("nothing", Position(1))
        with pytest.raises(UnknownProjection):
            await projector.skip("nothing", Position(1), "why", "who")


async def _kill_often(url: str, application: str, times: int) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        while times:
            cursor = await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = %s AND datname = current_database()",
                (application,),
            )
            times -= cursor.rowcount
