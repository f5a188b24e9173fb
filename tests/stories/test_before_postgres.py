"""A node that starts while Postgres is away says so at every door, and works by itself once it is there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from nats3.dev.nats3_server import Nats3Server, environment
from nats3.dev.ports import free_port
from nats3.dev.postgres_server import PostgresServer
from nats3.dev.s3_server import S3Access

pytestmark = pytest.mark.timeout(60)


async def answered(ask: Callable[[], Awaitable[httpx2.Response]]) -> httpx2.Response:
    """The first answer, however long the port is closed."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await ask()
            except httpx2.ConnectError:
                continue


@pytest.fixture
async def server(server_directory: Path, nats_url: str, fresh_postgres: PostgresServer, s3: S3Access) -> Nats3Server:
    """Its Postgres is away."""
    settings = environment("", nats_url, fresh_postgres.url, s3) | {"NATS3_SERVER_METRICS_PUBLIC": "true"}
    await fresh_postgres.stop()
    server = Nats3Server(server_directory / "nats3", settings)
    server.port = free_port()
    return server


@asynccontextmanager
async def started(server: Nats3Server) -> AsyncGenerator[httpx2.AsyncClient]:
    """The program is there, and has not got as far as to answer /ready with 200."""
    async with (
        asyncio.TaskGroup() as tasks,
        httpx2.AsyncClient(base_url=server.url, timeout=5) as client,
    ):
        starting = tasks.create_task(server.start())
        assert (await answered(lambda: client.get("/ping"))).text == "pong"
        yield client
        starting.cancel()
        await asyncio.wait([starting])
        await server.stop()


async def test_a_node_without_its_postgres_lives_is_not_ready_and_says_why(
    server: Nats3Server, fresh_postgres: PostgresServer
) -> None:
    async with started(server) as client:
        assert (await client.get("/health")).json() == {"status": "alive"}
        assert (await client.get("/api/v1/health")).status_code == 200

        ready = await client.get("/ready")
        assert (ready.status_code, ready.headers["retry-after"]) == (503, "5")
        assert "postgres" in ready.json()["error"]

        assert (await client.get("/ready", headers={"Host": "elsewhere"})).status_code == 421

        async with asyncio.timeout(10):
            while 'nats3_dependency_up{dependency="postgres"} 0.0' not in (await client.get("/metrics")).text:
                pass

        await fresh_postgres.start()
        async with asyncio.timeout(20):
            while (await client.get("/ready")).status_code != 200:
                pass
        assert (await client.get("/api/v2/jobs")).json()["items"] == []


async def test_a_node_that_waits_for_postgres_ends_in_order_when_told_to(server: Nats3Server) -> None:
    async with started(server):
        pass
    assert server.exit_code == 0
