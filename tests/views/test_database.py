"""A Postgres that hangs is told of in time: nobody who reads a view waits for it without an end."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text

from nats3.dev.postgres_server import PostgresServer
from nats3.errors import Unavailable
from nats3.views import database
from nats3.views.database import Database
from tests.faults.tcp_proxy import in_front_of


async def test_what_was_open_beside_a_read_that_hung_is_not_used_any_more(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of those would hang for as long."""
    async with in_front_of(postgres_url) as (proxy, url):
        views = Database(url, connections=3)
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(3):
                    tasks.create_task(views.fetch(text("SELECT pg_sleep(0.1)")))
            monkeypatch.setattr(database, "DEADLINE_S", 0.3)
            assert proxy.silence() == 3
            with pytest.raises(Unavailable, match="no answer within 0"):
                await views.fetch(text("SELECT 1"))
            assert await views.fetch(text("SELECT 2")) == [(2,)]
        finally:
            await views.close()


async def test_a_read_on_a_frozen_postgres_is_given_up_and_the_next_one_is_answered(
    fresh_postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "DEADLINE_S", 0.3)
    views = Database(fresh_postgres.url)
    try:
        assert await views.fetch(text("SELECT 1")) == [(1,)]
        fresh_postgres.pause()
        async with asyncio.timeout(4):
            with pytest.raises(Unavailable, match="postgres is unavailable: no answer within 0"):
                await views.fetch(text("SELECT 2"))
        fresh_postgres.resume()
        assert await views.fetch(text("SELECT 3")) == [(3,)]
    finally:
        fresh_postgres.resume()
        await views.close()
