"""The API as a micro service answers and refuses as it does over HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nats3.api.app import build
from nats3.api.on_nats import OFFERS, Inside, Offer, refused
from tests.api.conftest import Api
from tests.api.test_version_2_contents import archived

BY_NAME = {offer.name: offer for offer in OFFERS}
WITH_ID = [offer for offer in OFFERS if "{id}" in offer.path]
MEMBERS = ["type", "title", "status", "detail", "instance", "code", "errors"]


async def asked(api: Api, offer: Offer, payload: bytes) -> tuple[int, Any]:
    answered = await Inside(build(api.services))(offer, payload)
    return answered.status, json.loads(answered.body)


async def test_the_id_of_a_list_is_taken_as_it_was_given(api: Api) -> None:
    await archived(api)
    _, listed = await asked(api, BY_NAME["chunks-list"], b"{}")
    (chunk,) = listed["items"]
    for name in ("chunks-get", "chunks-messages"):
        as_number = await asked(api, BY_NAME[name], json.dumps({"id": chunk["id"]}).encode())
        assert as_number == await asked(api, BY_NAME[name], json.dumps({"id": str(chunk["id"])}).encode())
        assert as_number[0] == 200


@pytest.mark.parametrize("offer", WITH_ID, ids=lambda offer: offer.name)
@pytest.mark.parametrize(
    ("payload", "fault"),
    [
        (b"", "is missing"),
        (b"{}", "is missing"),
        (b'{"id": null}', "is neither text nor number"),
        (b'{"id": ["a"]}', "is neither text nor number"),
        (b'{"id": true}', "is neither text nor number"),
    ],
)
async def test_an_id_that_is_none_is_named_in_a_whole_problem(
    api: Api, offer: Offer, payload: bytes, fault: str
) -> None:
    status, problem = await asked(api, offer, payload)
    assert (status, list(problem)) == (400, MEMBERS)
    assert (problem["code"], problem["type"]) == ("bad_parameter", "urn:nats3:problem:bad_parameter")
    assert problem["errors"] == [{"field": "id", "fault": fault, "remedy": "send the id that an answer gave"}]
    assert problem["detail"] == f"id: {fault}; send the id that an answer gave"
    assert problem["instance"] == offer.path


@pytest.mark.parametrize("payload", [b"[", b"[]", b'"x"', b'{"a": 1, "a": 2}'])
async def test_what_is_no_json_object_is_refused_as_over_http(api: Api, payload: bytes) -> None:
    for offer in OFFERS:
        status, problem = await asked(api, offer, payload)
        assert (status, list(problem), problem["code"]) == (400, MEMBERS, "not_json")


async def test_a_value_that_no_query_has_is_refused_and_never_spelt_out(api: Api) -> None:
    status, problem = await asked(api, BY_NAME["jobs-list"], b'{"name": null, "stream": {"a": 1}, "state": [1, []]}')
    assert (status, problem["code"]) == (422, "bad_query")
    assert [each["field"] for each in problem["errors"]] == ["name", "stream", "state"]


async def test_several_values_are_a_list(api: Api) -> None:
    wanted = json.dumps({"state": ["created", "paused"], "limit": 5}).encode()
    assert await asked(api, BY_NAME["jobs-list"], wanted) == (200, {"items": []})


async def test_what_the_service_refuses_before_it_asks_is_a_problem_too() -> None:
    problem = json.loads(refused(BY_NAME["jobs-list"], 503, "too many requests wait here: try again"))
    assert (list(problem), problem["code"], problem["errors"]) == (MEMBERS, "unavailable", [])
    assert json.loads(refused(BY_NAME["jobs-list"], 413, "ask for less"))["code"] == "too_large"
