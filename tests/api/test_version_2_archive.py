"""Surveys from outside: what is asked is recorded; what a walk finds is told page by page. Who walks is tested elsewhere."""

from __future__ import annotations

from uuid import UUID, uuid4

from eventstore import Append, Fence, Version
from nats3.job.history import HISTORY
from nats3.job.surveying import Finding, WalkBegun, WalkEnded, WalkFound, WalkProgressed, walk_entity
from tests.api.conftest import Api

MISSING = [Finding("missing", "bucket-1", f"key-{n}", None, n, n) for n in range(5)]


async def asked(api: Api, what: str = "verifications", **body: object) -> str:
    answer = await api.client.post(f"/api/v2/archive/{what}", json=body)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/api/v2/archive/surveys/{answer.json()['id']}"
    return answer.json()["id"]


async def walked(api: Api, survey: str, *events: object) -> None:
    entity = walk_entity(survey)
    version = Version(len(await api.store.read(entity, Version(0), 1000)))
    await api.batcher.append(Append(entity, version, Fence(0), tuple(map(HISTORY.encode, events))))


async def test_a_survey_is_a_resource_that_tells_how_far_it_is_and_how_it_ended(api: Api) -> None:
    survey = await asked(api, bucket="bucket-1", deep=True)
    path = f"/api/v2/archive/surveys/{survey}"
    body = (await api.client.get(path)).json()
    assert (body["task"], body["bucket"], body["deep"], body["state"]) == ("verify", "bucket-1", True, "running")
    await walked(api, survey, WalkBegun(1, "node-a"), WalkProgressed("chunks", "7", 10, 40, {"chunks": 10}))
    body = (await api.client.get(path)).json()
    assert (body["node"], body["step"], body["done"], body["total"]) == ("node-a", "chunks", 10, 40)
    await walked(api, survey, WalkFound(tuple(MISSING)), WalkEnded("done", {"chunks": 40}))
    body = (await api.client.get(path)).json()
    assert (body["state"], body["clean"], body["found"], body["counts"]) == (
        "done",
        False,
        {"missing": 5},
        {"chunks": 40},
    )
    page = await api.client.get(f"{path}/findings?limit=3")
    assert [each["key"] for each in page.json()["items"]] == ["key-0", "key-1", "key-2"]
    rest = await api.client.get(page.links["next"]["url"])
    assert [each["key"] for each in rest.json()["items"]] == ["key-3", "key-4"]
    assert "next" not in rest.links
    listed = (await api.client.get("/api/v2/archive/surveys")).json()["items"]
    assert [each["id"] for each in listed] == [survey]


async def test_one_rebuild_of_a_bucket_at_a_time(api: Api) -> None:
    survey = await asked(api, "rebuilds", bucket="bucket-1")
    second = await api.client.post("/api/v2/archive/rebuilds", json={"bucket": "bucket-1"})
    assert (second.status_code, second.json()["code"]) == (409, "occupied")
    await asked(api, "rebuilds", bucket="bucket-2")
    await walked(api, survey, WalkEnded("done", {}))
    await asked(api, "rebuilds", bucket="bucket-1")


async def test_a_survey_is_cancelled_once_and_not_after_its_end(api: Api) -> None:
    survey = await asked(api)
    for _ in range(2):
        answer = await api.client.post(f"/api/v2/archive/surveys/{survey}/cancel")
        assert (answer.status_code, answer.json()["state"]) == (202, "cancelling")
    events = (await api.client.get(f"/api/v2/events?entity=survey/{survey}")).json()["items"]
    assert [event["type"] for event in events] == ["survey_asked", "survey_cancelled"]
    await walked(api, survey, WalkEnded("cancelled", {}))
    assert (await api.client.post(f"/api/v2/archive/surveys/{survey}/cancel")).status_code == 409


async def test_what_cannot_be_is_refused(api: Api) -> None:
    refused = {
        "verifications": [{"bucket": "?"}, {"job_id": "no"}, {"deep": "yes"}, {"prefix": "a"}],
        "rebuilds": [{}, {"bucket": "b/"}, {"bucket": "bucket-1", "prefix": "../x"}],
    }
    for what, bodies in refused.items():
        for body in bodies:
            answer = await api.client.post(f"/api/v2/archive/{what}", json=body)
            assert answer.status_code in {400, 422}, (body, answer.text)
    unknown = uuid4()
    assert (await api.client.get(f"/api/v2/archive/surveys/{unknown}")).status_code == 404
    assert (await api.client.get(f"/api/v2/archive/surveys/{UUID(int=0)}/findings")).status_code == 404
    assert (await api.client.get("/api/v2/archive/surveys/x")).status_code == 400
