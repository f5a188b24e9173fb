"""Jobs as resources: whole bodies, ETags, repeated orders, pages, problems."""

from __future__ import annotations

import asyncio
import re
from typing import Any
from uuid import uuid4

import pytest

from nats3.job.loading import LoadCompleted
from nats3.job.running import RunActivated
from tests.api.conftest import Api

STORE = {"kind": "store", "name": "orders", "stream": "jobs", "bucket": "bucket-1"}
LOAD = {"kind": "load", "name": "again", "read_stream": "jobs", "bucket": "bucket-1"}


async def made(api: Api, body: dict[str, Any]) -> dict[str, Any]:
    answer = await api.client.post("/api/v2/jobs", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_store_job_is_answered_whole(api: Api) -> None:
    answer = await api.client.post("/api/v2/jobs", json=STORE)
    body = answer.json()
    job = body["id"]
    assert (answer.status_code, answer.headers["location"], answer.headers["etag"]) == (
        201,
        f"/api/v2/jobs/{job}",
        '"1"',
    )
    time = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
    assert time.fullmatch(body.pop("created"))
    assert time.fullmatch(body.pop("updated"))
    assert body == {
        "id": job,
        "kind": "store",
        "name": "orders",
        "state": "created",
        "reason": "",
        "commands": ["delete", "pause"],
        "order": {
            "stream": "jobs",
            "subject": ">",
            "bucket": "bucket-1",
            "prefix": None,
            "consumer": None,
            "limits": {"max_bytes": 1_000_000, "max_count": 1000, "max_age": "10s"},
            "codec": "binary",
            "level": "auto",
            "drain": False,
            "nats": "main",
            "s3": "main",
        },
        "progress": {
            "messages": 0,
            "chunks": 0,
            "raw_bytes": 0,
            "stored_bytes": 0,
            "gaps": 0,
            "lives": 0,
            "last_seq": 0,
        },
        "last_time": None,
        "last_error": None,
        "last_error_at": None,
        "node": None,
        "node_id": None,
        "runs": 1,
        "generation": 1,
        "api": 2,
        "version": 1,
        "position": 1,
        "warnings": [],
    }
    got = (await api.client.get(f"/api/v2/jobs/{job}")).json()
    assert {name: value for name, value in got.items() if name not in ("created", "updated")} == {
        name: value for name, value in body.items() if name != "warnings"
    }


async def test_a_load_job_keeps_every_field_of_its_order(api: Api) -> None:
    order = {
        "bucket": "bucket-1",
        "prefix": "cold",
        "read_stream": "jobs",
        "read_consumer": "mine",
        "read_subject": "a.>",
        "read_subjects": [],
        "read_headers": {"Region": "eu", "Kind": "order: new"},
        "write_subject": "replayed",
        "subject_transforms": [],
        "unmatched_subjects": "pass",
        "pace": {"messages_per_s": 100.5, "bytes_per_s": 1e6, "speed": 2.0, "max_gap": "1m30s"},
        "poll_interval": "1m30s",
        "delete_chunks": True,
        "from_time": "2024-01-01T00:00:00.000000Z",
        "to_time": "2024-01-01T00:00:00.123456789Z",
        "from_seq": 1,
        "to_seq": 9,
        "limit": 5,
        "headers": "verbatim",
        "mode": "exclusive",
        "on_bad_chunk": "quarantine",
        "strict_order": True,
        "nats": "hub",
        "s3": "cold",
    }
    assert (await made(api, {"kind": "load", **order}))["order"] == order
    assert (await made(api, LOAD))["order"]["write_subject"] is None, "the original subject"
    renamed = {
        **order,
        "read_subject": ">",
        "read_subjects": ["a.*", "b.>"],
        "write_subject": None,
        "subject_transforms": [{"src": "a.*", "dest": "x.{{wildcard(1)}}"}, {"src": "b.>", "dest": "y.>"}],
        "unmatched_subjects": "refuse",
    }
    again = await made(api, {"kind": "load", **renamed})
    assert again["order"] == renamed
    v1 = (await api.client.get(f"/load/job?job_id={again['id']}")).json()
    assert (v1["read_subject"], v1["write_subject"]) == ("a.*, b.>", None), "as far as its words go"


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"read_subject": "a", "read_subjects": ["b"]}, "read_subjects"),
        ({"read_subjects": ["a", "b..c"]}, "read_subjects.1"),
        ({"read_subjects": ["a"] * 65}, "read_subjects"),
        ({"read_headers": {"a:b": "c"}}, "read_headers.a:b"),
        ({"read_headers": {"": "c"}}, "read_headers."),
        ({"read_headers": {"a": "b\r\nc"}}, "read_headers.a"),
        ({"read_headers": {"a": " b"}}, "read_headers.a"),
        ({"read_headers": ["a: b"]}, "read_headers"),
        ({"subject_transforms": [{"src": "a.*", "dest": "b"}, {"src": "a.>", "dest": "b"}]}, "subject_transforms.1"),
        ({"subject_transforms": [{"src": "a.*", "dest": "b.{{wildcard(2)}}"}]}, "subject_transforms.0"),
        ({"subject_transforms": [{"src": "a..", "dest": "b"}]}, "subject_transforms.0"),
        ({"subject_transforms": [{"src": "a.>", "dest": "$JS.API.>"}]}, "subject_transforms.0"),
        ({"subject_transforms": [{"src": "a.*", "dest": "_INBOX.{{wildcard(1)}}"}]}, "subject_transforms.0"),
        ({"subject_transforms": [{"src": "a.*", "dest": "b\r\nPUB x"}]}, "subject_transforms.0"),
        ({"subject_transforms": [{"src": "a"}]}, "subject_transforms.0.dest"),
        ({"subject_transforms": [{"src": "a", "dest": "b"}], "write_subject": "c"}, "subject_transforms"),
        ({"unmatched_subjects": "refuse"}, "unmatched_subjects"),
        ({"unmatched_subjects": "drop"}, "unmatched_subjects"),
        ({"pace": {"messages_per_s": 0}}, "pace.messages_per_s"),
        ({"pace": {"bytes_per_s": -1}}, "pace.bytes_per_s"),
        ({"pace": {"speed": "fast"}}, "pace.speed"),
        ({"pace": {"max_gap": "5s"}}, "pace.max_gap"),
        ({"pace": {"speed": 1, "max_gap": "soon"}}, "pace.max_gap"),
        ({"pace": {"per_minute": 1}}, "pace.per_minute"),
    ],
)
async def test_a_shape_that_cannot_be_is_refused_with_its_field(api: Api, fields: dict[str, Any], fault: str) -> None:
    answer = await api.client.post("/api/v2/jobs", json={**LOAD, **fields})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, fault)


