"""What every EventStore promises, and the claims on it: one suite, on memory and on Postgres."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC
from pathlib import Path
from random import Random, randbytes
from uuid import uuid4

import psycopg
import pytest

from eventstore import (
    Append,
    Appended,
    Claims,
    Conflict,
    EventStore,
    Fence,
    MemoryClaims,
    MemoryStore,
    NewEvent,
    Position,
    PostgresStore,
    Refused,
    Unstorable,
    Version,
    migrate,
)
from tests.conftest import Keeper
from tests.contract.debian_postgres import INSTALL, Debian15


class MemoryLog:
    def __init__(self) -> None:
        self.memory = MemoryStore()

    def store(self) -> EventStore:
        """The same log as another node sees it."""
        return self.memory

    def claims(self) -> MemoryClaims:
        return MemoryClaims(self.memory)

    async def restart(self) -> None:
        self.memory.restart()

    async def close(self) -> None:
        return


class PostgresLog:
    def __init__(self, url: str) -> None:
        self.url = url
        self.opened: list[PostgresStore | Claims] = []

    def store(self) -> EventStore:
        store = PostgresStore(self.url)
        self.opened.append(store)
        return store

    def claims(self) -> Claims:
        claims = Claims(self.url)
        self.opened.append(claims)
        return claims

    async def restart(self) -> None:
        """What a restart changes for a claim: it was made under another start time."""
        async with await psycopg.AsyncConnection.connect(self.url, autocommit=True) as connection:
            await connection.execute("UPDATE es.entity SET claimed_under = claimed_under - interval '1 hour'")

    async def version(self) -> str:
        async with await psycopg.AsyncConnection.connect(self.url) as connection:
            (version,) = await (await connection.execute("SHOW server_version")).fetchone() or ("",)
            return version

    async def close(self) -> None:
        for opened in self.opened:
            await opened.close()


def an_append(entity_id: str, expected: int = 0, fence: int = 0, count: int = 1, **said: object) -> Append:
    events = tuple(NewEvent("counted", {"n": expected + n + 1, **said}) for n in range(count))
    return Append(entity_id, Version(expected), Fence(fence), events)


class Contract:
    async def test_what_was_appended_is_read_as_it_was(self, log: MemoryLog | PostgresLog) -> None:
        store, correlation = log.store(), uuid4()
        data = {"text": "grün\n\\u0000 \u2028", "n": -(2**53), "half": 0.5, "list": [None, True, {"a": []}], "": 1e-7}
        event = NewEvent("said", data, 3)
        append = Append("run/a", Version(0), Fence(0), (event,), "user:ann", correlation, Position(7))
        (appended,) = await store.append([append])
        (read,) = await store.read("run/a", Version(0), 10)
        assert appended == Appended("run/a", Version(1), read.position, read.position)
        assert (read.type, read.schema_version, read.data, read.event_id) == ("said", 3, data, event.event_id)
        assert (read.actor, read.correlation_id, read.causation_position) == ("user:ann", correlation, 7)
        assert read.recorded_at.tzinfo is UTC
        assert await store.read_log(Position(0), 10) == [read]

    async def test_an_empty_log_has_nothing_and_an_id_that_stays(self, log: MemoryLog | PostgresLog) -> None:
        store = log.store()
        assert await store.head() == 0
        assert await store.read("run/a", Version(0), 10) == []
        assert await store.read_log(Position(0), 10) == []
        assert await store.log_id() == await log.store().log_id()

    async def test_versions_count_from_1_and_positions_rise(self, log: MemoryLog | PostgresLog) -> None:
        store = log.store()
        (first,) = await store.append([an_append("run/a", count=3)])
        (second,) = await store.append([an_append("run/a", 3, count=2)])
        assert isinstance(first, Appended)
        assert isinstance(second, Appended)
        assert first.last < second.first
        events = await store.read("run/a", Version(0), 10)
        assert [event.version for event in events] == [1, 2, 3, 4, 5]
        assert [event.position for event in events] == sorted(event.position for event in events)
        assert await store.head() == second.last

    async def test_of_many_with_the_same_expected_version_one_wins_and_the_others_burn_no_position(
        self, log: MemoryLog | PostgresLog
    ) -> None:
        stores = [log.store() for _ in range(5)]
        before = await stores[0].append([an_append("run/other")])
        async with asyncio.TaskGroup() as tasks:
            tried = [tasks.create_task(store.append([an_append("run/a")])) for store in stores]
        outcomes = [task.result()[0] for task in tried]
        after = await stores[0].append([an_append("run/other", 1)])
        assert sum(isinstance(outcome, Appended) for outcome in outcomes) == 1
        assert outcomes.count(Conflict("run/a", Version(1))) == 4
        assert after[0].last == before[0].last + 2  # type: ignore[union-attr]

    async def test_a_bad_entity_does_not_hurt_its_neighbours(self, log: MemoryLog | PostgresLog) -> None:
        store = log.store()
        outcomes = await store.append(
            [an_append("run/a"), an_append("run/b", 4), an_append("run/c", fence=9), an_append("run/d", count=2)]
        )
        assert outcomes == [
            Appended("run/a", Version(1), Position(1), Position(1)),
            Conflict("run/b", Version(0)),
            Refused("run/c", Fence(0)),
            Appended("run/d", Version(2), Position(2), Position(3)),
        ]
        assert [event.entity_id for event in await store.read_log(Position(0), 10)] == ["run/a", "run/d", "run/d"]

    async def test_one_entity_twice_in_a_batch_is_judged_in_order(self, log: MemoryLog | PostgresLog) -> None:
        store = log.store()
        outcomes = await store.append([an_append("run/a"), an_append("run/a", 1), an_append("run/a", 1)])
        assert [type(outcome) for outcome in outcomes] == [Appended, Appended, Conflict]
        assert len(await store.read("run/a", Version(0), 10)) == 2

    async def test_a_refusal_is_said_before_a_conflict(self, log: MemoryLog | PostgresLog) -> None:
        store = log.store()
        claim = await log.claims().claim("run/a")
        assert await store.append([an_append("run/a", 5, fence=1)]) == [Refused("run/a", claim.fence)]

    async def test_pages_go_on_where_the_last_one_ended(self, log: MemoryLog | PostgresLog) -> None:
        store = log.store()
        await store.append([an_append(f"run/{n}", count=2) for n in range(5)])
        whole = await store.read_log(Position(0), 100)
        pages, after = [], Position(0)
        while page := await store.read_log(after, 3):
            pages += page
            after = page[-1].position
        assert pages == whole
        assert len(await store.read("run/3", Version(1), 5)) == 1

    async def test_reading_some_types_passes_over_the_others(self, log: MemoryLog | PostgresLog) -> None:
        store = log.store()
        events = tuple(NewEvent(type_, {}) for type_ in "abcab")
        await store.append([Append("run/a", Version(0), Fence(0), events)])
        assert [event.type for event in await store.read_log(Position(1), 10, {"a", "c"})] == ["c", "a"]
        assert [event.version for event in await store.read_log(Position(0), 2, ["b"])] == [2, 5]
        assert await store.read_log(Position(0), 2, []) == []

    async def test_time_never_falls_with_position(self, log: MemoryLog | PostgresLog) -> None:
        stores = [log.store() for _ in range(3)]
        async with asyncio.TaskGroup() as tasks:
            for number, store in enumerate(stores):
                tasks.create_task(_write_many(store, f"run/{number}", 10))
        times = [event.recorded_at for event in await stores[0].read_log(Position(0), 100)]
        assert len(times) == 30
        assert times == sorted(times)

    async def test_random_lives_leave_whole_entities(self, log: MemoryLog | PostgresLog) -> None:
        """Writers with stale and fresh knowledge, claims between them: what is left has no hole and no stale fence."""
        chance = Random(4)
        stores = [log.store() for _ in range(3)]
        claims = log.claims()
        won: dict[str, list[int]] = {f"run/{n}": [] for n in range(4)}
        known = dict.fromkeys(won, (0, 0))
        for _ in range(120):
            entity_id = chance.choice(list(won))
            if chance.random() < 0.1:
                claim = await claims.claim(entity_id)
                known[entity_id] = (claim.version, claim.fence) if chance.random() < 0.8 else known[entity_id]
            version, fence = known[entity_id]
            count = chance.randint(1, 3)
            (outcome,) = await chance.choice(stores).append([an_append(entity_id, version, fence, count)])
            match outcome:
                case Appended():
                    known[entity_id] = (outcome.version, fence)
                    won[entity_id] += range(outcome.first, outcome.last + 1)
                case Conflict(actual=actual):
                    known[entity_id] = (actual, fence)
                case Refused():
                    claim = await claims.claim(entity_id)
                    known[entity_id] = (claim.version, claim.fence)
        whole = await stores[0].read_log(Position(0), 1000)
        assert [event.position for event in whole] == list(range(1, len(whole) + 1))
        for entity_id, positions in won.items():
            events = await stores[1].read(entity_id, Version(0), 1000)
            assert [event.position for event in events] == positions
            assert [event.version for event in events] == list(range(1, len(events) + 1))
            assert [event.data["n"] for event in events] == [event.version for event in events]
            assert [event.fence for event in events] == sorted(event.fence for event in events)

    async def test_an_old_fence_is_refused(self, log: MemoryLog | PostgresLog) -> None:
        store = log.store()
        mine = await log.claims().claim("run/a")
        assert isinstance((await store.append([an_append("run/a", 0, mine.fence)]))[0], Appended)
        theirs = await log.claims().claim("run/a")
        assert theirs.fence > mine.fence
        assert theirs.version == 1
        assert await store.append([an_append("run/a", 1, mine.fence)]) == [Refused("run/a", theirs.fence)]
        assert await store.append([an_append("run/a", 1)]) == [Refused("run/a", theirs.fence)]
        assert isinstance((await store.append([an_append("run/a", 1, theirs.fence)]))[0], Appended)

    async def test_after_a_restart_a_claim_must_be_made_again(self, log: MemoryLog | PostgresLog) -> None:
        store, claims = log.store(), log.claims()
        await claims.register("one")
        (claim,) = await claims.take(["run/a"], 1)
        await log.restart()
        assert await store.append([an_append("run/a", 0, claim.fence)]) == [Refused("run/a", claim.fence)]
        assert await store.append([an_append("job/a")]) == [Appended("job/a", Version(1), Position(1), Position(1))]
        (again,) = await claims.take(["run/a"], 1)
        assert again.fence > claim.fence
        assert isinstance((await store.append([an_append("run/a", 0, again.fence)]))[0], Appended)

    async def test_what_a_living_node_owns_nobody_else_can_take(self, log: MemoryLog | PostgresLog) -> None:
        one, two = log.claims(), log.claims()
        await one.register("one")
        await two.register("two")
        mine = await one.take(["run/b", "run/a", "run/c"], 2)
        theirs = await two.take(["run/a", "run/b", "run/c"], 9)
        assert [claim.entity_id for claim in mine] == ["run/a", "run/b"]
        assert [claim.entity_id for claim in theirs] == ["run/c"]
        assert await one.take(["run/a", "run/c"], 9) == []
        assert await one.owned() == mine

    async def test_what_was_given_back_can_be_taken(self, log: MemoryLog | PostgresLog) -> None:
        one, two = log.claims(), log.claims()
        await one.register("one")
        await two.register("two")
        (a, b) = await one.take(["run/a", "run/b"], 2)
        assert not await one.release("run/a", Fence(a.fence - 1))
        assert await one.release("run/a", a.fence)
        assert not await one.release("run/a", a.fence)
        assert [claim.entity_id for claim in await two.take(["run/a", "run/b"], 9)] == ["run/a"]
        await one.leave()
        (later,) = await two.take(["run/a", "run/b"], 9)
        assert later.entity_id == "run/b"
        assert later.fence > b.fence
        assert [node.name for node in await two.nodes()] == ["two"]

    async def test_a_node_whose_lease_ran_out_loses_what_it_owned(self, log: MemoryLog | PostgresLog) -> None:
        one, two = log.claims(), log.claims()
        await one.register("one", lease=0.02)
        await two.register("two")
        (mine,) = await one.take(["run/a"], 1) or await _retake(one)
        async with asyncio.timeout(5):
            while not (theirs := await two.take(["run/a"], 1)):
                pass
        assert theirs[0].fence > mine.fence
        assert not await one.renew()
        assert await one.owned() == []

    async def test_who_is_not_registered_takes_nothing(self, log: MemoryLog | PostgresLog) -> None:
        assert await log.claims().take(["run/a"], 1) == []

    async def test_a_renewal_in_time_says_so(self, log: MemoryLog | PostgresLog) -> None:
        claims = log.claims()
        node = await claims.register("one")
        assert await claims.renew()
        (known,) = await claims.nodes()
        assert (known.node_id, known.name, known.alive) == (node, "one", True)
        assert known.lease_until > known.started_at

    async def test_a_job_is_never_claimed(self, log: MemoryLog | PostgresLog) -> None:
        claims = log.claims()
        await claims.register("one")
        with pytest.raises(Unstorable, match="never claimed"):
            await claims.take(["job/a"], 1)
        with pytest.raises(Unstorable, match="never claimed"):
            await claims.claim("job/a")

    async def test_the_longest_id_of_an_entity_is_kept_and_a_longer_one_is_refused(
        self, log: MemoryLog | PostgresLog
    ) -> None:
        """No index could hold it: Postgres would refuse each try of each node for ever."""
        longest = f"run/{randbytes(510).hex()}"
        store, claims = log.store(), log.claims()
        await claims.register("one")
        (claim,) = await claims.take([longest], 1)
        (outcome,) = await store.append([an_append(longest, 0, claim.fence)])
        assert isinstance(outcome, Appended)
        assert [event.entity_id for event in await store.read(longest, Version(0), 10)] == [longest]
        with pytest.raises(Unstorable, match="1025 bytes are more than 1024"):
            an_append(f"{longest}x")
        with pytest.raises(Unstorable, match="1026 bytes are more than 1024"):
            await claims.take([f"{longest}ä"], 1)


async def _retake(claims: MemoryClaims | Claims) -> list[object]:
    await claims.renew()
    return list(await claims.take(["run/a"], 1))


async def _write_many(store: EventStore, entity_id: str, count: int) -> None:
    for version in range(count):
        await store.append([an_append(entity_id, version)])


class TestMemory(Contract):
    @pytest.fixture
    def log(self) -> MemoryLog:
        return MemoryLog()


class TestPostgres(Contract):
    @pytest.fixture
    async def log(self, postgres_url: str) -> AsyncIterator[PostgresLog]:
        await asyncio.to_thread(migrate.migrate, postgres_url)
        log = PostgresLog(postgres_url)
        yield log
        await log.close()


@pytest.fixture(scope="module")
def debian(keeper: Keeper, session_directory: Path) -> Debian15:
    server = Debian15(session_directory / "postgres-15", durable=False)
    keeper.start(server)
    return server


@pytest.mark.skipif(not INSTALL.exists(), reason="Debian's postgresql-15 is not installed")
class TestPostgres15(Contract):
    @pytest.fixture
    async def log(self, debian: Debian15) -> AsyncIterator[PostgresLog]:
        name = f"test_{uuid4().hex}"
        async with await psycopg.AsyncConnection.connect(debian.url, autocommit=True) as connection:
            await connection.execute(f"CREATE DATABASE {name}".encode())
        await asyncio.to_thread(migrate.migrate, debian.url_of(name))
        log = PostgresLog(debian.url_of(name))
        assert (await log.version()).startswith("15.")
        yield log
        await log.close()


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        ({"a": float("nan")}, "Out of range"),
        ({"a": "\0"}, "NUL"),
        ({"a": "\ud800"}, "surrogates"),
        ({"a": object()}, "not JSON serializable"),
        ({"a": "x" * (1 << 20)}, "are more than"),
    ],
)
def test_what_cannot_be_kept_is_refused_where_it_is_made(data: dict[str, object], fault: str) -> None:
    with pytest.raises(Unstorable, match=fault):
        NewEvent("said", data)


def test_a_whole_float_is_written_as_the_number_it_is() -> None:
    assert (
        NewEvent("said", {"a": 1.0, "b": [1e20, -0.0, 1.5, True]}).text
        == '{"a":1,"b":[100000000000000000000,0,1.5,true]}'
    )
