"""Requests under one Idempotency-Key: done once, whoever repeats them, wherever the first one ended."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import httpx2
import psycopg
import pytest

from eventstore import Append, Appended
from nats3.api.app import build
from nats3.api.routes import ROUTES
from nats3.api.spec import IDEMPOTENCY
from nats3.errors import Unavailable
from tests.api.conftest import Api, running

STORE = {"kind": "store", "name": "orders", "stream": "jobs", "bucket": "bucket-1"}
KEY = {"Idempotency-Key": "once"}


async def types(api: Api) -> list[str]:
    return [event.type for event in await api.store.read_log(0, 100)]  # type: ignore[arg-type]


class Dying:
    """A writer that records, and is gone before it can say so; the first time."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.died = False

    async def append(self, append: Append) -> Appended:
        done = await self._api.batcher.append(append)
        if not self.died:
            self.died = True
            raise Unavailable("postgres", "nobody knows whether it was recorded")
        return done


@pytest.mark.parametrize("step", ["", "/pause"])
async def test_what_was_recorded_before_the_answer_was_lost_is_not_recorded_again(api: Api, step: str) -> None:
    path, body = "/api/v2/jobs", STORE
    if step:
        job = (await api.client.post(path, json=STORE)).json()["id"]
        path, body = f"{path}/{job}{step}", {}
    before = len(await types(api))
    app = build(replace(api.services, writer=Dying(api)))
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        lost = await client.post(path, json=body or None, headers=KEY)
        assert lost.status_code == 503
        again = await client.post(path, json=body or None, headers=KEY)
        assert again.status_code == (200 if step else 201), again.text
    assert len(await types(api)) == before + 1


async def test_the_same_request_twice_at_a_time_is_done_once_and_the_other_is_told_to_wait(api: Api) -> None:
    inside, go_on = asyncio.Event(), asyncio.Event()

    class Slow:
        async def append(self, append: Append) -> Appended:
            inside.set()
            await go_on.wait()
            return await api.batcher.append(append)

    transport = httpx2.ASGITransport(build(replace(api.services, writer=Slow())), raise_app_exceptions=False)
    async with (
        httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client,
        asyncio.TaskGroup() as tasks,
    ):
        first = tasks.create_task(client.post("/api/v2/jobs", json=STORE, headers=KEY))
        await inside.wait()
        second = await api.client.post("/api/v2/jobs", json=STORE, headers=KEY)
        assert (second.status_code, second.json()["code"]) == (409, "under_way")
        go_on.set()
    third = await api.client.post("/api/v2/jobs", json=STORE, headers=KEY)
    assert (first.result().status_code, third.json()) == (201, first.result().json())
    assert await types(api) == ["job_created"]


async def test_another_node_and_a_later_life_know_what_was_answered(api: Api, postgres_url: str) -> None:
    made = await api.client.post("/api/v2/jobs", json=STORE, headers=KEY)
    async with running(postgres_url) as other:
        again = await other.client.post("/api/v2/jobs", json=STORE, headers=KEY)
        assert (again.status_code, again.json()) == (201, made.json())
    assert await types(api) == ["job_created"]


async def test_a_key_is_free_again_after_a_refusal_and_after_a_day(api: Api, postgres_url: str) -> None:
    refused = await api.client.post("/api/v2/jobs", json={**STORE, "level": 99}, headers=KEY)
    assert refused.status_code == 422
    first = await api.client.post("/api/v2/jobs", json=STORE, headers=KEY)
    assert first.status_code == 201, "corrected"
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as connection:
        await connection.execute("UPDATE once__v1 SET began = began - '25h'::interval")
    later = await api.client.post("/api/v2/jobs", json={**STORE, "name": "else"}, headers=KEY)
    assert (later.status_code, later.json()["name"]) == (201, "else")
    assert later.json()["id"] != first.json()["id"]


async def test_a_turn_that_nobody_ended_is_taken_over_after_a_while(api: Api, postgres_url: str) -> None:
    begun: Any = await api.services.once.begin("me", "k", "asked")
    assert await api.services.once.begin("me", "k", "asked") != begun
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as connection:
        await connection.execute("UPDATE once__v1 SET began = began - '31s'::interval")
    assert (await api.services.once.begin("me", "k", "asked")) == begun, "under the same id"


async def test_a_key_belongs_to_method_path_query_and_body(api: Api) -> None:
    job = (await api.client.post("/api/v2/jobs", json=STORE)).json()["id"]
    assert (await api.client.post(f"/api/v2/jobs/{job}/pause", headers=KEY)).status_code == 200
    assert (await api.client.post(f"/api/v2/jobs/{job}/pause", headers=KEY)).status_code == 200, "the first answer"
    assert (await api.client.post(f"/api/v2/jobs/{job}/pause")).status_code == 409
    other = await api.client.post(f"/api/v2/jobs/{job}/resume", headers=KEY)
    assert (other.status_code, other.json()["errors"][0]["field"]) == (422, "Idempotency-Key")


@pytest.mark.parametrize("key", ["", "x" * 256, "\t"])
async def test_a_key_that_is_none_is_named(api: Api, key: str) -> None:
    answer = await api.client.post("/api/v2/jobs", json=STORE, headers={"Idempotency-Key": key})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "Idempotency-Key")


async def test_a_route_that_takes_no_key_says_so(api: Api) -> None:
    answer = await api.client.post("/api/v2/projections/jobs/skip", headers=KEY, json={"position": 1, "reason": "x"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "Idempotency-Key")
    takes = {e.path for e in ROUTES if IDEMPOTENCY in e.says.headers}
    assert {"/api/v2/jobs", "/api/v2/jobs/{id}/pause", "/api/v2/jobs/{id}/retry"} <= takes
    assert not {path for path in takes if "token" in path or "session" in path}, "a secret is told once"
