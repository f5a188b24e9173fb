"""Position order is commit order: the one thing that lets a reader keep a single number."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from eventstore import Append, Fence, NewEvent, Position, PostgresStore, Version

WRITERS = 6
APPENDS = 60
LOCK = "PERFORM pg_advisory_xact_lock(7405, 1);"


async def test_a_follower_misses_nothing_of_many_writers(log_url: str) -> None:
    assert await _missed(log_url) == 0


async def test_without_the_order_lock_the_same_follower_does_miss_events(log_url: str) -> None:
    """The check above can fail: this plants the fault that it is there for."""
    async with await psycopg.AsyncConnection.connect(log_url, autocommit=True) as connection:
        cursor = await connection.execute(
            "SELECT pg_get_functiondef(oid) FROM pg_proc WHERE proname = 'append' AND pronamespace = 'es'::regnamespace"
        )
        (text,) = await cursor.fetchone() or ("",)
        assert LOCK in text
        # The pause stands for any slowness between taking a number and committing it.
        await connection.execute(
            text.replace(LOCK, "").replace("RETURN QUERY", "PERFORM pg_sleep(random() * 0.01); RETURN QUERY")
        )
    assert await _missed(log_url) > 0


@pytest.mark.parametrize("entities", [["run/b", "run/a"], ["run/a", "run/b"]])
async def test_writers_of_the_same_entities_in_any_order_do_not_deadlock(log_url: str, entities: list[str]) -> None:
    stores = [PostgresStore(log_url) for _ in range(4)]
    batches = [entities, entities[::-1]] * 2
    async with asyncio.TaskGroup() as tasks:
        for store, names in zip(stores, batches, strict=True):
            tasks.create_task(_contend(store, names))
    assert len(await stores[0].read("run/a", Version(0), 1000)) == 40
    for store in stores:
        await store.close()


async def _contend(store: PostgresStore, entities: list[str]) -> None:
    """Ten appends to each, together, knowing the version or learning it."""
    version, written = 0, 0
    while written < 10:
        batch = [Append(name, Version(version), Fence(0), (NewEvent("counted", {}),)) for name in entities]
        outcome = (await store.append(batch))[0]
        written += hasattr(outcome, "first")
        version = outcome.version if hasattr(outcome, "first") else outcome.actual  # type: ignore[union-attr]


async def _missed(url: str) -> int:
    """How many events a reader with one cursor did not see while several wrote."""
    stores = [PostgresStore(url) for _ in range(WRITERS)]
    reader = PostgresStore(url)
    seen: set[int] = set()
    done = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(_read_all(reader, seen, done))
        async with asyncio.TaskGroup() as writing:
            for number, store in enumerate(stores):
                writing.create_task(_write(store, f"run/{number}"))
        done.set()
        await reading
    written = {event.position for event in await reader.read_log(Position(0), 100_000)}
    for store in [*stores, reader]:
        await store.close()
    assert len(written) == WRITERS * APPENDS
    return len(written - seen)


async def _write(store: PostgresStore, entity_id: str) -> None:
    for version in range(APPENDS):
        await store.append([Append(entity_id, Version(version), Fence(0), (NewEvent("counted", {}),))])


async def _read_all(reader: PostgresStore, seen: set[int], done: asyncio.Event) -> None:
    cursor = Position(0)
    while True:
        last_look = done.is_set()
        page = await reader.read_log(cursor, 100)
        seen.update(event.position for event in page)
        cursor = page[-1].position if page else cursor
        if last_look and not page:
            return
