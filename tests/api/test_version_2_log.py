"""The log, the archive and the state of nats3 itself, from outside."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import Any
from uuid import uuid4

import httpx2
import pytest
import uvicorn

from nats3.api.app import build
from nats3.job.gaps import PossibleGap
from nats3.job.running import RunActivated
from nats3.job.storing import GapObserved
from tests.api.conftest import Api
from tests.views.samples import flushed, opened

STORE = {"kind": "store", "name": "orders", "stream": "jobs", "bucket": "bucket-1"}


async def made(api: Api, **headers: str) -> str:
    answer = await api.client.post("/api/v2/jobs", json=STORE, headers=headers)
    assert answer.status_code == 201
    return answer.json()["id"]


async def items(api: Api, path: str) -> list[dict[str, Any]]:
    """All items, page after page as they are linked."""
    found: list[dict[str, Any]] = []
    while path:
        answer = await api.client.get(path)
        assert answer.status_code == 200, answer.text
        found += answer.json()["items"]
        link = re.fullmatch(r'<(.+)>; rel="next"', answer.headers.get("link", ""))
        path = link[1] if link else ""
    return found


async def test_an_event_says_who_did_what_under_which_request(api: Api) -> None:
    request_id = str(uuid4())
    job = await made(api, **{"X-Request-Id": request_id})
    (event,) = await items(api, f"/api/v2/events?correlation={request_id}")
    assert list(event) == [
        "position", "entity_id", "version", "type", "schema_version", "event_id", "recorded_at", "node", "actor",
        "correlation_id", "causation_position", "data",
    ]  # fmt: skip
    assert (event["entity_id"], event["type"], event["actor"]) == (f"job/{job}", "job_created", "anonymous")
    assert event["data"]["order"]["stream"] == "jobs"
    alone = await api.client.get(f"/api/v2/events/{event['position']}")
    assert alone.json() == event


async def test_every_filter_of_the_audit_is_there_in_both_directions(api: Api) -> None:
    job = await made(api)
    await api.run(job, RunActivated(1, "node-a"), opened(), flushed(1, 10))
    await api.client.post(f"/api/v2/jobs/{job}/pause")

    async def types(query: str) -> list[str]:
        return [event["type"] for event in await items(api, f"/api/v2/events?{query}")]

    everything = ["job_created", "run_activated", "life_opened", "chunk_flushed", "job_paused"]
    assert await types("") == everything
    assert await types("limit=2") == everything
    assert await types("order=desc&limit=2") == everything[::-1]
    assert await types("before=3") == ["run_activated", "job_created"]
    assert await types(f"entity=run/{job}") == everything[1:4]
    assert await types("category=job&actor=anonymous") == ["job_created", "job_paused"]
    assert await types("type=job_paused,chunk_flushed") == ["chunk_flushed", "job_paused"]
    assert await types("type=job_paused&type=life_opened") == ["life_opened", "job_paused"]
    assert await types("since=2020-01-01T00:00:00Z&until=2100-01-01T00:00:00%2B01:00&after=3") == everything[3:]
    assert await types("until=2020-01-01T00:00:00Z") == []
    assert await types(f"node={uuid4()}") == []


async def test_the_history_of_a_job_joins_what_was_ordered_and_what_happened(api: Api) -> None:
    job, other = await made(api), await made(api)
    await api.run(job, RunActivated(1, "node-a"))
    await api.run(other, RunActivated(1, "node-b"))
    await api.client.post(f"/api/v2/jobs/{job}/pause")
    await api.run(job, opened(), flushed(1, 5))
    for limit in (1, 2, 100):
        history = await items(api, f"/api/v2/jobs/{job}/events?limit={limit}")
        assert [event["type"] for event in history] == [
            "job_created", "run_activated", "job_paused", "life_opened", "chunk_flushed",
        ]  # fmt: skip
    assert (await api.client.get(f"/api/v2/jobs/{uuid4()}/events")).status_code == 404


async def test_the_whole_log_is_exported_one_event_a_line(api: Api) -> None:
    for _ in range(3):
        await made(api)
    answer = await api.client.get("/api/v2/events?format=ndjson&after=1")
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(line)["position"] for line in answer.text.splitlines()] == [2, 3]


async def test_an_entity_is_shown_as_it_was_at_a_position_or_a_time(api: Api) -> None:
    job = await made(api)
    await api.client.post(f"/api/v2/jobs/{job}/pause")
    now = (await api.client.get(f"/api/v2/entities/job/{job}")).json()
    assert (now["version"], now["position"], now["state"]["wanted"]) == (2, 2, "paused")
    before = (await api.client.get(f"/api/v2/entities/job/{job}?as_of=1")).json()
    assert (before["version"], before["state"]["wanted"]) == (1, "active")
    at = (await api.client.get(f"/api/v2/entities/job/{job}", params={"as_of": before["recorded_at"]})).json()
    assert at == before
    unborn = await api.client.get(f"/api/v2/entities/job/{job}?as_of=2020-01-01T00:00:00Z")
    assert (unborn.status_code, unborn.json()["code"]) == (404, "not_found")
    await api.run(job, opened(), flushed(1, 10))
    run = (await api.client.get(f"/api/v2/entities/run/{job}")).json()
    assert (run["state"]["cursor"], run["state"]["last_chunk"]["last"]) == (10, 10)
    assert (await api.client.get(f"/api/v2/entities/job/{uuid4()}")).status_code == 404


async def test_chunks_can_be_listed_and_their_list_filtered(api: Api) -> None:
    job, other = await made(api), await made(api)
    await api.run(job, opened(), *(flushed(n * 10 + 1, n * 10 + 10) for n in range(5)))
    await api.run(other, opened(), flushed(1, 7, bucket="bucket-2", life="life-9"))
    chunks = await items(api, f"/api/v2/jobs/{job}/chunks?limit=2")
    assert [(chunk["first"], chunk["last"]) for chunk in chunks] == [(1, 10), (11, 20), (21, 30), (31, 40), (41, 50)]
    assert len(await items(api, "/api/v2/chunks?stream=ORDERS")) == 6
    (chunk,) = await items(api, "/api/v2/chunks?bucket=bucket-2")
    assert (chunk["job_id"], chunk["deletion"], chunk["gaps"]) == (other, None, [])
    assert chunk["first_time"].endswith("Z")
    assert (await api.client.get(f"/api/v2/chunks/{chunk['id']}")).json() == chunk
    assert await items(api, "/api/v2/chunks?deleted=true") == []
    for path in ("/api/v2/chunks/1", f"/api/v2/jobs/{uuid4()}/chunks"):
        assert (await api.client.get(path)).status_code == 404


async def test_coverage_tells_lives_ranges_and_gaps(api: Api) -> None:
    job = await made(api)
    await api.run(
        job,
        opened(),
        flushed(1, 10),
        GapObserved("life-1", 11, 15, "expired"),
        flushed(16, 20),
        PossibleGap("life-1", 21, 24),
    )
    body = (await api.client.get(f"/api/v2/jobs/{job}/coverage")).json()
    assert [(life["life"], life["ordinal"], life["reason"]) for life in body["lives"]] == [("life-1", 1, "first")]
    assert [(run["first"], run["last"], run["messages"]) for run in body["archived"]] == [(1, 10, 10), (16, 20, 5)]
    assert [(gap["first"], gap["last"], gap["reason"]) for gap in body["gaps"]] == [
        (11, 15, "expired"),
        (21, 24, "possible"),
    ]


async def test_projections_and_nodes_tell_where_they_stand(api: Api) -> None:
    await made(api)
    rows = await items(api, "/api/v2/projections")
    assert [(row["name"], row["status"], row["active"]) for row in rows] == [
        ("chunks", "running", True), ("coverage", "running", True), ("jobs", "running", True),
        ("leftovers", "running", True),
    ]  # fmt: skip
    assert (await api.client.get("/api/v2/projections/jobs")).json()["lag"] in (0, 1)
    unknown = await api.client.get("/api/v2/projections/none")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "projection_not_found")
    assert await items(api, "/api/v2/nodes") == []


async def test_an_operator_passes_over_the_event_at_which_a_projection_stopped(api: Api) -> None:
    job = await made(api)
    await api.run(job, opened(), flushed(1, 10))
    head = await api.say(job, flushed(1, 11))
    stopped = await until_stalled(api)
    assert stopped["error"]["position"] == head
    order = {"position": head, "reason": "written twice by a test"}
    answer = await api.client.post("/api/v2/projections/chunks/skip", json=order)
    assert (answer.status_code, answer.json()["skipped"]) == (202, head)
    assert await api.services.projections.wait_for("chunks", answer.json()["position"], 5)
    (event,) = await items(api, "/api/v2/events?category=projection")
    assert (event["actor"], event["data"]["reason"]) == ("anonymous", "written twice by a test")


@pytest.mark.parametrize(
    ("order", "status", "code", "fields"),
    [
        ({"position": 3, "reason": ""}, 422, "invalid", ["reason"]),
        ({"position": 3, "reason": "  "}, 422, "invalid", ["reason"]),
        ({"position": 3}, 422, "misshapen", ["reason"]),
        ({"position": "3", "reason": "why"}, 422, "misshapen", ["position"]),
        ({"position": -1, "reason": "why"}, 409, "not_poison", ["position"]),
        ({"position": 99, "reason": "why"}, 422, "bad_query", ["position"]),
        ({"position": 2, "reason": "why"}, 409, "not_poison", ["position"]),
        ({"position": 0, "reason": "why"}, 409, "not_poison", ["position"]),
    ],
)
async def test_only_the_event_at_which_it_stopped_is_passed_over_and_for_a_reason(
    api: Api, order: dict[str, Any], status: int, code: str, fields: list[str]
) -> None:
    job = await made(api)
    assert await api.run(job, flushed(1, 10)) == 2
    unharmed = await api.client.post("/api/v2/projections/jobs/skip", json={"position": 2, "reason": "why"})
    assert (unharmed.status_code, unharmed.json()["code"]) == (409, "not_poison")
    assert await api.say(job, flushed(1, 11)) == 3
    await until_stalled(api)
    refused = await api.client.post("/api/v2/projections/chunks/skip", json=order)
    assert (refused.status_code, refused.json()["code"]) == (status, code), refused.text
    assert [fault["field"] for fault in refused.json()["errors"]] == fields
    assert await items(api, "/api/v2/events?category=projection") == []


async def until_stalled(api: Api) -> dict[str, Any]:
    async with asyncio.timeout(5):
        while True:
            row = (await api.client.get("/api/v2/projections/chunks")).json()
            if row["status"] == "stalled":
                return row


@asynccontextmanager
async def served(api: Api) -> AsyncIterator[httpx2.AsyncClient]:
    """The application on a real port: only there does an answer come in pieces."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(build(api.services), log_config=None, lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with closing(listener):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(server.serve(sockets=[listener]))
            try:
                async with httpx2.AsyncClient(base_url=url) as client:
                    yield client
            finally:
                server.should_exit = True


