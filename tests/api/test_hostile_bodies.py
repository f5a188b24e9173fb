"""Bodies that are made to cost: told shortly why they are refused, and read where they hold up nobody."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from nats3.api.app import build
from nats3.api.errors import MOST_FAULTS
from nats3.api.guard import MAX_BODY
from nats3.api.on_nats import OFFERS, Inside
from nats3.api.openapi import document
from nats3.api.reading import judged
from nats3.api.routes import ROUTES
from tests.api.conftest import Api
from tests.api.hostile_bodies import BODIES

DOCUMENT = document(ROUTES)
SHORT = 20_000
"""Bytes of an answer that says what is wrong with a body."""

LOAD = {"kind": "load", "bucket": "bucket-1", "read_stream": "jobs"}


def requested() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema that a request body may have, by name, with those inside it."""
    schemas = DOCUMENT["components"]["schemas"]
    left = [
        operation["requestBody"]
        for methods in DOCUMENT["paths"].values()
        for operation in methods.values()
        if "requestBody" in operation
    ]
    known: set[str] = set()
    while left:
        text = json.dumps(left.pop())
        for name in schemas:
            if f'"#/components/schemas/{name}"' in text and name not in known:
                known.add(name)
                left.append(schemas[name])
                yield name, schemas[name]


def parts(value: object) -> Iterator[dict[str, Any]]:
    """A schema and all that are inside it."""
    if isinstance(value, dict):
        yield value
        for each in value.values():
            yield from parts(each)
    elif isinstance(value, list):
        for each in value:
            yield from parts(each)


def test_every_list_and_every_map_that_a_request_may_hold_has_a_largest_length() -> None:
    without = [
        (name, part)
        for name, schema in requested()
        for part in parts(schema)
        if (part.get("type") == "array" and "maxItems" not in part)
        or (isinstance(part.get("additionalProperties"), dict) and "maxProperties" not in part)
    ]
    assert without == []
    assert {"LoadV2", "ScopeV2", "TransformV2", "StoreV1"} <= {name for name, _ in requested()}


@pytest.mark.parametrize("what", BODIES)
async def test_a_body_that_is_wrong_a_thousand_times_is_refused_in_few_words(api: Api, what: str) -> None:
    path, body = BODIES[what]
    assert 700_000 < len(body) <= MAX_BODY
    answer = await api.client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422), answer.text[:200]
    assert len(answer.content) < SHORT


async def test_so_many_faults_are_named_and_the_others_are_counted(api: Api) -> None:
    wrong = {f"unknown_{at}": 1 for at in range(MOST_FAULTS + 7)}
    answer = await api.client.post("/api/v2/jobs", json={**LOAD, **wrong})
    assert len(answer.json()["errors"]) == MOST_FAULTS
    assert answer.json()["detail"].endswith("; and 7 faults more")
    few = await api.client.post("/api/v2/jobs", json={**LOAD, "unknown": 1})
    assert few.json()["detail"] == "unknown: is unknown; leave it out"
    query = "&".join(f"unknown_{at}=1" for at in range(MOST_FAULTS + 7))
    asked = await api.client.get(f"/api/v2/jobs?{query}")
    assert (asked.status_code, len(asked.json()["errors"])) == (422, MOST_FAULTS)


@pytest.mark.parametrize("field", ["read_subjects", "subject_transforms", "read_headers"])
async def test_what_lists_too_many_is_refused_with_how_many_it_may(api: Api, field: str) -> None:
    many: dict[str, Any] = {
        "read_subjects": ["a.b"] * 65,
        "subject_transforms": [{"src": "a", "dest": "b"}] * 65,
        "read_headers": {f"H{at}": "x" for at in range(65)},
    }
    answer = await api.client.post("/api/v2/jobs", json={**LOAD, field: many[field]})
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"field": field, "fault": "lists too many", "remedy": "list at most 64"}]


async def test_a_large_body_is_judged_off_the_loop_and_one_after_the_other() -> None:
    """A small one is judged where it was read: to hand it to a thread costs more than it takes."""
    where: list[int] = []
    inside = 0

    def judge(value: object) -> object:
        nonlocal inside
        where.append(threading.get_ident())
        inside += 1
        assert inside == 1, "another one is judged"
        large = sum(map(len, value)) if isinstance(value, list) else 0
        inside -= 1
        return large

    one_by_one = asyncio.Lock()
    assert await judged(b"[]", judge, one_by_one) == 0
    assert where == [threading.get_ident()]
    large = json.dumps(["x" * 1000] * 100).encode()
    async with asyncio.TaskGroup() as tasks:
        several = [tasks.create_task(judged(large, judge, one_by_one)) for _ in range(6)]
    assert [task.result() for task in several] == [100_000] * 6
    assert threading.get_ident() not in where[1:]


async def test_a_message_on_nats_is_bound_as_a_body_is(api: Api) -> None:
    asks = Inside(build(api.services))
    create = next(offer for offer in OFFERS if offer.name == "jobs-create")
    answered = await asks(create, b'{"kind": "' + b"x" * MAX_BODY + b'"}')
    assert answered.status == 413
    for path, body in BODIES.values():
        if path == "/api/v2/jobs":
            answered = await asks(create, body)
            assert (answered.status, len(answered.body) < SHORT) in {(422, True), (400, True)}
