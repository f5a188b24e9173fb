"""Postgres is lost with everything in it, the bucket is not: the index is made anew and loads give what they gave."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psycopg
import pytest

from nats3.dev import sigv4
from nats3.dev.nats3_server import Nats3Server, environment
from nats3.dev.natswire import Said, Wire
from nats3.dev.postgres_server import PostgresServer
from nats3.dev.s3_server import S3Access
from tests.docs.pages import elsewhere

pytestmark = pytest.mark.timeout(90)


@dataclass
class Place:
    """One bucket, and one nats3 after the other on it."""

    nats_url: str
    s3: S3Access
    directory: Path
    postgres: PostgresServer

    def nats3(self, database: str) -> Nats3Server:
        with psycopg.connect(self.postgres.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {database}".encode())
        settings = environment("", self.nats_url, self.postgres.url_of(database), self.s3)
        return elsewhere(Nats3Server(self.directory / database, settings))


@pytest.fixture
def place(nats_url, s3, fresh_postgres, server_directory) -> Place:
    return Place(nats_url, s3, server_directory, fresh_postgres)


async def until(holds: Callable[[], Awaitable[bool]], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not await holds():  # noqa: ASYNC110 - what is waited for is the state of other processes
            await asyncio.sleep(0.05)


async def cli(server: Nats3Server, *words: str) -> tuple[int, dict, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "nats3", "--server", server.url, "-o", "json", *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode or 0, json.loads(out or b"{}"), err.decode()


async def publish(wire: Wire, subject: bytes, count: int) -> None:
    async for _ in wire.publish([Said(subject, None, b"%b %d" % (subject, n)) for n in range(count)]):
        pass


async def store(client, **order) -> str:
    body = {"kind": "store", "limits": {"max_count": 10, "max_age": "500ms", "max_bytes": 100_000}, **order}
    answer = await client.post("/api/v2/jobs", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


async def stored(client, job: str, count: int) -> None:
    async def holds() -> bool:
        return (await client.get(f"/api/v2/jobs/{job}")).json()["progress"]["messages"] >= count

    await until(holds)


async def loaded(client, wire: Wire, target: str, **order) -> list[bytes]:
    await wire.api(f"STREAM.CREATE.{target}", {"name": target, "subjects": [f"{target}.x"]})
    job = (await client.post("/api/v2/jobs", json={"kind": "load", "write_subject": f"{target}.x", **order})).json()[
        "id"
    ]

    async def completed() -> bool:
        return (await client.get(f"/api/v2/jobs/{job}")).json()["state"] == "completed"

    await until(completed)
    state = (await wire.api(f"STREAM.INFO.{target}", {}))["state"]
    found = []
    for seq in range(1, state["last_seq"] + 1):
        message = (await wire.api(f"STREAM.MSG.GET.{target}", {"seq": seq}))["message"]
        found.append(message["data"])
    await wire.api(f"STREAM.DELETE.{target}", {})
    return found


def shown(chunks: list[dict]) -> list[tuple]:
    """All that the index says of chunks, but where their events stand in the log and why they were sealed."""
    ours = {"id", "position", "recorded_at", "sealed_by", "adopted_from"}
    return sorted(tuple((name, str(chunk[name])) for name in sorted(set(chunk) - ours)) for chunk in chunks)


async def test_the_index_is_made_anew_from_the_bucket_alone(place: Place) -> None:
    bucket, name = place.s3.bucket, f"G{place.s3.bucket[5:15]}"
    async with await Wire.open(place.nats_url) as wire:
        one, two = f"{name}A", f"{name}B"
        orders = {"first": {"stream": one}, "second": {"stream": one, "prefix": "cold/ü"}, "third": {"stream": two}}
        loads = {
            f"{name}T{n}": {"bucket": bucket, "read_stream": stream, **more}
            for n, (stream, more) in enumerate([(one, {}), (one, {"prefix": "cold/ü"}), (two, {})])
        }
        for stream in (one, two):
            await wire.api(f"STREAM.CREATE.{stream}", {"name": stream, "subjects": [f"{stream}.>"]})
        for key in ("stray.txt", "old/2024-01-01/x.bin", "old/y.json", "n3v1/nonsense.n3c"):
            assert await sigv4.request(place.s3, "PUT", f"/{bucket}/{key}") == 200
        async with place.nats3("before") as server, httpx2.AsyncClient(base_url=server.url, timeout=10) as client:
            jobs = {n: await store(client, bucket=bucket, name=n, **order) for n, order in orders.items()}
            await publish(wire, f"{one}.a".encode(), 95)
            await publish(wire, f"{two}.b".encode(), 40)
            for each, count in (("first", 95), ("second", 95), ("third", 40)):
                await stored(client, jobs[each], count)
            await wire.api(f"STREAM.DELETE.{two}", {})
            await wire.api(f"STREAM.CREATE.{two}", {"name": two, "subjects": [f"{two}.>"]})
            await publish(wire, f"{two}.again".encode(), 25)
            await stored(client, jobs["third"], 65)
            emptied = {"bucket": bucket, "read_stream": one, "prefix": "cold/ü", "from_seq": 31, "to_seq": 50}
            await loaded(client, wire, f"{name}D", delete_chunks=True, **emptied)
            before = {target: await loaded(client, wire, target, **order) for target, order in loads.items()}
            chunks = (await client.get("/api/v2/chunks?limit=1000")).json()["items"]
            code, report, said = await cli(server, "archive", "verify", "--deep")
            assert (code, report["state"], report["clean"], report["findings"]) == (0, "done", True, []), said
        async with place.nats3("after") as server, httpx2.AsyncClient(base_url=server.url, timeout=10) as client:
            assert (await client.get("/api/v2/chunks")).json()["items"] == []
            code, report, said = await cli(server, "archive", "rebuild-index", "--bucket", bucket)
            assert (code, report["state"], report["counts"]["recorded"]) == (0, "done", len(chunks)), said
            assert report["counts"]["original"] == 2
            assert {finding["kind"] for finding in report["findings"]} <= {"hole"}
            again = (await client.get("/api/v2/chunks?limit=1000")).json()["items"]
            assert shown(again) == shown(chunks)
            assert {target: await loaded(client, wire, target, **order) for target, order in loads.items()} == before
            code, report, said = await cli(server, "archive", "rebuild-index", "--bucket", bucket)
            assert (code, report["counts"].get("recorded"), report["counts"]["passed over"]) == (
                0,
                None,
                len(chunks),
            ), said
            code, report, said = await cli(server, "archive", "verify", "--deep", "--bucket", bucket)
            assert (code, report["findings"]) == (0, []), said
            key = next(chunk["key"] for chunk in chunks if chunk["key"].startswith(f"n3v1/{one}/"))
            assert await sigv4.request(place.s3, "DELETE", f"/{bucket}/{key}") == 204
            code, report, said = await cli(server, "archive", "verify")
            assert (code, [(f["kind"], f["key"]) for f in report["findings"]]) == (1, [("missing", key)]), said
        for stream in (one, two):
            await wire.api(f"STREAM.DELETE.{stream}", {})
