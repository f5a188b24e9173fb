"""What version 1 answers, whole, to who asks wrongly: for every route, at the root and below /api/v1. What it answers to who asks rightly
stands in test_version_1.py; together they are every route that there is.
"""

from __future__ import annotations

import pytest

from nats3.api.routes import VERSION_1
from tests.api.conftest import Api

ID = "24ce1555-b937-4321-9fa2-5e853a833690"
JSON, TEXT = "application/json", "text/plain; charset=utf-8"
MISSING = (400, JSON, '{"error":"job_id: is missing; add ?job_id=<id of the job>"}')
INVALID = (400, JSON, '{"error":"job_id: \'x\' is no UUID; give the id that the job was made with"}')
UNKNOWN = (404, JSON, f'{{"error":"job id {ID} not found"}}')
NO_JSON = (415, TEXT, "Expected request with `Content-Type: application/json`")
SHORT = {
    "store": "stream: is missing; add it; subject: is missing; add it; bucket: is missing; add it",
    "load": "bucket: is missing; add it; read_stream: is missing; add it; read_subject: is missing; add it; "
    "write_subject: is missing; add it",
}
ALLOWED = {
    "/ping": {"GET", "HEAD"},
    "/health": {"GET", "HEAD"},
    "/ready": {"GET", "HEAD"},
    "/metrics": {"GET", "HEAD"},
    **{f"/{kind}/job": {"GET", "HEAD", "POST", "DELETE"} for kind in SHORT},
    **{f"/{kind}/jobs": {"GET", "HEAD"} for kind in SHORT},
    **{f"/{kind}/job/{step}": {"POST"} for kind in SHORT for step in ("pause", "resume")},
}
BY_ID = [(method, f"/{kind}/job") for kind in SHORT for method in ("GET", "DELETE")] + [
    ("POST", f"/{kind}/job/{step}") for kind in SHORT for step in ("pause", "resume")
]


@pytest.fixture(params=["", "/api/v1"])
def base(request: pytest.FixtureRequest) -> str:
    return request.param


def test_these_are_all_routes_of_version_1() -> None:
    named = {(method, path) for path, methods in ALLOWED.items() for method in methods - {"HEAD"}}
    assert {(entry.method, entry.path) for entry in VERSION_1} == named


async def test_an_id_that_is_missing_invalid_or_unknown(api: Api, base: str) -> None:
    for method, path in BY_ID:
        for query, wanted in (("", MISSING), ("?job_id=x", INVALID), (f"?job_id={ID}", UNKNOWN)):
            answer = await api.client.request(method, f"{base}{path}{query}")
            said = (answer.status_code, answer.headers["content-type"], answer.text)
            assert said == wanted, (method, path, query)


@pytest.mark.parametrize("kind", SHORT)
async def test_an_order_that_is_none(api: Api, base: str, kind: str) -> None:
    path, as_json = f"{base}/{kind}/job", {"Content-Type": JSON}
    plain = await api.client.post(path, content=b"{}", headers={"Content-Type": "text/plain"})
    assert (plain.status_code, plain.headers["content-type"], plain.text) == NO_JSON
    short = await api.client.post(path, content=b"{}", headers=as_json)
    assert (short.status_code, short.headers["content-type"], short.text) == (422, TEXT, SHORT[kind])
    none = await api.client.post(path, content=b"[]", headers=as_json)
    assert (none.status_code, none.text) == (422, "body: is no object; give a JSON object")
    assert await api.store.head() == 0


async def test_another_method_names_those_there_are(api: Api, base: str) -> None:
    for path, allowed in ALLOWED.items():
        for method in ("PUT", "PATCH", "OPTIONS"):
            answer = await api.client.request(method, base + path)
            said = (answer.status_code, answer.headers["content-type"], answer.text)
            assert said == (405, JSON, f'{{"error":"{method} is not possible here"}}'), path
            assert set(answer.headers["allow"].split(", ")) == allowed


async def test_a_list_passes_over_what_it_does_not_know_and_is_an_array_when_empty(api: Api, base: str) -> None:
    for kind in SHORT:
        for query in ("", "?whatever=1"):
            answer = await api.client.get(f"{base}/{kind}/jobs{query}")
            assert (answer.status_code, answer.headers["content-type"], answer.text) == (200, JSON, "[]")
