"""The past of the log moves into the bucket while everything goes on: a rebuild, a verification, a follower, a restart."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import nats
import psycopg
import pytest

from nats3.dev.nats3_server import Nats3Server, environment
from nats3.dev.ports import free_port
from nats3.dev.s3_server import S3Access
from nats3.objects.client import S3Settings
from nats3.objects.s3 import S3Store
from tests.stories.test_audit_from_outside import Program

pytestmark = pytest.mark.timeout(90)

MOVING = {
    "NATS3_LOG_RETENTION_DAYS": "0",
    "NATS3_LOG_RETENTION_KEEP": "0",
    "NATS3_LOG_RETENTION_INTERVAL": "1",
}


@dataclass
class Restarted(Program):
    """A server that reads `settings` at each start."""

    settings: dict[str, str]


@pytest.fixture
async def nats3(server_directory: Path, nats_url: str, postgres_url: str, s3: S3Access) -> AsyncIterator[Restarted]:
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as connection:
        await connection.execute(f"ALTER DATABASE {connection.info.dbname} SET es.partition_size = '20'")
    settings = environment("", nats_url, postgres_url, s3) | {"NATS3_LOG_FORMAT": "json"}
    server = Nats3Server(server_directory / "nats3", settings)
    server.port = free_port()
    await server.start()
    yield Restarted(server, {**os.environ, **settings, "NATS3_URL": server.url}, settings)
    await server.stop()


async def stored(nats3: Restarted, nats_url: str, bucket: str, messages: int) -> str:
    """The id of a store job that has put each message into a chunk of its own."""
    stream = f"S{uuid4().hex[:8]}"
    client = await nats.connect(nats_url)
    await client.jetstream().add_stream(name=stream, subjects=[f"{stream}.>"])
    for number in range(messages):
        await client.jetstream().publish(f"{stream}.a", b"%d" % number)
    await client.close()
    order = ("--name", stream, "--stream", stream, "--subject", f"{stream}.>", "--bucket", bucket)
    job = (await nats3("store", "create", *order, "--max-count", "1", "-o", "json")).answer["id"]
    async with asyncio.timeout(30):
        while len((await nats3("events", "ls", "--type", "chunk_flushed", "-o", "name")).out.split()) < messages:
            pass
    return job


async def the_past(nats3: Restarted, *words: str) -> list[dict[str, object]]:
    """All events, without those that tell of partitions."""
    ran = await nats3("events", "ls", "--limit", "1000", "-o", "jsonl", *words)
    assert ran.code == 0, ran.err
    found = [json.loads(line) for line in ran.out.splitlines()]
    return [event for event in found if not str(event["entity_id"]).startswith("partition/")]


async def dropped(nats3: Restarted, least: int) -> list[dict[str, object]]:
    """The partitions once so many of them are gone."""
    async with asyncio.timeout(40):
        while True:
            found = (await nats3("log", "partitions", "-o", "json")).answer["items"]
            if sum(each["state"] == "dropped" for each in found) >= least:
                return found


async def test_the_past_moves_while_everything_goes_on(nats3: Restarted, nats_url: str, s3: S3Access) -> None:
    job = await stored(nats3, nats_url, s3.bucket, 60)
    before = await the_past(nats3)
    last = int(str(before[-1]["position"]))
    as_of = ("job", "history", job, "--as-of", "30", "-o", "json")
    then = (await nats3(*as_of)).answer

    await nats3.server.stop()
    nats3.settings |= {**MOVING, "NATS3_LOG_RETENTION_BUCKET": s3.bucket}
    await nats3.server.start()
    tail = await nats3.start("events", "tail", "--after", "0")
    async with asyncio.TaskGroup() as tasks:
        rebuilt = tasks.create_task(nats3("projections", "rebuild", "chunks", "-o", "json"))
        walked = tasks.create_task(nats3("events", "verify"))
        asked = tasks.create_task(the_past(nats3, "--newest"))
        followed = [json.loads(await tail.stdout.readline()) for _ in range(last)]
    tail.terminate()
    await tail.communicate()
    assert (rebuilt.result().answer["state"], walked.result().code) == ("done", 0)
    assert [event["position"] for event in followed] == sorted(event["position"] for event in followed)
    assert [event["position"] for event in before] == [
        event["position"] for event in followed if event["position"] <= last
    ]
    assert len(asked.result()) >= len(before)

    held = (await nats3("log", "partitions", "-o", "json")).answer["items"]
    async with asyncio.timeout(20):  # the version before is kept for a quick return, and holds what it has not read
        while not any(hold["name"].endswith("(retired)") for each in held for hold in each["held_by"]):
            held = (await nats3("log", "partitions", "-o", "json")).answer["items"]
            if sum(each["state"] == "dropped" for each in held) >= 3:
                break
    await dropped(nats3, 3)
    assert (await the_past(nats3))[: len(before)] == before
    assert (await nats3(*as_of)).answer == then
    assert (await nats3("events", "verify")).code == 0
    for name in ("jobs", "chunks", "coverage"):
        verified = await nats3("projections", "verify", name, "-o", "json")
        assert (verified.answer["state"], verified.answer["differ"]) == ("done", []), verified.out
    assert (await nats3("store", "pause", job)).code == 0

    listed = (await nats3("log", "segments", "ls", "-o", "json")).answer["items"]
    assert [each["from_position"] for each in listed][:2] == [1, 21]
    assert (await nats3("log", "segments", "verify")).code == 0
    async with S3Store.open(S3Settings(s3.endpoint, s3.region, s3.access, s3.secret)) as store:
        await store.delete(s3.bucket, f"event-log/{listed[0]['name']}")
    wrong = await nats3("log", "segments", "verify")
    assert (wrong.code, listed[0]["name"] in wrong.err) == (1, True)

    await nats3.server.stop()
    await nats3.server.start()  # nothing that it needs to work is in the segments
    assert (await nats3("store", "resume", job)).code == 0
    ran = await nats3("events", "ls")
    assert ran.code != 0
    assert f"segment {listed[0]['name']}" in ran.err


async def test_a_log_that_moved_does_not_start_without_its_bucket(
    nats3: Restarted, nats_url: str, s3: S3Access
) -> None:
    await stored(nats3, nats_url, s3.bucket, 30)
    await nats3.server.stop()
    nats3.settings |= {**MOVING, "NATS3_LOG_RETENTION_BUCKET": s3.bucket}
    await nats3.server.start()
    await dropped(nats3, 1)
    await nats3.server.stop()
    del nats3.settings["NATS3_LOG_RETENTION_BUCKET"]
    ran = await nats3("serve", "--addr", f"127.0.0.1:{free_port()}")
    assert ran.code == 1
    assert "NATS3_LOG_RETENTION_BUCKET" in ran.err
