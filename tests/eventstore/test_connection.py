"""Faults of the way to Postgres are told apart from faults of what is asked."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore import LogUnavailable, connection
from eventstore.connection import SETTINGS, Link, loaded
from nats3.dev.postgres_server import PostgresServer
from tests.faults.tcp_proxy import in_front_of


async def test_a_transaction_that_postgres_gave_up_is_begun_anew_and_is_no_fault_of_its_statements(
    log_url: str,
) -> None:
    """It does so to a node that was frozen in it: a view must not take that for a poison event."""
    link = Link(log_url, "frozen", {**SETTINGS, "idle_in_transaction_session_timeout": "50ms"})
    with pytest.raises(LogUnavailable):
        await _freeze_within_a_transaction(link, log_url)
    assert await link.fetch("SELECT 3") == [(3,)]
    await link.drop()


_NO_DESCRIPTOR_LEFT = """
import asyncio, resource
from eventstore import LogUnavailable
from eventstore.connection import Link

async def ask():
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
    try:
        await Link("postgresql://a@127.0.0.1:1/a", "no descriptor left").fetch("SELECT 1")
    except LogUnavailable as away:
        print(away.reason)

asyncio.run(ask())
"""


async def test_a_process_without_a_descriptor_for_a_connection_is_told_so() -> None:
    """The vendor keeps that to itself. In a process of its own: this one needs its descriptors."""
    command = (sys.executable, "-c", _NO_DESCRIPTOR_LEFT)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    assert said.decode().strip() == "[Errno 24] Too many open files"


_ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@pytest.mark.pure
@given(_ANY_JSON, st.booleans())
def test_json_is_read_as_python_reads_it(value: object, ascii_only: bool) -> None:  # noqa: FBT001
    """Types, signs and last digits too, which `==` would pass over."""
    text = json.dumps(value, ensure_ascii=ascii_only).encode(errors="surrogatepass")
    assert repr(loaded(text)) == repr(json.loads(text))


@pytest.mark.parametrize("nested", [1, 199, 500])
async def test_however_deep_an_event_is_nested_it_is_read(log_url: str, nested: int) -> None:
    link = Link(log_url, "deep")
    text = "[" * nested + "0.1, 123456789012345678901234567890" + "]" * nested
    assert await link.fetch("SELECT %s::jsonb", [text]) == [(json.loads(text),)]
    await link.drop()


async def _freeze_within_a_transaction(link: Link, url: str) -> None:
    async with link.lend() as connection, connection.transaction():
        await connection.execute("SELECT 1")
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as other, asyncio.timeout(10):
            while await _is_there(other):
                pass
        await connection.execute("SELECT 2")


async def _is_there(connection: psycopg.AsyncConnection) -> bool:
    cursor = await connection.execute("SELECT 1 FROM pg_stat_activity WHERE application_name = 'frozen'")
    return await cursor.fetchone() is not None


@pytest.fixture
async def frozen(fresh_postgres: PostgresServer) -> AsyncIterator[PostgresServer]:
    """A Postgres that runs, and may be frozen."""
    yield fresh_postgres
    fresh_postgres.resume()


async def test_who_waits_in_line_while_postgres_hangs_is_told_with_the_first_and_does_not_try_in_turn(
    frozen: PostgresServer,
) -> None:
    link = Link(frozen.url, "in line", deadline=0.5)
    await link.fetch("SELECT 1")
    frozen.pause()
    async with asyncio.timeout(4), asyncio.TaskGroup() as tasks:  # to connect takes 5 s, for each
        waiting = [tasks.create_task(_outcome(link)) for _ in range(8)]
    assert {task.result() for task in waiting} == {"away"}
    frozen.resume()
    assert await link.fetch("SELECT 3") == [(3,)], "the next one tries anew"
    await link.drop()


async def test_a_statement_that_is_cancelled_on_a_frozen_postgres_is_let_go_of_at_once(frozen: PostgresServer) -> None:
    link = Link(frozen.url, "cancelled")
    await link.fetch("SELECT 1")
    frozen.pause()
    async with asyncio.timeout(4):  # a polite cancel and the end of the statement would be waited for 5 s each
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await link.fetch("SELECT 2")
    frozen.resume()
    assert await link.fetch("SELECT 3") == [(3,)]
    await link.drop()


async def test_a_connection_that_hangs_is_told_of_to_those_that_were_open_beside_it(
    log_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever uses one of those next would wait as long as the first, and a job that uses several as long for each."""
    monkeypatch.setattr(connection, "DEADLINE_S", 0.5)
    async with in_front_of(log_url) as (proxy, url):
        hung, beside = Link(url, "hung", deadline=0.5), Link(url, "beside", deadline=60.0)
        for link in (hung, beside):
            await link.fetch("SELECT 1")
        assert proxy.silence() == 2
        with pytest.raises(LogUnavailable):
            await hung.call("SELECT 2")
        async with asyncio.timeout(5):
            assert await beside.call("SELECT 3") == [(3,)]
            assert await hung.call("SELECT 4") == [(4,)]
            assert await beside.call("SELECT 5") == [(5,)]
        assert (hung.opened, beside.opened) == (2, 2)
        await hung.drop()
        await beside.drop()


async def test_who_is_less_patient_than_postgres_itself_says_nothing_of_the_connections_beside(log_url: str) -> None:
    """And neither does a statement that Postgres itself gave up: it is alive, and would have to answer all of us anew."""
    beside, hasty = Link(log_url, "beside"), Link(log_url, "hasty", deadline=0.2)
    slow = Link(log_url, "slow", {**SETTINGS, "statement_timeout": "50ms"}, deadline=30.0)
    await beside.fetch("SELECT 1")
    for link in (hasty, slow):
        with pytest.raises(LogUnavailable):
            await link.call("SELECT pg_sleep(1)")
        await beside.fetch("SELECT 2")
    assert beside.opened == 1
    for link in (beside, hasty, slow):
        await link.drop()


async def _outcome(link: Link) -> str:
    try:
        await link.fetch("SELECT 2")
    except LogUnavailable:
        return "away"
    return "answered"