async def test_commands_change_the_etag_and_an_old_one_is_refused(api: Api) -> None:
    path = f"/api/v2/jobs/{(await made(api, STORE))['id']}"
    paused = await api.client.post(f"{path}/pause", headers={"If-Match": '"1"'})
    assert (paused.status_code, paused.headers["etag"], paused.json()["state"]) == (200, '"2"', "paused")
    late = await api.client.post(f"{path}/resume", headers={"If-Match": '"1"'})
    assert (late.status_code, late.json()["code"]) == (412, "version_passed")
    assert (await api.client.post(f"{path}/resume", headers={"If-Match": '"2"'})).json()["state"] == "running"
    gone = await api.client.delete(path, headers={"If-Match": "*"})
    assert (gone.status_code, gone.content) == (204, b"")
    assert (await api.client.get(path)).status_code == 404


async def test_a_command_that_the_state_does_not_take_is_409_and_names_those_it_takes(api: Api) -> None:
    job = (await made(api, STORE))["id"]
    answer = await api.client.post(f"/api/v2/jobs/{job}/retry")
    assert (answer.status_code, answer.headers["content-type"]) == (409, "application/problem+json")
    assert answer.json() == {
        "type": "urn:nats3:problem:not_allowed",
        "title": "Conflict",
        "status": 409,
        "detail": f"job {job} is created: retry is not possible, only delete, pause",
        "instance": f"/api/v2/jobs/{job}/retry",
        "code": "not_allowed",
        "errors": [],
    }
    await api.client.post(f"/api/v2/jobs/{job}/pause")
    assert (await api.client.post(f"/api/v2/jobs/{job}/pause")).status_code == 409


async def test_a_load_that_ended_can_be_retried_from_its_end_or_from_the_start(api: Api) -> None:
    job = (await made(api, LOAD))["id"]
    await api.run(job, RunActivated(1, "node-a"), LoadCompleted(3, 0))
    again = await api.client.post(f"/api/v2/jobs/{job}/retry")
    assert (again.status_code, again.json()["runs"], again.json()["generation"]) == (200, 2, 1)
    await api.run(job, LoadCompleted(3, 0))
    anew = await api.client.post(f"/api/v2/jobs/{job}/retry", json={"restart": True})
    assert (anew.json()["runs"], anew.json()["generation"], anew.json()["state"]) == (3, 2, "created")


async def test_an_order_under_one_idempotency_key_makes_one_job(api: Api) -> None:
    key = {"Idempotency-Key": "once"}
    first = await api.client.post("/api/v2/jobs", json=STORE, headers=key)
    second = await api.client.post("/api/v2/jobs", json=STORE, headers=key)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert second.headers["etag"] == first.headers["etag"]
    assert (first.headers.get("idempotent-replayed"), second.headers["idempotent-replayed"]) == (None, "true")
    other = await api.client.post("/api/v2/jobs", json={**STORE, "subject": "else"}, headers=key)
    assert (other.status_code, other.json()["errors"][0]["field"]) == (422, "Idempotency-Key")
    assert len((await api.client.get("/api/v2/jobs")).json()["items"]) == 1


