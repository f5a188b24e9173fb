"""A token with a scope sees and orders what is inside it; everything else is as if it were not there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from eventstore import Position
from nats3.access.scope import Scope
from nats3.api.reach import FILTERED, within
from nats3.api.routes import ROUTES
from nats3.api.world import StreamFacts
from tests.api.conftest import Api
from tests.api.test_tokens import admin_of, bearer, token
from tests.views.samples import flushed, opened

OURS = {"name": "ours-1", "stream": "jobs", "subject": "a", "bucket": "bucket-1"}
THEIRS = {"name": "theirs-1", "stream": "secret", "subject": "a", "bucket": "bucket-9"}
SCOPES: tuple[dict[str, list[str]], ...] = ({"streams": ["jobs"]}, {"buckets": ["bucket-1*"]}, {"jobs": ["ours-*"]})


@dataclass
class Scene:
    """A job inside and one outside of a scope, each with a chunk, and a token bound to the inside."""

    ours: str
    theirs: str
    admin: str
    bound: str
    their_chunk: int
    their_event: int


async def scene(api: Api, scope: dict[str, list[str]], role: str = "operate") -> Scene:
    ours = (await api.client.post("/store/job", json=OURS)).json()["id"]
    theirs = (await api.client.post("/store/job", json=THEIRS)).json()["id"]
    for job_id, said in ((ours, OURS), (theirs, THEIRS)):
        await api.run(job_id, opened(), flushed(1, 10, stream=said["stream"], bucket=said["bucket"]))
    items = (await api.client.get("/api/v2/chunks")).json()["items"]
    theirs_chunk = next(each["id"] for each in items if each["job_id"] == theirs)
    event = (await api.client.get(f"/api/v2/jobs/{theirs}/events")).json()["items"][0]["position"]
    admin = await admin_of(api)
    bound = await token(api, role, admin, scope=scope)
    return Scene(ours, theirs, admin, bound, theirs_chunk, event)


@pytest.mark.parametrize("scope", SCOPES, ids=str)
async def test_lists_events_and_exports_hold_what_is_inside_and_nothing_else(
    api: Api, scope: dict[str, list[str]]
) -> None:
    made = await scene(api, scope)
    for path in (
        "/store/jobs",
        "/api/v2/jobs",
        "/api/v2/chunks",
        "/api/v2/events",
        "/api/v2/events?order=desc",
        "/api/v2/events?format=ndjson",
    ):
        seen = await api.client.get(path, headers=bearer(made.bound))
        whole = await api.client.get(path, headers=bearer(made.admin))
        assert seen.status_code == 200, (path, seen.text)
        assert made.ours in seen.text, path
        assert (made.theirs in whole.text, made.theirs in seen.text) == (True, False), path
        for word in ("theirs-1", "bucket-9", '"secret"', "token_created"):
            assert word not in seen.text, (path, word)


@pytest.mark.parametrize("scope", SCOPES, ids=str)
async def test_what_is_outside_is_as_if_it_were_not_there(api: Api, scope: dict[str, list[str]]) -> None:
    made = await scene(api, scope)
    before = await api.store.head()
    fill = {
        "{id}": made.theirs,
        "{name}": "secret",
        "{id:path}": f"job/{made.theirs}",
        "{position}": str(made.their_event),
    }
    for entry in ROUTES:
        if entry.role == "open" or entry.path not in FILTERED or ("{" not in entry.path and "/job" not in entry.path):
            continue
        if entry.path == "/api/v2/jobs/plan":  # it takes an order, as creating does
            continue
        path = entry.path.replace("/chunks/{id}", f"/chunks/{made.their_chunk}")
        for name, value in fill.items():
            path = path.replace(name, value)
        if path == entry.path and entry.path.endswith("s"):
            continue
        single = path if path != entry.path else f"{path}?job_id={made.theirs}"
        if entry.method == "POST" and single.endswith(f"job?job_id={made.theirs}"):
            continue
        body = {} if entry.method == "PATCH" else None
        answer = await api.client.request(entry.method, single, headers=bearer(made.bound), json=body)
        assert answer.status_code == 404, (entry, answer.status_code, answer.text)
        assert "secret" in single or "secret" not in answer.text
        assert "bucket-9" not in answer.text
    assert await api.store.head() == before, "nothing was recorded"


@pytest.mark.parametrize("scope", SCOPES, ids=str)
async def test_what_is_inside_can_be_read_and_commanded(api: Api, scope: dict[str, list[str]]) -> None:
    made = await scene(api, scope)
    headers = bearer(made.bound)
    for path in ("", "/chunks", "/coverage", "/events"):
        assert (await api.client.get(f"/api/v2/jobs/{made.ours}{path}", headers=headers)).status_code == 200
    assert (await api.client.get(f"/api/v2/entities/run/{made.ours}", headers=headers)).status_code == 200
    paused = await api.client.post(f"/api/v2/jobs/{made.ours}/pause", headers=headers)
    assert (paused.status_code, paused.json()["state"]) == (200, "paused")
    assert (await api.client.delete(f"/store/job?job_id={made.ours}", headers=headers)).status_code == 200


STREAMS: list[tuple[dict[str, list[str]], list[str]]] = [
    ({"streams": ["j*"]}, ["jobs"]),
    ({"streams": ["empty", "jobs"]}, ["empty", "jobs"]),
    ({"jobs": ["ours-*"]}, ["jobs"]),
    ({"buckets": ["bucket-9"]}, ["secret"]),
    ({"jobs": ["nobody"]}, []),
    ({"subjects": ["again.>"]}, ["empty", "jobs", "secret"]),
]
"""What a scope names; where it names no streams, those of the jobs that it names."""


@pytest.mark.parametrize(("scope", "names"), STREAMS, ids=str)
async def test_streams_are_those_that_a_scope_names_or_those_of_its_jobs(
    api: Api, scope: dict[str, list[str]], names: list[str]
) -> None:
    api.outside.streams |= {name: StreamFacts(exists=True, retention="limits") for name in ("secret", "empty")}
    made = await scene(api, scope)
    headers = bearer(made.bound)
    items = (await api.client.get("/api/v2/streams", headers=headers)).json()["items"]
    assert [each["name"] for each in items] == names
    assert all(each["there"] for each in items), "that a stream is there is not hidden from who may see it"
    for name in ("empty", "jobs", "secret"):
        answer = await api.client.get(f"/api/v2/streams/{name}", headers=headers)
        assert answer.status_code == (200 if name in names else 404)


SURVEYS: list[tuple[dict[str, list[str]], dict[str, str], str | None]] = [
    ({"jobs": ["ours-*"]}, {"job_id": "ours"}, None),
    ({"jobs": ["ours-*"]}, {"job_id": "theirs"}, "job_id"),
    ({"jobs": ["ours-*"]}, {"bucket": "bucket-1"}, "bucket"),
    ({"jobs": ["ours-*"]}, {}, "bucket"),
    ({"buckets": ["bucket-1"]}, {"bucket": "bucket-1"}, None),
    ({"buckets": ["bucket-1"]}, {"bucket": "bucket-9"}, "bucket"),
    ({"buckets": ["bucket-1"]}, {}, "bucket"),
    ({"buckets": ["bucket-1"], "streams": ["jobs"]}, {"bucket": "bucket-1"}, "bucket"),
    ({"buckets": ["bucket-1"], "streams": ["jobs"]}, {"job_id": "ours"}, None),
]
"""A survey tells of all that lies where it walks: who asks for one must reach all of that."""


@pytest.mark.parametrize(("scope", "asked", "field"), SURVEYS, ids=str)
async def test_a_survey_is_for_who_reaches_all_that_it_tells_of(
    api: Api, scope: dict[str, list[str]], asked: dict[str, str], field: str | None
) -> None:
    made = await scene(api, scope)
    body = {name: {"ours": made.ours, "theirs": made.theirs}.get(word, word) for name, word in asked.items()}
    path, headers = "/api/v2/archive/verifications", bearer(made.bound)
    for _ in range(2):
        assert (await api.client.post(path, json={}, headers=bearer(made.admin))).status_code == 202
    answer = await api.client.post(path, json=body, headers=headers)
    listed = (await api.client.get("/api/v2/archive/surveys", headers=headers)).json()["items"]
    if field is not None:
        assert (answer.status_code, answer.json()["code"]) == (403, "out_of_scope")
        assert [fault["field"] for fault in answer.json()["errors"]] == [field]
        assert listed == []
        return
    assert (answer.status_code, [each["id"] for each in listed]) == (202, [answer.json()["id"]])
    own = answer.headers["location"]
    assert (await api.client.get(f"{own}/findings", headers=headers)).status_code == 200
    events = await api.client.get("/api/v2/events?category=survey", headers=headers)
    assert len(events.json()["items"]) == 1
    assert (await api.client.post(f"{own}/cancel", headers=headers)).status_code == 202


async def test_a_page_of_the_log_without_anything_inside_is_not_the_end_of_it(api: Api) -> None:
    await api.client.post("/store/job", json=THEIRS)
    ours = (await api.client.post("/store/job", json=OURS)).json()["id"]
    log = within(api.services, Scope(jobs=("ours-*",))).log
    (event,) = await log.read_log(Position(0), 1)
    assert event.entity_id == f"job/{ours}"
    assert await log.read_log(event.position, 1) == []


LOAD = {"kind": "load", "name": "ours-2", "bucket": "bucket-1", "read_stream": "jobs", "write_subject": "again.x"}
RENAMED = {
    **LOAD,
    "write_subject": None,
    "subject_transforms": [{"src": "jobs.*", "dest": "again.{{split(1,-)}}.x"}],
}
"""What matches none of its transforms keeps its subject, which may be any, unless the order refuses that."""
ORDERS: list[tuple[Scope, dict[str, Any], str | None]] = [
    (Scope(streams=("jobs",)), {"kind": "store", **OURS}, None),
    (Scope(streams=("jobs",)), {"kind": "store", **OURS, "stream": "secret"}, "stream"),
    (Scope(buckets=("bucket-1",)), {"kind": "store", **OURS, "bucket": "bucket-9"}, "bucket"),
    (Scope(jobs=("ours-*",)), {"kind": "store", **OURS, "name": "theirs-2"}, "name"),
    (Scope(streams=("jobs",)), LOAD, "write_subject"),
    (Scope(streams=("jobs",), subjects=("again.>",)), LOAD, None),
    (Scope(subjects=("other.>",)), LOAD, "write_subject"),
    (Scope(subjects=("again.>",)), {**LOAD, "write_subject": None}, "write_subject"),
    (Scope(subjects=("again.>",)), {**LOAD, "write_subject": None, "read_subject": "again.*"}, None),
    (Scope(subjects=("again.>",)), {**LOAD, "write_subject": None, "read_subjects": ["again.*", "x"]}, "write_subject"),
    (Scope(subjects=("again.>",)), {**RENAMED, "unmatched_subjects": "refuse"}, None),
    (Scope(subjects=("again.*.x",)), {**RENAMED, "unmatched_subjects": "refuse"}, "write_subject"),
    (Scope(subjects=("again.>",)), RENAMED, "write_subject"),
    (Scope(streams=("jobs",), subjects=("again.>",)), {**LOAD, "read_stream": "secret"}, "stream"),
]


@pytest.mark.parametrize(("scope", "order", "field"), ORDERS)
async def test_an_order_outside_is_refused_with_its_field_and_nothing_is_recorded(
    api: Api, scope: Scope, order: dict[str, Any], field: str | None
) -> None:
    admin = await admin_of(api)
    said = {part: list(getattr(scope, part)) for part in ("jobs", "streams", "buckets", "subjects")}
    bound = await token(api, "operate", admin, scope=said)
    before = await api.store.head()
    order = {name: value for name, value in order.items() if value is not None}
    tried = await api.client.post("/api/v2/jobs?dry_run=true", json=order, headers=bearer(bound))
    assert tried.status_code == (200 if field is None else 403)
    answer = await api.client.post("/api/v2/jobs", json=order, headers=bearer(bound))
    if field is None:
        assert answer.status_code == 201, answer.text
        return
    assert (answer.status_code, answer.json()["code"]) == (403, "out_of_scope")
    assert [fault["field"] for fault in answer.json()["errors"]] == [field]
    assert await api.store.head() == before


async def test_a_key_that_another_used_tells_nothing_of_their_job(api: Api) -> None:
    made = await scene(api, {"streams": ["jobs"]})
    key = {"Idempotency-Key": "theirs"}
    theirs = await api.client.post(
        "/api/v2/jobs", json={"kind": "store", **THEIRS}, headers={**bearer(made.admin), **key}
    )
    answer = await api.client.post(
        "/api/v2/jobs", json={"kind": "store", **OURS}, headers={**bearer(made.bound), **key}
    )
    assert (theirs.status_code, answer.status_code) == (201, 201), "a key belongs to who asks"
    assert answer.json()["id"] != theirs.json()["id"]
    assert "secret" not in answer.text
    assert "bucket-9" not in answer.text


async def test_a_route_that_tells_of_all_jobs_is_closed_to_a_token_with_a_scope(api: Api) -> None:
    made = await scene(api, {"streams": ["jobs"]}, "read")
    closed = [entry for entry in ROUTES if entry.role == "read" and entry.path not in FILTERED]
    assert {entry.path for entry in closed} >= {"/metrics", "/api/v2/nodes", "/api/v2/projections"}
    for entry in closed:
        answer = await api.client.request(entry.method, entry.path, headers=bearer(made.bound))
        assert answer.status_code == 403, (entry, answer.status_code)


def test_what_is_listed_as_filtered_is_a_route() -> None:
    assert {entry.path for entry in ROUTES} >= FILTERED
