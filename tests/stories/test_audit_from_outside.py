"""The event log and its projections through the program alone: a real server, and the command line beside it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import nats
import pytest

from nats3.dev.nats3_server import Nats3Server, environment
from nats3.dev.ports import free_port

pytestmark = pytest.mark.timeout(60)


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def answer(self):
        return json.loads(self.out)


@dataclass
class Program:
    """`nats3 ...` against the server of this test."""

    server: Nats3Server
    environment: dict[str, str]

    async def start(self, *words: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "nats3", *words,
            env=self.environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip

    async def __call__(self, *words: str) -> Ran:
        process = await self.start(*words)
        out, err = await process.communicate()
        return Ran(process.returncode or 0, out.decode(), err.decode())


@pytest.fixture
async def nats3(server_directory: Path, nats_url: str, postgres_url: str, s3) -> AsyncIterator[Program]:
    settings = environment("", nats_url, postgres_url, s3)
    server = Nats3Server(server_directory / "nats3", {**settings, "NATS3_LOG_FORMAT": "json"})
    server.port = free_port()
    await server.start()
    yield Program(server, {**os.environ, **settings, "NATS3_URL": server.url})
    await server.stop()


async def archived(nats3: Program, nats_url: str, bucket: str) -> str:
    """The id of a store job that has put 20 messages into chunks."""
    stream = f"S{uuid4().hex[:8]}"
    client = await nats.connect(nats_url)
    await client.jetstream().add_stream(name=stream, subjects=[f"{stream}.>"])
    for number in range(20):
        await client.jetstream().publish(f"{stream}.a", b"%d" % number)
    await client.close()
    order = ("--name", stream, "--stream", stream, "--subject", f"{stream}.>", "--bucket", bucket)
    job = (await nats3("store", "create", *order, "--max-count", "5", "-o", "json")).answer["id"]
    async with asyncio.timeout(20):
        while len((await nats3("events", "ls", "--type", "chunk_flushed", "-o", "name")).out.split()) < 4:
            pass
    return job


async def test_the_log_is_asked_followed_folded_and_verified(nats3: Program, nats_url: str, s3) -> None:
    job = await archived(nats3, nats_url, s3.bucket)
    listed = await nats3("events", "ls", "--entity", f"run/{job}", "--newest", "--limit", "1", "-o", "jsonl")
    assert listed.answer["type"] in {"chunk_flushed", "run_recovered"}
    position = (await nats3("events", "ls", "--type", "chunk_flushed", "--limit", "1", "-o", "name")).out.strip()
    assert (await nats3("events", "get", position, "-o", "json")).answer["data"]["count"] == 5

    then = (await nats3("job", "history", job, "--as-of", position, "-o", "json")).answer
    assert then["items"][-1]["position"] == int(position)
    assert (then["job"]["wanted"], then["run"]["cursor"]) == ("active", 5)
    born = then["items"][0]["recorded_at"]
    assert len((await nats3("job", "history", job, "--as-of", born, "-o", "json")).answer["items"]) == 1

    tail = await nats3.start("events", "tail", "--entity", f"job/{job}", "--after", "0")
    assert json.loads(await tail.stdout.readline())["type"] == "job_created"
    assert (await nats3("store", "pause", job)).code == 0
    assert json.loads(await tail.stdout.readline())["type"] == "job_paused"
    tail.terminate()
    await tail.communicate()

    verified = await nats3("events", "verify")
    assert (verified.code, verified.err.split(": ")[1]) == (0, "each one fits the one before\n")
    assert (await nats3("events", "get", "999999")).code == 3, "not found"
    assert (await nats3("db", "current")).code == 0


async def test_views_are_rebuilt_verified_and_returned_to(nats3: Program, nats_url: str, s3) -> None:
    await archived(nats3, nats_url, s3.bucket)
    shown = (await nats3("projections", "ls", "-o", "json")).answer["items"]
    before = {row["name"]: row["version"] for row in shown if row["active"]}
    assert before.keys() >= {"jobs", "chunks", "coverage"}
    for name, version in before.items():
        rebuilt = await nats3("projections", "rebuild", name, "-o", "json")
        assert (rebuilt.code, rebuilt.answer["state"], rebuilt.answer["version"]) == (0, "done", version + 1), (
            rebuilt.err
        )
        verified = await nats3("projections", "verify", name, "-o", "json")
        assert (verified.code, verified.answer["state"], verified.answer["differ"]) == (0, "done", []), verified.err
        assert (await nats3("projections", "return", name)).err == f"{name}: readers see version {version} again\n"
    seen = (await nats3("projections", "ls", "-o", "json")).answer["items"]
    assert {row["name"]: row["version"] for row in seen if row["active"]} == before
    assert (await nats3("projections", "rebuild", "none")).code == 3
    assert (await nats3("projections", "cancel", "jobs")).code == 4
    assert (await nats3("projections", "skip", "jobs", "999999", "--reason", "none")).code == 2


async def test_a_superuser_is_warned_of_once(nats3: Program) -> None:
    said = [json.loads(line) for line in nats3.server.log.read_text().splitlines()]
    warnings = [line for line in said if "could change recorded events" in line["event"]]
    assert [line["power"] for line in warnings] == ["superuser"]
