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
from tests.api.conftest import Api, api
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
