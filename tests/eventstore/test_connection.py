"""Faults of the way to Postgres are told apart from faults of what is asked."""

from __future__ import annotations

import asyncio
import sys

import psycopg
import pytest

from eventstore import LogUnavailable
from eventstore.connection import SETTINGS, Link


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
