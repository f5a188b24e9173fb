"""A job is deleted while NATS is away: nothing of it stays there, however long that takes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx2
import pytest

from nats3.dev.nats3_server import Nats3Server, environment
from nats3.dev.nats_server import NatsServer
from nats3.dev.natswire import Wire
from tests.docs.pages import elsewhere

pytestmark = pytest.mark.timeout(90)


async def until(holds: Callable[[], Awaitable[bool]], seconds: float = 40) -> None:
    async with asyncio.timeout(seconds):
        while not await holds():  # noqa: ASYNC110 - what is waited for is the state of other processes
            await asyncio.sleep(0.1)


async def consumers(url: str) -> int:
    async with await Wire.open(url) as wire:
        return (await wire.api("STREAM.INFO.ORDERS", {}))["state"]["consumer_count"]


async def test_a_consumer_that_could_not_be_deleted_is_deleted_later(
    fresh_nats: NatsServer, postgres_url: str, s3, server_directory: Path
) -> None:
    async with await Wire.open(fresh_nats.url) as wire:
        await wire.api("STREAM.CREATE.ORDERS", {"name": "ORDERS", "subjects": ["orders.>"], "retention": "interest"})
    settings = environment("", fresh_nats.url, postgres_url, s3)
    async with (
        elsewhere(Nats3Server(server_directory / "nats3", settings)) as server,
        httpx2.AsyncClient(base_url=server.url, timeout=20) as client,
    ):
        order = {"kind": "store", "stream": "ORDERS", "bucket": s3.bucket}
        job = (await client.post("/api/v2/jobs", json=order)).json()["id"]

        async def bound() -> bool:
            return await consumers(fresh_nats.url) == 1

        await until(bound)
        await fresh_nats.kill()
        assert (await client.delete(f"/api/v2/jobs/{job}")).status_code == 204

        async def let_go() -> bool:
            events = (await client.get(f"/api/v2/events?entity=run/{job}")).json()["items"]
            return events[-1]["type"] == "run_stopped"

        await until(let_go)
        await fresh_nats.start()
        assert await consumers(fresh_nats.url) == 1

        async def forgotten() -> bool:
            events = (await client.get(f"/api/v2/events?entity=run/{job}")).json()["items"]
            return events[-1]["type"] == "consumers_forgotten"

        await until(forgotten)
        assert await consumers(fresh_nats.url) == 0
