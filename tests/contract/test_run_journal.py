"""What a durable actor needs of its journal, kept by the event log: in memory and in Postgres."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import psycopg
import pytest

from actors.errors import Conflict
from actors.journal import Journal
from eventstore import (
    Batcher,
    Claims,
    MemoryClaims,
    MemorySnapshots,
    MemoryStore,
    NewEvent,
    PostgresStore,
    Recorded,
    Snapshots,
    Version,
    migrate,
)
from nats3.work.journal import Log, RunJournal
from tests.contract.journal_contract import Event, JournalContract


class Numbers:
    """A registry whose events are dicts."""

    def encode(self, event: Event) -> NewEvent:
        return NewEvent("numbered", event)

    def decode(self, recorded: Recorded) -> Event:
        return recorded.data


class AsItIs:
    """A codec whose states are plain data already."""

    version = 1

    def encode(self, state: Any) -> Any:
        return state

    def decode(self, data: Any) -> Any:
        return data


class RunJournalContract(JournalContract):
    log: Log
    claims: Any

    async def claim(self, entity: str) -> Journal[Event]:
        entity_id = f"run/{entity}"
        claim = await self.claims.claim(entity_id)
        return RunJournal(entity_id, claim.fence, self.log, AsItIs(), actor="test")


class TestInMemory(RunJournalContract):
    @pytest.fixture(autouse=True)
    async def _made(self) -> AsyncIterator[None]:
        store = MemoryStore()
        async with Batcher(store) as batcher:
            self.log, self.claims = Log(store, batcher, Numbers(), MemorySnapshots()), MemoryClaims(store)
            yield


@asynccontextmanager
async def in_postgres(url: str) -> AsyncIterator[tuple[Log, Claims]]:
    async with AsyncExitStack() as stack:
        store, snapshots, claims = PostgresStore(url), Snapshots(url), Claims(url)
        for each in (store, snapshots, claims):
            stack.push_async_callback(each.close)
        batcher = await stack.enter_async_context(Batcher(store))
        yield Log(store, batcher, Numbers(), snapshots), claims


class TestInPostgres(RunJournalContract):
    @pytest.fixture(autouse=True)
    async def _made(self, postgres_url: str) -> AsyncIterator[None]:
        migrate.migrate(postgres_url)
        self.url = postgres_url
        async with in_postgres(postgres_url) as (self.log, self.claims):
            yield

    async def test_a_snapshot_of_another_history_is_ignored(self) -> None:
        await self._kept()
        await self._change("UPDATE es.snapshot SET position = position + 1")
        assert (await self.history("a")).snapshot is None

    async def test_a_snapshot_ahead_of_the_log_is_ignored(self) -> None:
        await self._kept()
        await self._change("UPDATE es.snapshot SET version = 9")
        history = await self.history("a")
        assert (history.snapshot, len(history.events), history.version) == (None, 3, 3)

    @pytest.mark.parametrize("bytes_", [r"\x", r"\x00", r"\x01ffff", r"\x0081a161"])
    async def test_a_snapshot_that_cannot_be_read_is_ignored(self, bytes_: str) -> None:
        await self._kept()
        await self._change("UPDATE es.snapshot SET state = %s", bytes_)
        history = await self.history("a")
        assert (history.snapshot, len(history.events)) == (None, 3)

    async def test_a_snapshot_of_another_fold_is_ignored(self) -> None:
        await self._kept()
        await self._change("UPDATE es.snapshot SET schema_version = 2")
        assert (await self.history("a")).snapshot is None

    async def test_only_the_tail_is_read_behind_a_snapshot(self) -> None:
        await self._kept()
        read: list[int] = []
        store = self.log.store

        class Watched(PostgresStore):
            async def read(self, entity_id: str, after: Version, limit: int) -> list[Recorded]:
                found = await store.read(entity_id, after, limit)
                read.extend(event.version for event in found)
                return found

        watched = Watched(self.url)
        self.log = Log(watched, self.log.batcher, self.log.registry, self.log.snapshots)
        assert (await self.history("a")).version == 3
        assert read == [2, 3]
        await watched.close()

    async def test_a_state_is_kept_although_another_journal_appended_last(self) -> None:
        journal = await self.claim("a")
        await journal.append(0, [{"n": 1}])
        again = await self.claim("a")
        await again.save(1, {"sum": 1})
        assert (await again.recover()).snapshot == {"sum": 1}
        with pytest.raises(Conflict):
            await again.append(0, [{"n": 2}])

    async def _kept(self) -> None:
        journal = await self.claim("a")
        await journal.append(0, [{"n": 1}, {"n": 2}])
        await journal.save(2, {"sum": 3})
        await journal.append(2, [{"n": 3}])

    async def _change(self, statement: str, *values: object) -> None:
        async with await psycopg.AsyncConnection.connect(self.url, autocommit=True) as connection:
            await connection.execute(statement, values)
