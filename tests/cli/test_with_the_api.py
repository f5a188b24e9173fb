"""The program against the real API on a real log: what the recorded answers of the other tests stand for."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import uvicorn

from nats3.api.app import build
from nats3.dev.ports import free_port
from nats3.job.loading import ChunkSkipped, LoadCompleted
from nats3.job.running import RunActivated
from tests.api.conftest import Api, api
from tests.api.test_version_2_contents import archived
from tests.cli.conftest import Ran

__all__ = ["api"]  # the fixture of the API's own tests

Program = Callable[..., Awaitable[Ran]]


@pytest.fixture
async def nats3(api: Api) -> AsyncIterator[Program]:
    """Runs the program as a process of its own against the API on a loopback port."""
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(build(api.services), log_config=None, lifespan="off", ws="none"))

    async def run(*words: str) -> Ran:
        program = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "nats3", *words,
            env={**os.environ, "NATS3_URL": url}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await program.communicate()
        return Ran(program.returncode or 0, out.decode(), err.decode())

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve(sockets=[listener]))
        yield run
        server.should_exit = True
    listener.close()


@asynccontextmanager
async def served(api: Api, port: int) -> AsyncIterator[str]:
    """The API on a port, until it is shut down as a restart does."""
    config = uvicorn.Config(
        build(api.services), port=port, log_config=None, lifespan="off", timeout_graceful_shutdown=0
    )
    server = uvicorn.Server(config)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve())
        yield f"http://127.0.0.1:{port}"
        server.should_exit = True


async def test_a_tail_goes_on_over_a_restart_of_the_server_and_misses_and_doubles_nothing(api: Api) -> None:
    async def say(count: int) -> None:
        for _ in range(count):
            await api.client.post("/api/v2/jobs", json={"kind": "store", "stream": "jobs", "bucket": "bucket-1"})

    port = free_port()
    command = [sys.executable, "-m", "nats3", "events", "tail", "--category", "job", "--server"]
    async with served(api, port) as url:
        await say(1)
        tail = await asyncio.create_subprocess_exec(*command, url, stdout=asyncio.subprocess.PIPE)
        async with asyncio.timeout(10):
            while not api.services.streams.taken:  # noqa: ASYNC110 - another process comes
                await asyncio.sleep(0.02)
        await say(2)
        seen = [json.loads(await tail.stdout.readline())["position"] for _ in range(2)]
    await say(3)
    async with served(api, port):
        await say(2)
        async with asyncio.timeout(15):
            seen += [json.loads(await tail.stdout.readline())["position"] for _ in range(5)]
        tail.terminate()
        rest = await tail.stdout.read()
        await tail.wait()
    assert (seen, rest) == ([2, 3, 4, 5, 6, 7, 8], b"")


async def test_the_life_of_a_store_job(nats3: Program) -> None:
    order = ("--name", "job-1", "--stream", "jobs", "--subject", "subject-1", "--bucket", "bucket-1")
    made = await nats3("store", "create", *order, "-o", "json")
    assert (made.code, made.err.splitlines()[0]) == (0, "store job job-1 created")
    job = json.loads(made.out)
    assert (job["name"], job["status"], job["encoding"]) == ("job-1", "Created", {"codec": "Binary"})

    listed = await nats3("store", "list")
    assert [cell.strip() for cell in listed.out.splitlines()[3].split("│")[1:-1]] == [
        job["id"], "job-1", "Created", "bucket-1", "jobs", "", "subject-1",
    ]  # fmt: skip
    assert json.loads((await nats3("store", "pause", "job-1", "-o", "json")).out)["status"] == "Paused"
    assert json.loads((await nats3("store", "resume", "--job-id", job["id"], "-o", "json")).out)["status"] == "Running"
    assert (await nats3("store", "delete", "job-1")).code == 0
    gone = await nats3("store", "get", job["id"])
    assert (gone.code, gone.out, gone.err) == (3, "", f"nats3: job id {job['id']} not found\n")


async def test_the_life_of_a_load_job(nats3: Program) -> None:
    order = ("--bucket", "bucket-1", "--read-stream", "jobs", "--read-subject", "subject-1")
    made = await nats3("load", "create", *order, "--write-subject", "destination", "-o", "name")
    assert made.code == 0
    name = made.out.strip()
    assert json.loads((await nats3("load", "get", name, "-o", "json")).out)["write_subject"] == "destination"
    assert json.loads((await nats3("load", "pause", name, "-o", "json")).out)["status"] == "Paused"
    assert (await nats3("load", "delete", name)).code == 0
    assert (await nats3("load", "list", "-o", "name")).out == ""


async def test_an_order_that_does_not_fit_names_its_field(nats3: Program) -> None:
    order = ("--stream", "jobs", "--subject", "subject-1", "--bucket", "bucket-1", "--max-count", "0")
    refused = await nats3("store", "create", *order)
    assert (refused.code, refused.out) == (2, "")
    assert refused.err.startswith("nats3: batch.max_count: ")


async def test_what_is_archived_is_seen_from_the_command_line(nats3: Program, api: Api) -> None:
    path, _ = await archived(api)
    chunk = path.rpartition("/")[2]
    assert (await nats3("chunks", "ls", "-o", "name")).out == f"{chunk}\n"
    assert json.loads((await nats3("chunks", "get", chunk, "-o", "json")).out)["stream"] == "ORDERS"
    assert (await nats3("chunks", "verify", chunk)).code == 0
    assert (await nats3("chunks", "cat", chunk, "--subject", "a.*", "-o", "name")).out == "1\n2\n5\n6\n"
    assert (await nats3("chunks", "cat", chunk, "--seq", "2", "--raw")).out == "two"
    del api.objects.buckets["archive"]["k"]
    missing = await nats3("chunks", "verify", chunk, "-o", "jsonl")
    assert (missing.code, json.loads(missing.out)["verdict"]) == (1, "missing")
    assert (await nats3("chunks", "cat", chunk)).code == 4
    assert (await nats3("streams", "ls", "-o", "name")).out == "ORDERS\njobs\n"
    assert json.loads((await nats3("streams", "get", "jobs", "-o", "json")).out)["archived"] is None


async def test_a_load_is_planned_watched_and_begun_again(nats3: Program, api: Api) -> None:
    await archived(api)
    order = {"kind": "load", "name": "again", "bucket": "archive", "read_stream": "ORDERS"}
    job = (await api.client.post("/api/v2/jobs", json=order)).json()["id"]
    plan = await nats3("load", "plan", "again", "-o", "jsonl")
    assert (json.loads(plan.out)["messages"], plan.err) == (
        5, "5 messages in 1 chunks at most: would be planned now\n",
    )  # fmt: skip
    await api.run(job, RunActivated(1, "node-a"), ChunkSkipped("k", 1, 1, 1, "corrupt"), LoadCompleted(4, 1))
    watched = await nats3("load", "watch", "again")
    assert (watched.code, watched.out.split(",")[0]) == (7, "again: completed_with_gaps")
    assert (await nats3("load", "logs", "again", "-o", "name")).out.count("\n") == 4
    begun = await nats3("load", "retry", "again", "--restart")
    assert (begun.code, begun.err) == (0, "load job again begins run 2\n")
    late = await nats3("load", "retry", "again", "--wait", "--timeout", "1ms")
    assert late.code == 4, "it has not ended"
