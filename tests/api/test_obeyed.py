"""What is asked for is obeyed or refused by name; nothing of it is passed over in silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from eventstore import Position
from nats3.api.v2_questions import TYPES
from nats3.job.running import RunActivated
from tests.api.conftest import Api
from tests.api.test_version_2_projections import ended

STORE = {"kind": "store", "stream": "jobs", "bucket": "bucket-1"}
LOAD = {"kind": "load", "bucket": "bucket-1", "read_stream": "jobs"}
ID = "24ce1555-b937-4321-9fa2-5e853a833690"


async def ordered(api: Api, order: dict[str, Any]) -> str:
    """The path of a running job."""
    job = (await api.client.post("/api/v2/jobs", json=order)).json()["id"]
    await api.run(job, RunActivated(1, "node-a"))
    return f"/api/v2/jobs/{job}"


@pytest.mark.parametrize(
    ("order", "change", "fields"),
    [
        (STORE, {"name": None}, ["name"]),
        (STORE, {"limits": None, "level": None}, ["limits", "level"]),
        (STORE, {"level": 3, "limits": {"max_bytes": None, "max_age": None}}, ["limits.max_bytes", "limits.max_age"]),
        (LOAD, {"pace": None, "on_bad_chunk": None}, ["on_bad_chunk", "pace"]),
        (LOAD, {"name": None, "unmatched_subjects": None}, ["name", "unmatched_subjects"]),
    ],
)
async def test_a_change_to_nothing_is_no_change(
    api: Api, order: dict[str, Any], change: dict[str, Any], fields: list[str]
) -> None:
    path = await ordered(api, order)
    answer = await api.client.patch(path, json=change)
    assert (answer.status_code, [each["field"] for each in answer.json()["errors"]]) == (422, fields)
    assert all(each["remedy"] for each in answer.json()["errors"])
    assert (await api.client.get(path)).headers["etag"] == '"1"'
    assert (await api.client.patch(path, json={})).status_code == 200


async def test_a_body_where_none_is_taken_is_refused(api: Api) -> None:
    path = await ordered(api, STORE)
    routes = [
        ("POST", f"{path}/pause"),
        ("POST", f"{path}/resume"),
        ("DELETE", path),
        ("POST", "/api/v2/chunks/1/verify"),
        *(("POST", f"/api/v2/projections/jobs/{work}") for work in ("rebuild", "verify", "cancel", "return")),
        ("POST", f"/api/v2/archive/surveys/{ID}/cancel"),
        ("DELETE", "/api/v2/tokens/0123456789abcdef"),
    ]
    before = await api.store.head()
    for method, route in routes:
        for body in (b'{"x":1}', b"[1]", b"x", b'"reason"'):
            answer = await api.client.request(method, route, content=body)
            (fault,) = answer.json()["errors"]
            said = (answer.status_code, fault["field"], fault["remedy"])
            assert said == (422, "body", "leave it out"), (method, route)
    assert await api.store.head() == before, "nothing is recorded"
    for body in (b"", b"{}", b" {} "):
        assert (await api.client.post(f"{path}/pause", content=body)).status_code in (200, 409)


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("follow=true&order=desc", ["order"]),
        ("follow=true&order=asc", ["order"]),
        ("follow=true&format=ndjson&limit=3", ["format", "limit"]),
        ("follow=true&format=json&before=3", ["before", "format"]),
        ("format=ndjson&limit=3", ["limit"]),
        ("format=ndjson&order=desc", ["order"]),
        ("format=ndjson&before=3", ["before"]),
        ("order=desc&after=1", ["after"]),
        ("before=2&after=1", ["after"]),
        ("before=2&order=asc", ["order"]),
    ],
)  # fmt: skip
async def test_ways_to_read_the_log_that_do_not_go_together_are_refused(
    api: Api, query: str, fields: list[str]
) -> None:
    await ordered(api, STORE)
    answer = await api.client.get(f"/api/v2/events?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_query")
    assert sorted(each["field"] for each in answer.json()["errors"]) == sorted(fields)
    assert {each["remedy"] for each in answer.json()["errors"]} == {"leave it out, or the other"}


ENTITIES = "name it job/<id>, run/<id>, survey/<id>, walk/<id>, token/<id>, session/<id>, projection/<name> or partition/<name>"


@pytest.mark.parametrize(
    ("query", "field", "remedy"),
    [
        ("type=foo", "type", "use "),
        ("type=chunk_flushd", "type", "did you mean chunk_flushed?"),
        ("type=chunk_flushed,foo", "type", "use "),
        ("type=chunk_flushed&type=foo", "type", "use "),
        ("type=", "type", "use "),
        ("category=foo", "category", "use job, run, survey, walk, token, session, projection or partition"),
        ("category=", "category", "use job, run, survey, walk, token, session, projection or partition"),
        ("entity=foo", "entity", ENTITIES),
        ("entity=foo/1", "entity", ENTITIES),
        ("entity=job/1", "entity", ENTITIES),
        (f"entity=job/{ID.upper()}", "entity", ENTITIES),
        ("entity=token/", "entity", ENTITIES),
        ("since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", "since", "give a since that comes before until"),
        ("since=2026-01-02T00:00:00Z&until=2026-01-02T00:00:00Z", "since", "give a since that comes before until"),
    ],
)
async def test_a_filter_that_can_match_nothing_is_refused(api: Api, query: str, field: str, remedy: str) -> None:
    for way in ("", "&follow=true", "&format=ndjson"):
        answer = await api.client.get(f"/api/v2/events?{query}{way}")
        (fault,) = answer.json()["errors"]
        assert (answer.status_code, fault["field"]) == (422, field)
        assert fault["remedy"].startswith(remedy)


async def test_every_event_of_the_log_is_found_by_its_type_its_category_and_its_entity(api: Api) -> None:
    """What may be asked for is all that there is, also of what the log itself says."""
    await ordered(api, STORE)
    await api.client.post("/api/v2/tokens", json={"name": "a"})
    await api.client.post("/api/v2/archive/verifications", json={})
    work = await api.client.post("/api/v2/projections/jobs/verify")
    await ended(api, work.headers["location"])
    log = await api.store.read_log(Position(0), 100)
    assert {event.entity_id.partition("/")[0] for event in log} >= {"job", "run", "survey", "projection"}
    for event in log:
        for query in (
            {"type": event.type},
            {"category": event.entity_id.partition("/")[0]},
            {"entity": event.entity_id},
        ):
            answer = await api.client.get("/api/v2/events", params=query)
            assert event.position in [each["position"] for each in answer.json()["items"]], query


def test_every_type_that_was_ever_stored_may_be_asked_for() -> None:
    golden = Path(__file__).parents[1] / "golden"
    stored = {file.name.partition(".")[0] for room in ("events", "access") for file in (golden / room).iterdir()}
    assert stored - TYPES == set()


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/api/v2/jobs?name=a&name=b", "name"),
        ("/api/v2/jobs?limit=1&limit=2", "limit"),
        ("/api/v2/jobs?kind=store&kind=store", "kind"),
        ("/api/v2/events?since=2026-01-01T00:00:00Z&since=2026-01-02T00:00:00Z", "since"),
        ("/api/v2/events?follow=true&follow=false", "follow"),
        ("/api/v2/chunks?stream=a&stream=b", "stream"),
        ("/api/v2/chunks?min_position=0&min_position=0", "min_position"),
        (f"/api/v2/entities/job/{ID}?as_of=1&as_of=2", "as_of"),
    ],
)
async def test_a_parameter_that_means_one_thing_is_given_once(api: Api, path: str, field: str) -> None:
    answer = await api.client.get(path)
    (fault,) = answer.json()["errors"]
    assert (answer.status_code, fault["field"], fault["remedy"]) == (422, field, "give it once")


async def test_states_and_types_may_be_given_several_times(api: Api) -> None:
    assert (await api.client.get("/api/v2/jobs?state=paused&state=running")).status_code == 200
    assert (await api.client.get("/api/v2/events?type=job_paused&type=job_resumed")).status_code == 200


async def test_version_1_refuses_a_status_that_no_job_has_and_what_stands_twice(api: Api) -> None:
    status = await api.client.get("/store/jobs?status=foo")
    assert (status.status_code, status.json()) == (
        422,
        {"error": "status: 'foo' is no status; use Created, Running, Paused, Success or Failure"},
    )
    assert (await api.client.get("/store/jobs?status=paused")).status_code == 200
    twice = await api.client.get("/store/jobs?name=a&name=b")
    assert (twice.status_code, twice.json()) == (422, {"error": "name: is given 2 times; give it once"})
    job_id = await api.client.get(f"/store/job?job_id={ID}&job_id={uuid4()}")
    assert (job_id.status_code, job_id.json()) == (400, {"error": "job_id: is given 2 times; give it once"})


async def test_messages_from_a_time_to_one_before_it_are_refused(api: Api) -> None:
    answer = await api.client.get("/api/v2/chunks/1/messages?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z")
    (fault,) = answer.json()["errors"]
    assert (answer.status_code, fault["field"]) == (422, "from")
    assert fault["remedy"] == "give a from that comes before to"
