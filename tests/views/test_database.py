"""A Postgres that hangs is told of in time: nobody who reads a view waits for it without an end."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text

from nats3.dev.postgres_server import PostgresServer
from nats3.errors import Unavailable
from nats3.views import database
from nats3.views.database import Database


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
