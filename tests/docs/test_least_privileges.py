"""The permissions that the manual lists for NATS are enough for a whole job, on a server that enforces them."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from nats3.dev.nats3_server import Nats3Server, environment
from nats3.dev.nats_server import NatsServer
from nats3.dev.natswire import Said, Wire
from nats3.dev.s3_server import S3Access
from tests.docs.pages import elsewhere, page


def allowed(what: str) -> list[str]:
    """Subjects of the table, for `publish` or `subscribe`."""
    rows = page("docs/operating.md").table("may", "subject", "for")
    cells = " ".join(row[1] for row in rows if row[0] == what)
    return [text for text in re.findall(r"`([^`]+)`", cells) if not text.startswith("NATS3_")]


@pytest.fixture
async def guarded(server_directory: Path) -> AsyncIterator[NatsServer]:
    """Whoever gives no name may do all; user nats3 what the manual says."""
    permissions = json.dumps({"publish": allowed("publish"), "subscribe": allowed("subscribe")})
    users = f"{{ user: guest, password: guest }}, {{ user: nats3, password: n3, permissions: {permissions} }}"
    extra = f"accounts {{ A {{ jetstream: enabled, users: [{users}] }} }}\nno_auth_user: guest"
    async with NatsServer(server_directory / "nats", extra=extra) as server:
        yield server


async def until_state(client: httpx2.AsyncClient, job_id: str, wanted: dict[str, object]) -> None:
    """Ask again until the job's state and progress say so; the last answer is shown when that takes too long."""
    seen: dict[str, object] = {}
    try:
        async with asyncio.timeout(15):
            while not wanted.items() <= seen.items():
                await asyncio.sleep(0.02)
                job = (await client.get(f"/api/v2/jobs/{job_id}")).json()
                seen = {"state": job["state"], "reason": job["reason"], **job["progress"]}
    except TimeoutError:
        pytest.fail(f"{wanted} expected: {seen}")


@pytest.mark.timeout(60)
async def test_a_user_with_the_permissions_of_the_manual_stores_loads_and_tidies_up(
    guarded: NatsServer, postgres_url: str, s3: S3Access, server_directory: Path
) -> None:
    async with await Wire.open(guarded.url) as wire:
        await wire.api("STREAM.CREATE.ORDERS", {"name": "ORDERS", "subjects": ["orders.>"]})
        async for _ in wire.publish([Said(b"orders.new", None, b"%d" % number) for number in range(50)]):
            pass
        login = {"NATS3_NATS_USER": "nats3", "NATS3_NATS_PASSWORD": "n3"}
        settings = environment("", guarded.url, postgres_url, s3) | login
        async with (
            elsewhere(Nats3Server(server_directory / "nats3", settings)) as server,
            httpx2.AsyncClient(base_url=server.url, timeout=10) as client,
        ):
            store = {
                "stream": "ORDERS",
                "subject": "orders.new",
                "bucket": s3.bucket,
                "batch": {"max_count": 10, "max_bytes": 2000},
            }
            store_id = (await client.post("/store/job", json=store)).json()["id"]
            await until_state(client, store_id, {"state": "running", "messages": 50})
            load = {"kind": "load", "bucket": s3.bucket, "read_stream": "ORDERS", "write_subject": "orders.again"}
            load_id = (await client.post("/api/v2/jobs", json=load)).json()["id"]
            await until_state(client, load_id, {"state": "completed", "published": 50})
            await client.delete("/store/job", params={"job_id": store_id})
        info = await wire.api("STREAM.INFO.ORDERS", {})
    assert (info["state"]["messages"], info["state"]["consumer_count"]) == (100, 0)
    assert "Permissions Violation" not in guarded.log.read_text()
