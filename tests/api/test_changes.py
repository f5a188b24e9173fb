"""Orders that are changed while their jobs go on."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from nats3.job.loading import LoadCompleted
from nats3.job.running import RunActivated, RunBlocked
from nats3.pace import PaceLimits
from tests.api.conftest import Api
from tests.api.test_version_2_log import items

STORE = {"kind": "store", "name": "orders", "stream": "jobs", "bucket": "bucket-1"}
LOAD = {"kind": "load", "name": "again", "read_stream": "jobs", "bucket": "bucket-1", "poll_interval": "5m"}


async def running(api: Api, order: dict[str, Any]) -> str:
    job = (await api.client.post("/api/v2/jobs", json=order)).json()["id"]
    await api.run(job, RunActivated(1, "node-a"))
    return f"/api/v2/jobs/{job}"


async def test_a_store_job_is_changed_in_what_is_named_and_nothing_else(api: Api) -> None:
    path = await running(api, STORE)
    before = (await api.client.get(path)).json()
    answer = await api.client.patch(path, json={"limits": {"max_count": 7, "max_age": "1m"}, "name": "new"})
    after = answer.json()
    assert (answer.status_code, answer.headers["etag"], after["name"]) == (200, '"2"', "new")
    assert after["order"] == {**before["order"], "limits": {"max_bytes": 1_000_000, "max_count": 7, "max_age": "1m"}}
    assert after["warnings"] == []
    listed = (await api.client.get("/api/v2/jobs?name=new")).json()["items"]
    assert [job["order"] for job in listed] == [after["order"]]
    (v1,) = (await api.client.get("/store/jobs")).json()
    assert (v1["name"], v1["batch"]) == ("new", {"max_bytes": 1_000_000, "max_count": 7})
    (runnable,) = await api.services.jobs.runnable()
    assert runnable.order.name == "new", "what the office starts the next activation with"
    entity = (await api.client.get(f"/api/v2/entities/job/{after['id']}")).json()
    assert entity["state"]["order"]["limits"]["max_count"] == 7


async def test_a_load_is_changed_and_its_polling_ended(api: Api) -> None:
    path = await running(api, LOAD)
    await api.run(path.rpartition("/")[2], RunBlocked("chunk_corrupt", "k"))
    answer = await api.client.patch(path, json={"poll_interval": None, "on_bad_chunk": "quarantine"})
    order = answer.json()["order"]
    assert (order["poll_interval"], order["on_bad_chunk"], order["read_stream"]) == (None, "quarantine", "jobs")
    again = await api.client.patch(path, json={"poll_interval": "10s"})
    assert again.json()["order"]["poll_interval"] == "10s"
    for strict in (True, False):
        strictly = await api.client.patch(path, json={"strict_order": strict})
        assert strictly.json()["order"]["strict_order"] is strict
    assert [event["type"] for event in await items(api, "/api/v2/events?category=job")] == [
        "job_created", "job_changed", "job_changed", "job_changed", "job_changed",
    ]  # fmt: skip


async def test_the_pace_of_a_load_is_changed_and_lifted(api: Api) -> None:
    path = await running(api, LOAD)
    slow = {"messages_per_s": 10.0, "bytes_per_s": None, "speed": 1.0, "max_gap": "5s"}
    assert (await api.client.patch(path, json={"pace": slow})).json()["order"]["pace"] == slow
    named = (await api.client.patch(path, json={"name": "slow"})).json()
    assert named["order"]["pace"] == slow, "what is left out stays"
    lifted = (await api.client.patch(path, json={"pace": {}})).json()["order"]["pace"]
    assert set(lifted.values()) == {None}
    (runnable,) = await api.services.jobs.runnable()
    assert runnable.order == replace(runnable.order, pace=PaceLimits()), "what the next activation is started with"


async def test_what_changes_nothing_is_not_recorded(api: Api) -> None:
    path = await running(api, STORE)
    for body in ({}, {"level": "auto"}, {"limits": {}}):
        answer = await api.client.patch(path, json=body)
        assert (answer.status_code, answer.headers["etag"]) == (200, '"1"')


@pytest.mark.parametrize(
    ("order", "change", "field"),
    [
        (STORE, {"bucket": "bucket-2"}, "bucket"),
        (STORE, {"poll_interval": "5m"}, "poll_interval"),
        (STORE, {"limits": {"max_count": 0}}, "limits.max_count"),
        (STORE, {"limits": {"max_age": "soon"}}, "limits.max_age"),
        (STORE, {"level": "3"}, "level"),
        (LOAD, {"read_subject": "a"}, "read_subject"),
        (LOAD, {"poll_interval": "1ms"}, "poll_interval"),
        (LOAD, {"read_headers": {"a": "b"}}, "read_headers"),
        (LOAD, {"limit": 5}, "limit"),
        (LOAD, {"unmatched_subjects": "refuse"}, "unmatched_subjects"),
        (LOAD, {"pace": {"speed": 0}}, "pace.speed"),
        (LOAD, {"pace": {"max_gap": "1s"}}, "pace.max_gap"),
        (LOAD, {"on_bad_chunk": "ignore"}, "on_bad_chunk"),
        (LOAD, {"strict_order": "yes"}, "strict_order"),
        (LOAD, [], "body"),
    ],
)
async def test_what_cannot_be_changed_is_named(api: Api, order: dict[str, Any], change: Any, field: str) -> None:
    path = await running(api, order)
    answer = await api.client.patch(path, json=change)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
    assert answer.json()["errors"][0]["remedy"]
    assert (await api.client.get(path)).headers["etag"] == '"1"'


async def test_only_what_was_seen_is_changed_and_only_where_the_state_takes_it(api: Api) -> None:
    path = await running(api, STORE)
    late = await api.client.patch(path, json={"level": 5}, headers={"If-Match": '"7"'})
    assert (late.status_code, late.json()["code"]) == (412, "version_passed")
    load = await running(api, {**LOAD, "poll_interval": None})
    await api.run(load.rpartition("/")[2], LoadCompleted(0, 0))
    ended = await api.client.patch(load, json={"name": "x"})
    assert (ended.status_code, ended.json()["code"]) == (409, "not_allowed")


async def test_of_many_changes_at_once_none_is_lost(api: Api) -> None:
    path = await running(api, STORE)
    bodies = [{"level": 9}, {"name": "new"}, {"limits": {"max_count": 5}}]
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(api.client.patch(path, json=body)) for body in bodies]
    assert {task.result().status_code for task in asked} == {200}
    after = (await api.client.get(path)).json()
    assert (after["name"], after["order"]["level"], after["order"]["limits"]["max_count"]) == ("new", 9, 5)


async def test_a_cancelled_job_is_gone_and_the_log_says_why(api: Api) -> None:
    path = await running(api, STORE)
    answer = await api.client.post(f"{path}/cancel", json={"reason": "ordered by mistake"})
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await api.client.get(path)).status_code == 404
    (event,) = await items(api, "/api/v2/events?type=job_deleted")
    assert event["data"] == {"reason": "ordered by mistake"}
