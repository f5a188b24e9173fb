"""What the database itself guards: nobody changes the past, room is made ahead, a newer schema is left alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from eventstore import (
    Append,
    Claims,
    Fence,
    NewEvent,
    Position,
    PostgresStore,
    SchemaMissing,
    SchemaNewer,
    Version,
    migrate,
)
from eventstore.connection import parameters


def an_append(entity_id: str, expected: int = 0, count: int = 1) -> Append:
    events = tuple(NewEvent("counted", {"n": expected + n + 1}) for n in range(count))
    return Append(entity_id, Version(expected), Fence(0), events)


def partitions(url: str) -> list[tuple[str, int, int]]:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT name, from_position, to_position FROM es.partition ORDER BY 2").fetchall()


@pytest.mark.parametrize(
    "statement",
    ["UPDATE {} SET actor = 'x'", "DELETE FROM {}", "TRUNCATE {}", "DELETE FROM {} WHERE false"],
)
async def test_a_recorded_event_cannot_be_changed_even_through_a_partition(
    store: PostgresStore, log_url: str, statement: str
) -> None:
    await store.append([an_append("run/a")])
    names = ["event", *(name for name, _, _ in partitions(log_url))]
    assert len(names) >= 3
    for name in names:
        with (
            psycopg.connect(log_url) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege, match="never changed"),
        ):
            connection.execute(statement.format(f"es.{name}"))
    assert await store.head() == 1


async def test_room_is_made_before_it_is_needed(postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {connection.info.dbname} SET es.partition_size = '10'")
    migrate.migrate(postgres_url)
    store = PostgresStore(postgres_url)
    for version in range(0, 45, 3):
        await store.append([an_append("run/a", version, 3)])
    made = partitions(postgres_url)
    assert [(low, high) for _, low, high in made][:5] == [(1, 11), (11, 21), (21, 31), (31, 41), (41, 51)]
    assert made[-1][2] > 45 + 10
    assert [event.position for event in await store.read_log(Position(0), 100)] == list(range(1, 46))
    await store.close()


async def test_an_append_that_finds_no_room_makes_it(postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {connection.info.dbname} SET es.partition_size = '10'")
    migrate.migrate(postgres_url)
    store = PostgresStore(postgres_url)
    await store.append([an_append("run/a", 0, 100)])
    assert len(await store.read("run/a", Version(0), 1000)) == 100
    await store.close()


async def test_a_clock_set_back_takes_neither_time_nor_fences_back(store: PostgresStore, log_url: str) -> None:
    claims = Claims(log_url)
    with psycopg.connect(log_url) as connection:  # what a clock that ran ahead for an hour leaves behind
        connection.execute(
            "SELECT setval('es.clock', (extract(epoch FROM clock_timestamp()) + 3600)::bigint * 1000000)"
        )
        connection.execute("INSERT INTO es.entity (entity_id, category, fence) VALUES ('run/a', 'run', 9000000000000)")
    before = datetime.now(UTC)  # noqa: TID251 - the server's clock is this machine's
    assert (await claims.claim("run/a")).fence == 9000000000001
    await claims.register("one")
    (await claims.release("run/a", Fence(9000000000001)))
    (claim,) = await claims.take(["run/a"], 1)
    assert claim.fence == 9000000000002
    await store.append([an_append("run/b")])
    (event,) = await store.read_log(Position(0), 10)
    assert event.recorded_at > before + timedelta(minutes=59)
    await claims.close()


def test_many_that_migrate_at_once_do_it_once(postgres_url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(migrate.migrate, [postgres_url] * 4)) == [migrate.known()] * 4
    assert migrate.current(postgres_url) == migrate.known()


async def test_a_database_without_the_schema_is_refused(postgres_url: str) -> None:
    store = PostgresStore(postgres_url)
    assert await asyncio.to_thread(migrate.current, postgres_url) is None
    with pytest.raises(SchemaMissing):
        await store.check_schema()
    await store.close()


async def test_a_schema_newer_than_the_program_is_refused(store: PostgresStore, log_url: str) -> None:
    await store.check_schema()
    with psycopg.connect(log_url) as connection:
        connection.execute("UPDATE es.schema_version SET version_num = '9999'")
    with pytest.raises(SchemaNewer):
        await store.check_schema()
    with pytest.raises(SchemaNewer):
        migrate.migrate(log_url)


def test_the_schema_as_text_makes_the_same_schema(postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(migrate.sql())
    assert migrate.current(postgres_url) == migrate.known()
    assert len(partitions(postgres_url)) == 2


FORBIDDEN = (
    "INSERT INTO es.event SELECT * FROM es.event",
    "UPDATE es.entity SET version = 0",
    "UPDATE es.entity SET fence = 0",
    "DELETE FROM es.node",
    "DELETE FROM es.partition",
    "DROP TABLE es.event",
    "SELECT es.new_log_id()",
    "SELECT setval('es.position', 1)",
    "ALTER TABLE es.event DISABLE TRIGGER ALL",
)


async def test_the_application_role_can_run_the_product_and_nothing_else(log_url: str, app_role: str) -> None:
    await asyncio.to_thread(migrate.migrate, log_url, app_role)
    url = psycopg.conninfo.make_conninfo(log_url, user=app_role, password="app")
    store, claims = PostgresStore(url), Claims(url)
    await store.check_schema()
    assert await store.power() is None
    await claims.register("app")
    (claim,) = await claims.take(["run/a"], 1)
    await store.append([Append("run/a", Version(0), claim.fence, (NewEvent("counted", {}),))])
    assert len(await store.read_log(Position(0), 10)) == 1
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        for statement in FORBIDDEN:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await connection.execute(statement)
    await store.close()
    await claims.close()


@pytest.fixture
def app_role(log_url: str) -> Iterator[str]:
    with psycopg.connect(log_url, autocommit=True) as connection:
        role = f"app_{connection.info.dbname}"
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'app'")
        yield role
        connection.execute(f"DROP OWNED BY {role}")
        connection.execute(f"DROP ROLE {role}")


async def test_a_role_that_could_change_the_past_is_known(log_url: str, app_role: str) -> None:
    url = psycopg.conninfo.make_conninfo(log_url, user=app_role, password="app")
    with psycopg.connect(log_url, autocommit=True) as connection:
        connection.execute(f"GRANT USAGE ON SCHEMA es TO {app_role}")
        owner = connection.execute("SELECT current_user").fetchone()[0]
        connection.execute(f"ALTER TABLE es.event OWNER TO {app_role}")
    for each, power in ((log_url, "superuser"), (url, "owner")):
        store = PostgresStore(each)
        assert await store.power() == power
        await store.close()
    with psycopg.connect(log_url, autocommit=True) as connection:
        connection.execute(f"ALTER TABLE es.event OWNER TO {owner}")


async def test_every_form_of_url_is_taken(log_url: str) -> None:
    driver = log_url.replace("postgresql://", "postgresql+psycopg://")
    for url in (log_url, driver, psycopg.conninfo.make_conninfo(log_url)):
        store = PostgresStore(url)
        assert await store.head() == 0
        await store.close()


def test_an_encoded_socket_directory_is_a_host() -> None:
    asked = parameters("postgresql://ann@%2Fvar%2Frun%2Fpg/log?application_name=x")
    assert asked == {"user": "ann", "host": "/var/run/pg", "dbname": "log", "application_name": "x"}
