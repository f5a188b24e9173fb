"""Two NATS and two S3, a stream and a bucket of the same name on each: a job meets those that it names, and no others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from nats3.dev import sigv4
from nats3.dev.nats3_server import Nats3Server, environment
from nats3.dev.nats_server import NatsServer
from nats3.dev.natswire import Said, Wire
from nats3.dev.s3_server import S3Access, S3Server
from tests.docs.pages import elsewhere

pytestmark = pytest.mark.timeout(90)

STORE = {"kind": "store", "stream": "ORDERS", "nats": "hub", "s3": "cold", "limits": {"max_count": 10}}
LOAD = {"kind": "load", "read_stream": "ORDERS", "s3": "cold", "write_subject": "again"}


async def filled(url: str, word: bytes) -> None:
    async with await Wire.open(url) as wire:
        await wire.api("STREAM.CREATE.ORDERS", {"name": "ORDERS", "subjects": ["orders.>"]})
        await wire.api("STREAM.CREATE.AGAIN", {"name": "AGAIN", "subjects": ["again"]})
        async for _ in wire.publish([Said(b"orders.new", None, word + b" %d" % number) for number in range(30)]):
            pass


@dataclass(frozen=True)
class World:
    directory: Path
    settings: dict[str, str]
    file: Path
    s3: S3Access
    hub: NatsServer

    @asynccontextmanager
    async def node(self, *, whole: bool = True) -> AsyncIterator[httpx2.AsyncClient]:
        """A node with all connections, or with those called `main` alone."""
        settings = self.settings | ({"NATS3_CONFIG": str(self.file)} if whole else {})
        async with (
            elsewhere(Nats3Server(self.directory, settings)) as server,
            httpx2.AsyncClient(base_url=server.url, timeout=20) as client,
        ):
            yield client


@pytest.fixture
async def world(
    nats_url: str, fresh_nats: NatsServer, postgres_url: str, s3: S3Access, fresh_s3: S3Server, server_directory: Path
) -> World:
    """The bucket is called alike at both; what main holds would be taken for ours by whoever mixes them up."""
    await fresh_s3.make_bucket(s3.bucket)
    await filled(fresh_nats.url, b"hub")
    secret = server_directory / "secret"
    secret.write_text(fresh_s3.access.secret)
    file = server_directory / "nats3.toml"
    file.write_text(
        f'[nats.hub]\nurl = "{fresh_nats.url}"\n'
        f'[s3.cold]\nendpoint = "{fresh_s3.access.endpoint}"\naccess = "{fresh_s3.access.access}"\n'
        f'secret_file = "{secret}"\n'
    )
    settings = environment("", nats_url, postgres_url, s3)
    return World(server_directory / "nats3", settings, file, s3, fresh_nats)


async def until(client: httpx2.AsyncClient, job_id: str, **wanted: object) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    try:
        async with asyncio.timeout(25):
            while not wanted.items() <= seen.items():
                await asyncio.sleep(0.05)
                job = (await client.get(f"/api/v2/jobs/{job_id}")).json()
                seen = {**job, **job["progress"]}
    except TimeoutError:
        pytest.fail(f"{wanted} expected: {seen}")
    return seen


async def refuses_other_names(client: httpx2.AsyncClient, bucket: str) -> None:
    answer = await client.post("/api/v2/jobs", json={**STORE, "bucket": bucket, "nats": "hop", "s3": "old"})
    assert answer.status_code == 422
    assert {each["field"]: each["remedy"] for each in answer.json()["errors"]} == {
        "nats": "use hub, main, or add [nats.hop] to its configuration",
        "s3": "use cold, main, or add [s3.old] to its configuration",
    }
    assert (await client.post("/store/job", json={"bucket": "a:b", "stream": "S", "subject": ">"})).status_code == 422
    answer = await client.post("/api/v2/archive/rebuilds", json={"bucket": "old:archive"})
    assert [each["field"] for each in answer.json()["errors"]] == ["bucket"]


async def surveyed(client: httpx2.AsyncClient, path: str, wanted: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    async with asyncio.timeout(25):
        while not wanted(told := (await client.get(path)).json()):  # noqa: ASYNC110 - the state of another process
            await asyncio.sleep(0.05)
    return told


async def test_a_job_meets_the_connections_that_it_names_from_the_first_message_to_a_rebuild(world: World) -> None:
    async with world.node() as client:
        store = (await client.post("/api/v2/jobs", json={**STORE, "bucket": world.s3.bucket})).json()
        assert store["warnings"] == []
        assert (store["order"]["nats"], store["order"]["s3"], store["order"]["bucket"]) == (
            "hub",
            "cold",
            world.s3.bucket,
        )
        await until(client, store["id"], messages=30)
        place = f"cold:{world.s3.bucket}"
        (chunk, *_) = (await client.get("/api/v2/chunks", params={"bucket": place})).json()["items"]
        assert (await client.get("/api/v2/chunks", params={"bucket": world.s3.bucket})).json()["items"] == []
        assert await sigv4.request(world.s3, "HEAD", f"/{world.s3.bucket}/{chunk['key']}") == 404
        (first, *_) = (await client.get(f"/api/v2/chunks/{chunk['id']}/messages")).json()["items"]
        assert first["text"] == "hub 0"
        assert (await client.post(f"/api/v2/chunks/{chunk['id']}/verify")).json()["verdict"] == "whole"
        for nats in ("hub", "main"):
            load = (await client.post("/api/v2/jobs", json={**LOAD, "bucket": world.s3.bucket, "nats": nats})).json()
            if nats == "hub":
                await until(client, load["id"], state="completed", published=30)
            else:  # the shared server has no stream for it: which is what the run must say of that server
                await until(client, load["id"], state="blocked")
        listed = (await client.get("/api/v2/streams", params={"nats": "hub"})).json()["items"]
        assert [(each["name"], each["there"]["messages"]) for each in listed] == [("AGAIN", 30), ("ORDERS", 30)]
        survey = (await client.post("/api/v2/archive/verifications", json={"bucket": place, "deep": True})).json()
        async with asyncio.timeout(20):
            while survey["ended_at"] is None:
                await asyncio.sleep(0.05)
                survey = (await client.get(f"/api/v2/archive/surveys/{survey['id']}")).json()
        assert (survey["state"], survey["clean"], survey["counts"]["chunks"]) == ("done", True, 3)
        await refuses_other_names(client, world.s3.bucket)
        metrics = (await client.get("/metrics")).text
        assert 'nats3_nats_connected{connection="hub"} 1.0' in metrics
        assert 'nats3_s3_requests_total{connection="cold",operation="put"} ' in metrics


async def test_a_node_without_the_connections_of_a_job_says_so_and_touches_nothing_of_the_same_name(
    world: World,
) -> None:
    async with world.node() as client:
        store = (await client.post("/api/v2/jobs", json={**STORE, "bucket": world.s3.bucket})).json()["id"]
        load = {**LOAD, "bucket": world.s3.bucket, "nats": "main", "poll_interval": "100ms"}
        await until(client, store, messages=30)
        cold = (await client.post("/api/v2/jobs", json={**load, "name": "cold"})).json()["id"]
        await until(client, cold, planned=30)
    async with world.node(whole=False) as client:
        seen = await until(client, store, state="degraded")
        assert "this node has no NATS connection hub, only main" in seen["reason"]
        seen = await until(client, cold, state="degraded")
        assert "this node has no S3 connection cold, only main" in seen["reason"]
        listing = (await client.get("/api/v2/chunks", params={"bucket": world.s3.bucket})).json()["items"]
        assert listing == []
        asked = await client.post("/api/v2/archive/verifications", json={"job_id": store})
        survey = asked.headers["location"]
        told = await surveyed(client, survey, lambda said: said["reason"])
        assert (told["state"], told["ended_at"]) == ("running", None)
        assert "this node has no S3 connection cold, only main: add [s3.cold] to its configuration" in told["reason"]
        streams = await client.get("/api/v2/streams", params={"nats": "hub"})
        (fault,) = streams.json()["errors"]
        assert (streams.status_code, fault["fault"]) == (422, "'hub' is no connection to NATS of this node")
        assert fault["remedy"] == "use main, or add [nats.hub] to its configuration"
    async with await Wire.open(world.hub.url) as wire:
        async for _ in wire.publish([Said(b"orders.new", None, b"later")] * 10):
            pass
    async with world.node() as client:
        await until(client, store, state="running", messages=40)
        told = await surveyed(client, survey, lambda said: said["ended_at"])
        assert (told["state"], told["reason"], told["clean"]) == ("done", None, True)
        waits = (await client.get("/api/v2/events?type=walk_waits")).json()["items"]
        assert len(waits) == 1, "said once, however long it waits"


async def test_ready_says_which_connection_is_away_and_a_job_on_another_goes_on(world: World) -> None:
    async with world.node() as client:
        store = (await client.post("/api/v2/jobs", json={**STORE, "bucket": world.s3.bucket})).json()["id"]
        await until(client, store, messages=30)
        await world.hub.kill()
        async with asyncio.timeout(20):
            while (answer := await client.get("/ready")).status_code == 200:  # noqa: ASYNC110 - the state of another process
                await asyncio.sleep(0.05)
        assert set(answer.json()["faults"]) == {"nats.hub"}
        await until(client, store, state="degraded")
        async with asyncio.timeout(20):
            while 'nats3_nats_connected{connection="hub"} 0.0' not in (await client.get("/metrics")).text:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.05)
        assert 'nats3_nats_connected{connection="main"} 1.0' in (await client.get("/metrics")).text
        await world.hub.start()
        await until(client, store, state="running")
