"""Ids mean the same everywhere: what can be none is 400, what nothing has is 404, and what is told in two places can be joined."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from eventstore import Claims
from nats3.job.running import RunActivated
from nats3.views.chunks import ChunksView
from tests.api.conftest import Api
from tests.api.test_version_2_projections import ended
from tests.views.samples import CREATED, flushed, opened

STORE = {"kind": "store", "name": "orders", "stream": "jobs", "bucket": "bucket-1"}
ID = "24ce1555-b937-4321-9fa2-5e853a833690"

ROUTES: dict[str, tuple[str, str, list[str], str]] = {
    "job": ("/api/v2/jobs/{}", "id", ["none", "1", ID + "0"], ID),
    "history": ("/api/v2/jobs/{}/events", "id", ["none"], ID),
    "runs": ("/api/v2/jobs/{}/runs", "id", ["none"], ID),
    "coverage": ("/api/v2/jobs/{}/coverage", "id", ["none"], ID),
    "chunk": ("/api/v2/chunks/{}", "id", ["x", "-1", "1.5", "9" * 19], "99"),
    "messages": ("/api/v2/chunks/{}/messages", "id", ["x"], "99"),
    "event": ("/api/v2/events/{}", "position", ["x", "-1", "9" * 19], "99"),
    "token": ("/api/v2/tokens/{}", "id", ["x", "0" * 15, "ABCDEF0123456789"], "0" * 16),
    "survey": ("/api/v2/archive/surveys/{}", "id", ["abc"], ID),
    "findings": ("/api/v2/archive/surveys/{}/findings", "id", ["abc"], ID),
    "operation": ("/api/v2/projections/jobs/operations/{}", "id", ["x", "9" * 19], "99"),
    "entity": ("/api/v2/entities/{}", "id", ["job/none", f"else/{ID}", "job", f"job/{ID.upper()}"], f"run/{ID}"),
}


@pytest.mark.parametrize("what", ROUTES)
async def test_what_can_be_no_id_is_400_and_what_nothing_has_404(api: Api, what: str) -> None:
    template, field, none, unknown = ROUTES[what]
    for text in none:
        answer = await api.client.get(template.format(text))
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (400, "bad_parameter"), text
        assert [each["field"] for each in problem["errors"]] == [field]
    missing = await api.client.get(template.format(unknown))
    of_job = what in {"job", "history", "runs", "coverage", "entity"}
    assert (missing.status_code, missing.json()["code"]) == (404, "job_not_found" if of_job else "not_found")


async def test_the_remedy_speaks_of_what_was_asked_for(api: Api) -> None:
    for path, remedy in (
        ("/api/v2/jobs/abc", "give the id that the job was made with"),
        ("/api/v2/archive/surveys/abc", "give the id that the survey was made with"),
        ("/api/v2/chunks/abc", "give a whole number, as its list has it"),
        ("/api/v2/events/abc", "give a whole number, as its list has it"),
        ("/api/v2/tokens/abc", "give the 16 letters and digits that its list has"),
    ):
        assert (await api.client.get(path)).json()["errors"][0]["remedy"] == remedy


@pytest.mark.parametrize("path", ["/api/v2/chunks?job_id=abc", "/api/v2/events?node=abc"])
async def test_an_id_in_the_query_is_422_as_all_that_stands_there(api: Api, path: str) -> None:
    answer = await api.client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_query")


async def test_an_id_in_a_body_is_422_as_all_that_stands_there(api: Api) -> None:
    answer = await api.client.post("/api/v2/archive/verifications", json={"job_id": "abc"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert answer.json()["errors"][0]["field"] == "job_id"


async def test_a_job_and_its_runs_name_their_node_as_its_events_and_the_nodes_do(api: Api, postgres_url: str) -> None:
    job = (await api.client.post("/api/v2/jobs", json=STORE)).json()
    assert job["node_id"] is None
    position = await api.run(job["id"], RunActivated(1, "vm"))
    event = (await api.client.get(f"/api/v2/events/{position}")).json()
    now = (await api.client.get(f"/api/v2/jobs/{job['id']}")).json()
    (listed,) = (await api.client.get("/api/v2/jobs")).json()["items"]
    (run,) = (await api.client.get(f"/api/v2/jobs/{job['id']}/runs")).json()["items"]
    assert now["node_id"] == listed["node_id"] == run["node_id"] == event["node"]
    claims = Claims(postgres_url, node=api.store.node)
    try:
        await claims.register("vm at 127.0.0.1:8080 in 826c110c")
        (node,) = (await api.client.get("/api/v2/nodes")).json()["items"]
        assert node["id"] == now["node_id"]
    finally:
        await claims.close()


async def test_the_version_that_is_kept_for_a_return_is_no_view_that_lags(api: Api) -> None:
    job = (await api.client.post("/api/v2/jobs", json=STORE)).json()["id"]
    last = await api.run(job, RunActivated(1, "node-a"), opened(), flushed(1, 10))

    async def chunks() -> list[dict[str, Any]]:
        items = (await api.client.get("/api/v2/projections")).json()["items"]
        assert {each["status"] for each in items} <= {"running", "rebuilding", "stalled"}
        return [each for each in items if each["name"] == "chunks"]

    assert [each["kept"] for each in await chunks()] == [[]]
    done = await ended(api, (await api.client.post("/api/v2/projections/chunks/rebuild")).headers["location"])
    (row,) = await chunks()
    old = ChunksView().version
    assert (row["version"], row["active"]) == (done["version"], True)
    assert [each["version"] for each in row["kept"]] == [old]
    assert row["kept"][0]["position"] >= last
    assert (await api.client.get("/api/v2/projections/chunks")).json()["kept"] == row["kept"]
    back = await api.client.post("/api/v2/projections/chunks/return")
    assert back.json()["version"] == old


async def test_no_time_is_a_number_that_a_reader_would_round(api: Api) -> None:
    job = (await api.client.post("/api/v2/jobs", json=STORE)).json()["id"]
    position = await api.run(job, RunActivated(1, "node-a"), opened(), flushed(1, 10))
    assert CREATED + 1 > 1 << 53
    told = "2023-11-14T22:13:20.000000001Z"
    (listed,) = (await api.client.get("/api/v2/chunks")).json()["items"]
    alone = (await api.client.get(f"/api/v2/chunks/{position}")).json()
    assert (listed["created"], alone["created"]) == (told, told)
    (life,) = (await api.client.get(f"/api/v2/jobs/{job}/coverage")).json()["lives"]
    assert life["created"] == [told]


async def test_a_job_that_is_not_there_is_told_by_one_code(api: Api) -> None:
    job = uuid4()
    for path in ("", "/chunks", "/coverage", "/events", "/runs", "/plan"):
        answer = await api.client.get(f"/api/v2/jobs/{job}{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "job_not_found"), path
        assert answer.json()["detail"] == f"job id {job} not found"