async def read_events(lines: AsyncIterator[str], count: int) -> list[tuple[int, str]]:
    """Position and type of the next `count` events of a stream."""
    found, position = [], 0
    async for line in lines:
        if line.startswith("id: "):
            position = int(line[4:])
        elif line.startswith("data: "):
            found.append((position, json.loads(line[6:])["type"]))
            if len(found) == count:
                break
    return found


async def test_a_follower_goes_on_behind_the_last_event_that_it_saw(api: Api) -> None:
    await made(api)
    async with served(api) as client:
        async with client.stream("GET", "/api/v2/events?follow=true&after=0") as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            lines = answer.aiter_lines()
            assert await read_events(lines, 1) == [(1, "job_created")]
            job = await made(api)
            assert await read_events(lines, 1) == [(2, "job_created")]
        await api.client.post(f"/api/v2/jobs/{job}/pause")
        async with client.stream("GET", "/api/v2/events?follow=true", headers={"Last-Event-ID": "1"}) as answer:
            assert await read_events(answer.aiter_lines(), 2) == [(2, "job_created"), (3, "job_paused")]
        async with client.stream("GET", "/api/v2/events?follow=true&type=job_resumed") as answer:
            lines = answer.aiter_lines()
            assert [await anext(lines) for _ in range(3)] == [": here", "id: 3", ""]
            await made(api)
            await api.client.post(f"/api/v2/jobs/{job}/resume")
            assert await read_events(lines, 1) == [(5, "job_resumed")]
        async with asyncio.timeout(5):
            while api.services.streams.taken:
                assert (await client.get("/ping")).status_code == 200


