"""The description of the API: whole, equal to what is served and committed, and true."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from random import SystemRandom
from typing import Any

import jsonschema_rs
import pytest

from eventstore import Position
from nats3.api.follow import frame
from nats3.api.openapi import document, operation_id, text_of
from nats3.api.routes import ROUTES, Entry
from tests.api.conftest import Api
from tests.api.fuzz import Fuzz
from tests.api.fuzz_requests import HEADS

DOCUMENT = document(ROUTES)
COMMITTED = Path(__file__).parents[2] / "docs/openapi.json"
ID = "24ce1555-b937-4321-9fa2-5e853a833690"


def test_the_committed_copy_is_what_the_table_of_routes_says() -> None:
    assert COMMITTED.read_text("utf-8") == text_of(ROUTES), "python -m nats3.api.openapi > docs/openapi.json"


async def test_it_is_served_as_it_is_committed(api: Api) -> None:
    for path in ("/openapi.json", "/api/v2/openapi.json"):
        answer = await api.client.get(path)
        assert (answer.status_code, answer.text) == (200, COMMITTED.read_text("utf-8"))
        assert answer.headers["content-type"] == "application/json"


def test_every_route_stands_in_it_under_an_id_of_its_own_with_its_role() -> None:
    told = {
        operation["operationId"]: operation["x-role"]
        for methods in DOCUMENT["paths"].values()
        for operation in methods.values()
    }
    assert told == {operation_id(entry.method, entry.path): entry.role for entry in ROUTES}


def test_a_command_without_a_body_may_be_refused_for_one_that_does_not_arrive() -> None:
    """It is looked at, since one that says something is refused."""
    commands = [
        methods[method]
        for path, methods in DOCUMENT["paths"].items()
        for method in methods.keys() - {"get"}
        if path.startswith("/api/v2/")
    ]
    assert len(commands) > 10
    assert all("408" in each["responses"] for each in commands)


def test_every_reference_leads_somewhere_and_nothing_is_left_over() -> None:
    used = set(re.findall(r'"#/components/(\w+)/(\w+)"', json.dumps(DOCUMENT).replace("X-Request-Id", "XRequestId")))
    there = {(room, name.replace("-", "")) for room, parts in DOCUMENT["components"].items() for name in parts}
    others = {"headers", "securitySchemes"}
    assert {(room, name) for room, name in used if room not in others} == {
        (room, name) for room, name in there if room not in others
    }


async def test_an_event_of_the_live_log_is_described_one_by_one(api: Api) -> None:
    """As a reader of OpenAPI 3.1 takes an event stream: the schema is that of each event, its data JSON within."""
    await api.client.post("/api/v2/jobs", json={"kind": "store", "stream": "jobs", "bucket": "bucket-1"})
    (event,) = await api.store.read_log(Position(0), 10)
    said = dict(line.split(": ", 1) for line in frame(event).decode().splitlines() if line)
    answers = DOCUMENT["paths"]["/api/v2/events"]["get"]["responses"]["200"]["content"]
    live = answers["text/event-stream"]["schema"]
    for schema, value in ((live, said), (live["properties"]["data"]["contentSchema"], json.loads(said["data"]))):
        whole = {**schema, "components": DOCUMENT["components"]}
        jsonschema_rs.validate(whole, value)
        with pytest.raises(jsonschema_rs.ValidationError):
            jsonschema_rs.validate(whole, {**value, next(iter(value)): None})


def examples() -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, name, example["value"])
        for path, methods in DOCUMENT["paths"].items()
        for method, operation in methods.items()
        if method == "post" and path.endswith(("/job", "/jobs"))
        for name, example in operation["requestBody"]["content"]["application/json"]["examples"].items()
    ]


@pytest.mark.parametrize(("path", "name", "body"), examples(), ids=lambda value: str(value)[:30])
async def test_every_example_of_an_order_is_taken(api: Api, path: str, name: str, body: dict[str, Any]) -> None:
    answer = await api.client.post(path, json=body)
    assert answer.status_code in (200, 201), (name, answer.text)


def _example(path: str) -> str:
    whole = path.replace("{id:path}", f"job/{ID}").replace("/jobs/{id}", f"/jobs/{ID}")
    return whole.replace("{id}", "1").replace("{position}", "1").replace("{name}", "jobs")


@pytest.mark.parametrize("entry", [e for e in ROUTES if e.path.startswith("/api/v2/")], ids=lambda e: e.method + e.path)
async def test_a_route_of_version_2_knows_the_parameters_that_it_is_described_with_and_no_other(
    api: Api, entry: Entry
) -> None:
    answer = await api.client.request(entry.method, _example(entry.path) + "?no_such_parameter=1")
    if entry.path.endswith("openapi.json"):
        return
    assert answer.status_code == 422, answer.text
    (fault,) = answer.json()["errors"]
    known = ", ".join(parameter.name for parameter in entry.says.query) or "none"
    assert sorted(fault["remedy"].removeprefix("known are: ").split(", ")) == sorted(known.split(", "))


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        self.tags.add(tag)
        assert not any(name.startswith("on") or name == "style" for name in said), "a strict CSP forbids it"
        self.ids |= {said["id"]} if said.get("id") else set()
        self.links += [said[name] or "" for name in ("href", "src") if name in said]


async def test_the_page_has_every_route_and_needs_nothing_from_anywhere_else(api: Api) -> None:
    page = await api.client.get("/docs")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    links = _Links()
    links.feed(page.text)
    assert not {"script", "style", "iframe", "img"} & links.tags
    inner = {link[1:] for link in links.links if link.startswith("#")}
    assert inner <= links.ids
    assert inner >= {operation_id(entry.method, entry.path) for entry in ROUTES}
    for link in links.links:
        assert link.startswith("#") or (await api.client.get(link)).status_code == 200


@pytest.mark.parametrize("what", HEADS)
async def test_what_is_refused_for_its_head_is_described_at_every_route(api: Api, what: str) -> None:
    query, headers, status = HEADS[what]
    for entry in ROUTES:
        address = f"{_example(entry.path)}?{query.decode()}".encode()
        sent = [*([] if what == "another host" else [(b"host", b"localhost")]), *headers]
        answer = await api.client.request(entry.method, address.decode(), headers=sent)
        path = re.sub(r"\{(\w+):path\}", r"{\1}", entry.path)
        described = DOCUMENT["paths"][path][entry.method.lower()]["responses"]
        assert (entry.path, answer.status_code) == (entry.path, status), answer.text[:100]
        assert str(status) in described, (entry.method, entry.path)


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_no_answer_is_a_fault_of_ours_or_one_that_is_not_described(api: Api) -> None:
    """Another seed each time; `make faults ARGS=api` asks ten times as much."""
    seed = SystemRandom().randrange(10**6)
    played = await Fuzz(api, seed).play(SAMPLE)
    assert played.faults == [], f"python -m tests.api.fuzz --requests {SAMPLE} --seed {seed}"
    assert played.requests == SAMPLE
    assert {200, 201, 202, 204, 400, 401, 403, 404, 409, 413, 415, 421, 422, 431} <= set(played.statuses), (
        played.statuses
    )
    assert len(played.by_asker) == ASKERS
    assert len(played.unheard) <= UNHEARD, played.unheard


SAMPLE = 20_000
ASKERS = 8
UNHEARD = 6
"""Routes that chance need not have found the right words for: to sign in, to pass over a poison event, and such."""
