"""What happens to jobs is heard on NATS: all of it, in the order of the log, also when NATS was away meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import nats
import pytest

from nats3.dev.nats3_server import Nats3Server, environment
from nats3.dev.nats_server import NatsServer
from nats3.dev.ports import free_port

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
async def api(
    server_directory: Path, fresh_nats: NatsServer, postgres_url: str, s3
) -> AsyncIterator[httpx2.AsyncClient]:
    settings = environment("", fresh_nats.url, postgres_url, s3)
    switched_on = {"NATS3_EVENTS_PUBLISH": "true", "NATS3_EVENTS_MAKE_STREAM": "true"}
    server = Nats3Server(server_directory / "nats3", {**settings, **switched_on})
    server.port = free_port()
    await server.start()
    async with httpx2.AsyncClient(base_url=server.url, timeout=10) as client:
        yield client
    await server.stop()


async def published(url: str, count: int) -> list[dict[str, Any]]:
    """The first `count` events of the stream, as it comes to have them."""
    client = await nats.connect(url)
    async with asyncio.timeout(30):
        while True:
            try:
                found = (await client.jetstream().stream_info("NATS3_EVENTS")).state.messages
            except nats.js.errors.NotFoundError:
                found = 0
            if found >= count:
                break
    sub = await client.jetstream().pull_subscribe("", stream="NATS3_EVENTS", durable=f"reader{count}")
    messages = await sub.fetch(count, timeout=10)
    await client.close()
    return [{**json.loads(message.data), "on": message.subject} for message in messages]


async def order(api: httpx2.AsyncClient, bucket: str, name: str) -> str:
    body = {"kind": "store", "name": name, "stream": "ORDERS", "subject": ">", "bucket": bucket}
    return (await api.post("/api/v2/jobs", json=body)).raise_for_status().json()["id"]


async def test_every_event_is_there_in_order_after_an_outage(
    api: httpx2.AsyncClient, fresh_nats: NatsServer, s3
) -> None:
    first = await order(api, s3.bucket, "before")
    await published(fresh_nats.url, 1)
    await fresh_nats.kill()
    for name in ("meanwhile", "also.meanwhile"):
        await order(api, s3.bucket, name)
    (await api.post(f"/api/v2/jobs/{first}/pause")).raise_for_status()
    await fresh_nats.start()

    whole = (await api.get("/api/v2/events", params={"limit": 1000})).raise_for_status().json()["items"]
    log = [event for event in whole if event["entity_id"].startswith("job/")]
    heard = await published(fresh_nats.url, len(whole))
    assert [int(each["sequence"]) for each in heard] == [event["position"] for event in whole]
    about_jobs = [each for each in heard if each["subject"].startswith("job/")]
    assert [each["data"] for each in about_jobs] == [event["data"] for event in log]
    assert [each["on"] for each in about_jobs] == [
        "nats3.event.store.before.job_created",
        "nats3.event.store.meanwhile.job_created",
        "nats3.event.store.also_meanwhile.job_created",
        "nats3.event.store.before.job_paused",
    ]
    rows = (await api.get("/api/v2/projections")).json()["items"]
    assert [row["status"] for row in rows if row["name"] == "nats_events"] == ["running"]