@pytest.mark.slow
@pytest.mark.timeout(60)
async def test_fifty_followers_miss_nothing_of_a_thousand_events(api: Api) -> None:
    """Each page of events is written out once, however many follow."""
    job = await made(api)
    async with served(api) as client, asyncio.TaskGroup() as tasks:
        client.timeout = httpx2.Timeout(30)
        began = [asyncio.Event() for _ in range(50)]

        async def follow(ready: asyncio.Event) -> list[int]:
            async with client.stream("GET", "/api/v2/events?follow=true&after=1") as answer:
                ready.set()
                return [int(line[4:]) async for line in _until(answer.aiter_lines(), 1001)]

        following = [tasks.create_task(follow(each)) for each in began]
        for each in began:
            await each.wait()
        for _ in range(20):
            await api.say(job, *(RunActivated(1, "node-a") for _ in range(50)))
    for task in following:
        assert [position for position in task.result() if position > 1] == list(range(2, 1002))


async def _until(lines: AsyncIterator[str], last: int) -> AsyncIterator[str]:
    """The lines with ids, up to this position."""
    async for line in lines:
        if line.startswith("id: "):
            yield line
            if int(line[4:]) >= last:
                return


async def test_followers_are_bounded_and_a_head_request_takes_no_place(api: Api) -> None:
    head = await api.client.head("/api/v2/events?follow=true")
    assert (head.status_code, api.services.streams.taken) == (200, 0)
    api.services.streams.limit = 0
    answer = await api.client.get("/api/v2/events?follow=true")
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_streams")


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/api/v2/events?after=99", "after"),
        ("/api/v2/events?after=x", "after"),
        ("/api/v2/events?limit=0", "limit"),
        ("/api/v2/events?order=up", "order"),
        ("/api/v2/events?format=xml", "format"),
        ("/api/v2/events?follow=maybe", "follow"),
        ("/api/v2/events?follow=true&after=99", "after"),
        ("/api/v2/events?node=x", "node"),
        ("/api/v2/events?since=yesterday", "since"),
        ("/api/v2/events?since=9999-12-31T23:59:59-23:59", "since"),
        ("/api/v2/events?type=%00", "type"),
        ("/api/v2/events?entity=a%00", "entity"),
        ("/api/v2/events?unknown=1", "unknown"),
        ("/api/v2/chunks?deleted=perhaps", "deleted"),
        ("/api/v2/entities/job/00000000-0000-4000-8000-000000000000?as_of=99", "as_of"),
    ],
)
async def test_what_does_not_fit_is_named(api: Api, path: str, field: str) -> None:
    answer = await api.client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert answer.json()["errors"][0]["field"] == field
    assert answer.json()["errors"][0]["remedy"]


async def test_a_last_event_id_that_is_none_is_named(api: Api) -> None:
    for value in ("x", "99", "-1"):
        answer = await api.client.get("/api/v2/events?follow=true", headers={"Last-Event-ID": value})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "Last-Event-ID")