async def test_of_many_commands_at_once_each_is_decided_on_what_the_ones_before_left(api: Api) -> None:
    job = (await made(api, STORE))["id"]
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(api.client.post(f"/api/v2/jobs/{job}/pause")) for _ in range(12)]
    assert sorted(task.result().status_code for task in asked) == [200, *[409] * 11]
    async with asyncio.TaskGroup() as tasks:
        kind = "/api/v1/store/job/resume"
        again = [tasks.create_task(api.client.post(kind, params={"job_id": job})) for _ in range(12)]
    assert {task.result().status_code for task in again} == {200}
    events = (await api.client.get(f"/api/v2/jobs/{job}/events")).json()["items"]
    assert [event["type"] for event in events] == ["job_created", "job_paused", "job_resumed"]


async def test_what_was_ordered_is_in_the_next_list_and_what_was_deleted_is_not(api: Api) -> None:
    for _ in range(20):
        job = (await made(api, STORE))["id"]
        assert [row["id"] for row in (await api.client.get("/api/v2/jobs")).json()["items"]] == [job]
        await api.client.delete(f"/api/v2/jobs/{job}")
        assert (await api.client.get("/api/v2/jobs")).json() == {"items": []}


async def test_pages_are_linked_until_the_last_job(api: Api) -> None:
    ids = [(await made(api, STORE))["id"] for _ in range(5)]
    found, path = [], "/api/v2/jobs?limit=2&kind=store"
    while path:
        answer = await api.client.get(path)
        found += [job["id"] for job in answer.json()["items"]]
        link = re.fullmatch(r'<(.+)>; rel="next"', answer.headers.get("link", ""))
        path = link[1] if link else ""
    assert found == ids[::-1]


async def test_filters_of_the_list_join(api: Api) -> None:
    store, load = (await made(api, STORE))["id"], (await made(api, LOAD))["id"]
    await api.client.post(f"/api/v2/jobs/{store}/pause")

    async def found(query: str) -> list[str]:
        return [job["id"] for job in (await api.client.get(f"/api/v2/jobs?{query}")).json()["items"]]

    assert await found("kind=load") == [load]
    assert await found("state=paused,created&stream=jobs") == [load, store]
    assert await found("state=paused&state=blocked&bucket=bucket-1&name=orders") == [store]


async def test_a_reader_can_wait_for_what_was_written(api: Api) -> None:
    position = (await made(api, STORE))["position"]
    assert (await api.client.get(f"/api/v2/jobs?min_position={position}")).status_code == 200
    beyond = await api.client.get(f"/api/v2/jobs?min_position={position + 1000}")
    assert (beyond.status_code, beyond.json()["errors"][0]["field"]) == (422, "min_position")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"kind": "stare"}, "kind"),
        ({"unknown": 1}, "unknown"),
        ({"limits": {"max_count": 0}}, "limits.max_count"),
        ({"limits": {"max_age": "1ms"}}, "limits.max_age"),
        ({"limits": {"max_age": "soon"}}, "limits.max_age"),
        ({"level": 99}, "level"),
        ({"codec": "xml"}, "codec"),
        ({"drain": "yes"}, "drain"),
        ({"limits": []}, "limits"),
        ({"name": "x" * 256}, "name"),
        ({"name": "a\u0007"}, "name"),
    ],
)
async def test_every_fault_of_an_order_is_named_with_its_remedy(api: Api, change: dict[str, Any], field: str) -> None:
    answer = await api.client.post("/api/v2/jobs", json={**STORE, **change})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    (error,) = answer.json()["errors"]
    assert error["field"] == field
    assert error["fault"]
    assert error["remedy"]
    assert await api.store.head() == 0


async def test_all_faults_come_at_once(api: Api) -> None:
    order = {**LOAD, "bucket": "x", "from_seq": 9, "to_seq": 3, "write_subject": "$SYS.x"}
    answer = await api.client.post("/api/v2/jobs", json=order)
    assert [error["field"] for error in answer.json()["errors"]] == ["bucket", "write_subject", "from_seq"]


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/api/v2/jobs?limit=0", "limit"),
        ("/api/v2/jobs?limit=1001", "limit"),
        ("/api/v2/jobs?before=-1", "before"),
        ("/api/v2/jobs?before=99999999999999999999", "before"),
        ("/api/v2/jobs?state=ill", "state"),
        ("/api/v2/jobs?kind=stare", "kind"),
        ("/api/v2/jobs?nmae=x", "nmae"),
        ("/api/v2/jobs?name=%00", "name"),
    ],
)
async def test_a_parameter_that_does_not_fit_is_named(api: Api, path: str, field: str) -> None:
    answer = await api.client.get(path)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


async def test_unknown_ids_are_404_and_what_is_no_id_400(api: Api) -> None:
    unknown = await api.client.get(f"/api/v2/jobs/{uuid4()}")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "job_not_found")
    assert (await api.client.get("/api/v2/jobs/%00")).status_code == 400
    invalid = await api.client.get("/api/v2/jobs/none")
    assert (invalid.status_code, invalid.json()["errors"][0]["field"]) == (400, "id")
    nowhere = await api.client.get("/api/v2/nowhere")
    assert (nowhere.status_code, nowhere.json()["code"]) == (404, "not_found")
    method = await api.client.put("/api/v2/jobs")
    assert (method.status_code, method.json()["code"]) == (405, "method_not_allowed")
