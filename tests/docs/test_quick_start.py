"""The quick start of the README, line by line, on real servers."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from nats3.dev.nats3_server import Nats3Server, environment
from nats3.dev.nats_server import NatsServer
from nats3.dev.natswire import Wire
from nats3.dev.s3_server import S3Access
from tests.docs.pages import elsewhere, page, words

README = page("README.md")


@dataclass
class Place:
    """What `nats3 dev` would have made: a server, a stream ORDERS, a bucket."""

    api: str
    nats_url: str
    bucket: str

    def put(self, text: str) -> str:
        """The text with the addresses and the bucket of this place."""
        return text.replace("http://127.0.0.1:8080", self.api).replace("archive", self.bucket)

    async def run(self, *command: str, stdin: str = "") -> str:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *command,
            env={**os.environ, "NATS_URL": self.nats_url, "NATS3_URL": self.api, "COLUMNS": "200"},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, errors = await process.communicate(stdin.encode())
        assert process.returncode == 0, errors.decode()
        return out.decode()


@pytest.fixture
async def place(
    fresh_nats: NatsServer, postgres_url: str, s3: S3Access, server_directory: Path
) -> AsyncIterator[Place]:
    async with await Wire.open(fresh_nats.url) as wire:
        await wire.api("STREAM.CREATE.ORDERS", {"name": "ORDERS", "subjects": ["orders.>"]})
    settings = environment("", fresh_nats.url, postgres_url, s3)
    async with elsewhere(Nats3Server(server_directory / "nats3", settings)) as server:
        yield Place(server.url, fresh_nats.url, s3.bucket)


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    """Ask the server again until it is so; the test's own time-out bounds it."""
    while not await true():  # noqa: ASYNC110 - the server sends no signal
        await asyncio.sleep(0.02)


def curls() -> list[list[str]]:
    return [words(line)[1:] for line in README.shell_lines() if line.startswith("curl ")]


async def send(place: Place, client: httpx2.AsyncClient, curl: list[str]) -> httpx2.Response:
    """What curl would send. A flag that this does not know fails the test."""
    url, body, headers = "", None, {}
    rest = iter(curl)
    for word in rest:
        match word:
            case "-sS":
                pass
            case "-d":
                body = place.put(next(rest))
            case "-H":
                name, _, value = next(rest).partition(": ")
                headers[name] = value
            case _:
                url = place.put(word)
    return await client.request("GET" if body is None else "POST", url, content=body, headers=headers)


@pytest.mark.timeout(60)
async def test_the_quick_start_does_what_it_says(place: Place) -> None:
    (publish,) = re.findall(r"<<'END'\n(.*?)\nEND$", README.text, re.MULTILINE | re.DOTALL)
    await place.run("-", stdin=publish)
    async with httpx2.AsyncClient(timeout=10) as client:
        store, jobs, load = curls()
        assert (await send(place, client, store)).json()["status"] == "Created"

        async def archived() -> bool:
            return '"messages":1000' in (await send(place, client, jobs)).text

        await until(archived)
        ordered = (await send(place, client, load)).json()

        async def loaded() -> bool:
            job = await client.get(f"{place.api}/load/job", params={"job_id": ordered["id"]})
            return job.json()["status"] == "Success"

        await until(loaded)
    tables = [await place.run("-m", "nats3", *command) for command in commands(place)]
    listed = next(table for table in tables if "│ job-2 │ Running" in table)
    assert header_of(listed) == header_of(README.text)
    assert await held(place) == {"orders.new": 1000, "orders.again": 2000}


def commands(place: Place) -> list[list[str]]:
    lines = [words(place.put(line)) for line in README.shell_lines()]
    return [line[1:] for line in lines if line[0] == "nats3"]


def header_of(text: str) -> list[str]:
    line = next(line for line in text.splitlines() if re.match(r"\s*│ id ", line))
    return [cell.strip() for cell in line.split("│")]


async def held(place: Place) -> dict[str, int]:
    """How many messages the stream holds of each subject."""
    async with await Wire.open(place.nats_url) as wire:
        answer = await wire.api("STREAM.INFO.ORDERS", {"subjects_filter": ">"})
    return json.loads(json.dumps(answer))["state"]["subjects"]
