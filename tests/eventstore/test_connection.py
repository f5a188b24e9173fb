"""Faults of the way to Postgres are told apart from faults of what is asked."""

from __future__ import annotations

import asyncio

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
