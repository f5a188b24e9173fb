"""Work on the views, and the hash chain, from outside."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from nats3.job.running import RunActivated
from nats3.views.chunks import ChunksView
from tests.api.conftest import Api
from tests.views.samples import flushed, opened

STORE = {"kind": "store", "name": "orders", "stream": "jobs", "bucket": "bucket-1"}


async def made(api: Api) -> str:
    answer = await api.client.post("/api/v2/jobs", json=STORE)
    assert answer.status_code == 201
    return answer.json()["id"]


NEXT = ChunksView().version + 1
"""What a rebuild makes of the tables of a fresh log."""


async def ended(api: Api, path: str) -> dict[str, Any]:
    async with asyncio.timeout(10):
        while (body := (await api.client.get(path)).json())["ended_at"] is None:
            pass
    return body


async def test_a_rebuild_is_a_resource_of_its_own(api: Api) -> None:
    job = await made(api)
    await api.run(job, RunActivated(1, "node-a"), opened(), flushed(1, 10))
    asked = await api.client.post("/api/v2/projections/chunks/rebuild")
    assert asked.status_code == 202
    path = asked.headers["location"]
    assert path == f"/api/v2/projections/chunks/operations/{asked.json()['id']}"
    done = await ended(api, path)
    assert (done["kind"], done["state"], done["version"], done["actor"]) == ("rebuild", "done", NEXT, "anonymous")
    assert (await api.client.get("/api/v2/projections/chunks")).json()["version"] == NEXT
    assert len((await api.client.get(f"/api/v2/jobs/{job}/chunks")).json()["items"]) == 1
    verified = await ended(api, (await api.client.post("/api/v2/projections/chunks/verify")).headers["location"])
    assert (verified["state"], verified["differ"]) == ("done", [])
    listed = (await api.client.get("/api/v2/projections/chunks/operations")).json()["items"]
    assert [each["kind"] for each in listed] == ["verify", "rebuild"]
    back = await api.client.post("/api/v2/projections/chunks/return")
    assert (back.status_code, back.json()) == (200, {"name": "chunks", "version": ChunksView().version})
    said = (await api.client.get("/api/v2/events?category=projection")).json()["items"]
    assert {event["actor"] for event in said} == {"anonymous"}


async def test_a_table_that_was_changed_by_hand_differs(api: Api, postgres_url: str) -> None:
    job = await made(api)
    await api.run(job, opened(), flushed(1, 10))
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as connection:
        await connection.execute(f"UPDATE chunks__v{ChunksView().version} SET count = 9")
    verified = await ended(api, (await api.client.post("/api/v2/projections/chunks/verify")).headers["location"])
    assert verified["differ"] == ["chunks"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("POST", "/api/v2/projections/none/rebuild", 404, "projection_not_found"),
        ("POST", "/api/v2/projections/none/verify", 404, "projection_not_found"),
        ("POST", "/api/v2/projections/none/cancel", 404, "projection_not_found"),
        ("POST", "/api/v2/projections/none/return", 404, "projection_not_found"),
        ("GET", "/api/v2/projections/none/operations", 404, "projection_not_found"),
        ("GET", "/api/v2/projections/jobs/operations/1", 404, "not_found"),
        ("GET", "/api/v2/projections/jobs/operations/x", 400, "bad_parameter"),
        ("POST", "/api/v2/projections/jobs/cancel", 409, "nothing_under_way"),
        ("POST", "/api/v2/projections/jobs/return", 409, "nothing_before"),
        ("POST", "/api/v2/projections/jobs/rebuild?now=1", 422, "bad_query"),
        ("GET", "/api/v2/projections/jobs/operations?limit=0", 422, "bad_query"),
        ("GET", "/api/v2/events/verify?deep=1", 422, "bad_query"),
        ("PUT", "/api/v2/projections/jobs/rebuild", 405, "method_not_allowed"),
    ],
)
async def test_what_cannot_be_done_is_a_problem(api: Api, method: str, path: str, status: int, code: str) -> None:
    answer = await api.client.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_the_hash_chain_is_walked_and_what_does_not_fit_is_named(api: Api, postgres_url: str) -> None:
    jobs = [await made(api) for _ in range(3)]
    lines = [json.loads(line) for line in (await api.client.get("/api/v2/events/verify")).text.splitlines()]
    assert lines[:2] == [{"position": 2, "head": 3}, {"position": 3, "head": 3}]
    assert lines[-1] == {"verdict": "whole", "events": 3, "up_to": 3, "broken": None}
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as connection:
        await connection.execute("SET session_replication_role = replica")  # what a superuser can do
        await connection.execute("UPDATE es.event SET data = '{}' WHERE position = 2")
    lines = [json.loads(line) for line in (await api.client.get("/api/v2/events/verify")).text.splitlines()]
    assert lines[-1]["broken"]["position"] == 2
    assert lines[-1]["broken"]["entity_id"] == f"job/{jobs[1]}"
    assert (lines[-1]["verdict"], api.services.walks.taken) == ("broken", 0)


async def test_the_chain_is_walked_once_at_a_time(api: Api) -> None:
    assert api.services.walks.take()
    answer = await api.client.get("/api/v2/events/verify")
    assert (answer.status_code, answer.json()["code"]) == (429, "walk_under_way")


async def test_a_history_ends_where_it_is_asked_as_of(api: Api) -> None:
    job = await made(api)
    await api.run(job, RunActivated(1, "node-a"), opened())
    await api.client.post(f"/api/v2/jobs/{job}/pause")

    async def types(as_of: str | int) -> list[str]:
        answer = await api.client.get(f"/api/v2/jobs/{job}/events", params={"as_of": as_of})
        assert "link" not in answer.headers
        return [event["type"] for event in answer.json()["items"]]

    assert await types(1) == ["job_created"]
    assert await types(2) == ["job_created", "run_activated"]
    assert await types(4) == ["job_created", "run_activated", "life_opened", "job_paused"]
    first = (await api.client.get("/api/v2/events/1")).json()["recorded_at"]
    assert await types(first) == ["job_created"]
    assert await types("2020-01-01T00:00:00Z") == []
    beyond = await api.client.get(f"/api/v2/jobs/{job}/events?as_of=99")
    assert (beyond.status_code, beyond.json()["errors"][0]["field"]) == (422, "as_of")
    assert (await api.client.get(f"/api/v2/jobs/{UUID(int=uuid4().int)}/events?as_of=1")).status_code == 404
