"""Postgres is killed, or frozen: every route says so, or tells what needs no Postgres. None says that there is nothing, or less."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from eventstore import migrate
from nats3.api.app import build
from nats3.api.routes import ROUTES, Entry
from nats3.dev.postgres_server import PostgresServer
from nats3.work.outside import Outside
from tests.api.conftest import Api, running
from tests.api.test_tokens import bearer, token
from tests.api.test_version_2_archive import asked
from tests.api.test_version_2_contents import archived
from tests.views.samples import flushed, opened

ALIVE = {
    "/ping", "/health", "/ready", "/metrics", "/login", "/docs", "/docs/style.css", "/openapi.json", "/api/v2/openapi.json",
    "/api/v1/ping", "/api/v1/health", "/api/v1/ready", "/api/v1/metrics",
}  # fmt: skip
"""What needs nothing of Postgres. Whether it answers is for `/ready` to say, which asks a world that is made up here."""

STORE: dict[str, Any] = {"name": "s", "stream": "jobs", "subject": "a", "bucket": "bucket-1"}
BODIES: dict[str, Any] = {
    "/store/job": STORE,
    "/load/job": {"bucket": "bucket-1", "read_stream": "jobs", "read_subject": "a", "write_subject": "b"},
    "/api/v2/jobs": {"kind": "store", "stream": "jobs", "bucket": "bucket-1"},
    "/api/v2/jobs/{id}": {"name": "other"},
    "/api/v2/jobs/plan": {"kind": "load", "bucket": "bucket-1", "read_stream": "jobs"},
    "/api/v2/tokens": {"name": "t", "role": "admin"},
    "/api/v2/archive/rebuilds": {"bucket": "bucket-1"},
    "/api/v2/archive/verifications": {},
    "/api/v2/projections/{name}/skip": {"position": 1, "reason": "x"},
}


@pytest.fixture(params=[f"{way}, {known}" for way in ("killed", "frozen") for known in ("no tokens", "tokens")])
async def gone(
    request: pytest.FixtureRequest, fresh_postgres: PostgresServer
) -> AsyncIterator[tuple[Api, dict[str, str], dict[str, str]]]:
    """An application that has seen jobs, chunks and surveys, its Postgres dead or frozen; values for paths, and headers."""
    way, _, known = request.param.partition(", ")
    await asyncio.to_thread(migrate.migrate, fresh_postgres.url)
    async with running(fresh_postgres.url) as api:
        path, _ = await archived(api)
        job = (await api.client.post("/store/job", json=STORE)).json()["id"]
        await api.run(job, opened(), flushed(1, 10))
        survey = await asked(api, bucket="bucket-1")
        shown = bearer(await token(api, "admin")) if known == "tokens" else {}
        assert (await api.client.get("/metrics", headers=shown)).status_code == 200
        if way == "killed":
            await fresh_postgres.kill()
        else:
            fresh_postgres.pause()
        there = {"job": job, "chunk": path.rpartition("/")[2], "survey": survey, "token": "0123456789abcdef"}
        yield api, there, shown
        fresh_postgres.resume()


async def ask(api: Api, entry: Entry, there: dict[str, str], headers: dict[str, str]) -> httpx2.Response:
    path = entry.path
    thing = next((name for name in ("survey", "chunk", "token") if f"/{name}s/" in path), "job")
    entity = f"job/{there['job']}" if "/entities/" in path else "1" if "/operations/" in path else there[thing]
    for name, value in {"id:path": entity, "id": entity, "name": "jobs", "position": "1"}.items():
        path = path.replace("{" + name + "}", value)
    command = entry.method in {"POST", "PATCH"}
    body = BODIES.get(entry.path.removeprefix("/api/v1"), {}) if command else None
    query = {"job_id": there["job"]} if "/job" in entry.path and "v2" not in entry.path else None
    return await api.client.request(entry.method, path, params=query, json=body, headers=headers)


async def answers(*_: object) -> bool:
    """NATS and S3, which are well."""
    return True


async def nothing() -> tuple[str, ...]:
    """No view is still to be made."""
    return ()


@pytest.mark.parametrize("known", ["no tokens", "tokens"])
async def test_a_probe_is_answered_within_five_seconds_while_postgres_hangs(
    fresh_postgres: PostgresServer, known: str
) -> None:
    """Admission and check together; and who was let in before is let in to metrics and reasons."""
    await asyncio.to_thread(migrate.migrate, fresh_postgres.url)
    async with running(fresh_postgres.url) as api:
        readiness = Outside(api.store, nothing, {}, answers)
        shown = bearer(await token(api, "admin")) if known == "tokens" else {}
        transport = httpx2.ASGITransport(build(replace(api.services, readiness=readiness)))
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost", headers=shown) as client:
            assert (await client.get("/ready")).status_code == 200
            fresh_postgres.pause()
            for _ in range(2):  # over the connection that hangs, and over none
                async with asyncio.timeout(5):
                    answer = await client.get("/ready")
                assert (answer.status_code, "postgres" in answer.text) == (503, True)
                async with asyncio.timeout(5):
                    assert (await client.get("/metrics")).status_code == 200
                if known == "tokens":
                    async with asyncio.timeout(5):
                        stranger = await client.get("/metrics", headers=bearer("n3_0123456789abcdef_" + "0" * 64))
                    assert (stranger.status_code, stranger.headers["retry-after"]) == (503, "5")
        fresh_postgres.resume()


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_no_route_says_that_there_is_nothing_while_postgres_is_away(
    gone: tuple[Api, dict[str, str], dict[str, str]],
) -> None:
    api, there, headers = gone
    answers: dict[str, httpx2.Response] = {}

    async def one(entry: Entry) -> None:
        answers[f"{entry.method} {entry.path}"] = await ask(api, entry, there, headers)

    entries = [entry for entry in ROUTES if entry.path not in {"/login", "/logout"}]
    async with asyncio.TaskGroup() as tasks:
        for entry in entries:
            tasks.create_task(one(entry))
    told = {name: answer.status_code for name, answer in answers.items()}
    expected = {name: 200 if name.removeprefix("GET ") in ALIVE else 503 for name in told}
    assert told == expected
    for name, answer in answers.items():
        if answer.status_code == 503:
            assert int(answer.headers["retry-after"]) > 0, name
            assert "postgres" in answer.text, name
    assert api.told.crashes == []
