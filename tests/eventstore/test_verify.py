"""The hash chain: what was tampered with is found, and named."""

from __future__ import annotations

import psycopg
import pytest

from eventstore import Append, Fence, NewEvent, PostgresStore, Version, verify


def an_append(entity_id: str, expected: int, count: int = 1) -> Append:
    events = tuple(NewEvent("counted", {"n": n, "half": n / 2, "big": 1e20, "text": "ü"}) for n in range(count))
    return Append(entity_id, Version(expected), Fence(0), events)


@pytest.fixture
async def written(store: PostgresStore) -> PostgresStore:
    for version in range(0, 9, 3):
        await store.append([an_append("run/a", version, 3), an_append("run/b", version, 3)])
    return store


def tamper(url: str, statement: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("SET session_replication_role = replica")  # a superuser passes by the triggers
        connection.execute(statement)


async def test_a_history_as_it_was_written_is_whole(written: PostgresStore, log_url: str) -> None:
    verified = await verify(log_url)
    assert (verified.events, verified.position, verified.broken) == (18, 18, None)


async def test_writers_that_follow_each_other_on_other_nodes_keep_one_chain(store: PostgresStore, log_url: str) -> None:
    other = PostgresStore(log_url)
    for version in range(10):
        await (store, other)[version % 2].append([an_append("run/a", version)])
    assert (await verify(log_url)).broken is None
    await other.close()


async def test_a_writer_that_remembers_another_past_chains_to_the_one_that_is_there(
    store: PostgresStore, log_url: str
) -> None:
    """An older copy of the log was restored and written to, while this writer kept its connection."""
    await store.append([an_append("run/a", 0)])
    tamper(log_url, "TRUNCATE es.event, es.entity")
    other = PostgresStore(log_url)
    await other.append([an_append("run/a", 0)])
    await store.append([an_append("run/a", 1), an_append("run/b", 0)])
    assert (await verify(log_url)).broken is None
    await other.close()


@pytest.mark.parametrize(
    ("statement", "entity_id", "version", "fault"),
    [
        ("UPDATE es.event SET data = '{}' WHERE position = 5", "run/b", 2, "was changed"),
        ("UPDATE es.event SET type = 'other' WHERE position = 3", "run/a", 3, "was changed"),
        ("UPDATE es.event SET event_id = gen_random_uuid() WHERE position = 3", "run/a", 3, "was changed"),
        ("DELETE FROM es.event WHERE position = 2", "run/a", 3, "version 2 is missing"),
        ("DELETE FROM es.event WHERE position > 17", "run/b", 9, "ends at 8, but 9 were written"),
        ("UPDATE es.entity SET hash = '' WHERE entity_id = 'run/a'", "run/a", 9, "not that of its row"),
        ("UPDATE es.entity SET version = 7 WHERE entity_id = 'run/a'", "run/a", 7, "not that of its row"),
    ],
)
async def test_the_first_event_that_does_not_fit_is_named(
    written: PostgresStore, log_url: str, statement: str, entity_id: str, version: int, fault: str
) -> None:
    tamper(log_url, statement)
    broken = (await verify(log_url)).broken
    assert broken is not None
    assert (broken.entity_id, broken.version) == (entity_id, version)
    assert fault in broken.fault
