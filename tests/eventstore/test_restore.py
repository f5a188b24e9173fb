"""A log that was dumped and restored elsewhere is the same log, and goes on."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from eventstore import Append, Appended, Claims, Fence, NewEvent, Position, PostgresStore, Refused, Version, verify
from nats3.dev.binaries import postgres_install
from nats3.dev.postgres_server import PostgresServer


def an_append(entity_id: str, expected: int = 0, fence: int = 0) -> Append:
    return Append(entity_id, Version(expected), Fence(fence), (NewEvent("counted", {"n": expected}),))


@pytest.mark.timeout(60)
async def test_a_dump_restored_into_a_fresh_cluster_loses_nothing_and_goes_on(
    store: PostgresStore, log_url: str, fresh_postgres: PostgresServer
) -> None:
    claims = Claims(log_url)
    claim = await claims.claim("run/a")
    for version in range(20):
        await store.append([an_append("run/a", version, claim.fence), an_append("job/a", version)])
    await _copy(log_url, fresh_postgres.url)
    there = PostgresStore(fresh_postgres.url)
    await there.check_schema()
    assert await there.read_log(Position(0), 100) == await store.read_log(Position(0), 100)
    assert (await verify(fresh_postgres.url)).broken is None
    refused, appended = await there.append([an_append("run/a", 20, claim.fence), an_append("job/a", 20)])
    assert refused == Refused("run/a", claim.fence)
    assert isinstance(appended, Appended)
    assert appended.first == 41
    again = Claims(fresh_postgres.url)
    newer = await again.claim("run/a")
    assert newer.fence > claim.fence
    assert isinstance((await there.append([an_append("run/a", 20, newer.fence)]))[0], Appended)
    for opened in (claims, again, there):
        await opened.close()


async def test_a_restored_copy_is_given_an_id_of_its_own(store: PostgresStore, log_url: str) -> None:
    before = await store.log_id()
    async with await psycopg.AsyncConnection.connect(log_url, autocommit=True) as connection:
        await connection.execute("SELECT es.new_log_id()")
    assert await store.log_id() != before


async def _copy(source: str, target: str) -> None:
    programs = postgres_install() / "bin"
    dump = await asyncio.create_subprocess_exec(
        programs / "pg_dump", "--no-owner", source, stdout=asyncio.subprocess.PIPE
    )
    text, _ = await dump.communicate()
    load = await asyncio.create_subprocess_exec(
        programs / "psql",
        "-q",
        "-v",
        "ON_ERROR_STOP=1",
        target,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
    )
    await load.communicate(text)
    assert (dump.returncode, load.returncode) == (0, 0)
