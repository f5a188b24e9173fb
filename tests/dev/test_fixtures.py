"""The fixtures of tests/conftest.py give what they say."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from nats3.dev import sigv4
from nats3.dev.nats_server import NatsServer
from nats3.dev.postgres_server import PostgresServer
from nats3.dev.s3_server import S3Access, S3Server
from nats3.dev.server import Server


def test_each_test_has_a_database_of_its_own(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        row = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
    assert row == (0,)


async def test_each_test_has_a_bucket_of_its_own(s3: S3Access) -> None:
    assert await sigv4.request(s3, "GET", f"/{s3.bucket}") == 200
    assert await sigv4.request(s3, "HEAD", f"/{s3.bucket}/anything") == 404


async def test_the_session_nats_takes_connections_of_any_loop(nats_url: str) -> None:
    host, port = nats_url.removeprefix("nats://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    assert (await reader.readline()).startswith(b"INFO ")
    writer.close()


@pytest.mark.parametrize("fixture", ["fresh_nats", "fresh_postgres", "fresh_s3"])
async def test_a_fresh_server_keeps_its_port_through_kill_and_start(
    fixture: str, fresh_nats: NatsServer, fresh_postgres: PostgresServer, fresh_s3: S3Server
) -> None:
    servers: dict[str, Server] = {"fresh_nats": fresh_nats, "fresh_postgres": fresh_postgres, "fresh_s3": fresh_s3}
    server = servers[fixture]
    port, pid = server.port, server.pid
    await server.kill()
    assert not server.running
    await server.start()
    assert server.port == port
    assert server.pid != pid
