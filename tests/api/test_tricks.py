"""Ways around the door: every one of them ends before it, whatever the route."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlencode

import pytest

from nats3.api.routes import ROUTES, Entry
from tests.api.conftest import Api
from tests.api.test_tokens import admin_of, bearer, token

ID = "24ce1555-b937-4321-9fa2-5e853a833690"


def filled(entry: Entry) -> str:
    path = entry.path.replace("{id:path}", f"job/{ID}").replace("{id}", ID).replace("{position}", "1")
    return path.replace("{name}", "jobs")


def written_otherwise(path: str) -> list[str]:
    """The same path as somebody might write it who hopes that two parts of a program read it differently."""
    first, rest = path[1:].partition("/")[::2]
    return [
        path,
        f"/{path}",
        path.replace("/", "//"),
        f"{path}/",
        f"{path}/.",
        f"/ping/..{path}",
        f"/health%2f..{path}",
        f"/{first}%2f{rest}",
        path[:-1] + f"%{ord(path[-1]):02x}",
        f"{path}%00",
        f"{path}%00/ping",
        f"{path};/ping",
        f"{path}?/ping",
        f"{path}%3f",
        path.upper(),
        f"/ping{path}",
    ]


HEADERS: tuple[dict[str, str], ...] = (
    {},
    {"X-HTTP-Method-Override": "GET", "X-Method-Override": "HEAD", "X-HTTP-Method": "OPTIONS"},
    {"X-Original-URL": "/ping", "X-Rewrite-URL": "/ping"},
    {"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "localhost"},
    {"X-Forwarded-Prefix": "/ping", "X-Script-Name": "/ping"},
    {"Host": "localhost/ping?"},
    {"Host": "localhost:8080@evil/ping"},
    {"Cookie": "nats3=x; __Host-nats3=y"},
    {"Authorization": "Bearer null"},
    {"Authorization": "Basic YWRtaW46YWRtaW4="},
)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY")


@pytest.mark.timeout(120)
async def test_no_way_of_asking_gets_past_a_door_without_its_token(api: Api) -> None:
    """Each route in every spelling, with every header and method: never a 2xx, and nothing is recorded."""
    admin = await admin_of(api)
    expired = await token(api, "admin", admin, expires_in="1h")
    revoked = await token(api, "admin", admin)
    await api.client.delete(f"/api/v2/tokens/{revoked.split('_')[1]}", headers=bearer(admin))
    api.clock.now += timedelta(hours=2)
    closed = [entry for entry in ROUTES if entry.role != "open"]
    before = await api.store.head()
    tried = 0
    for entry in closed:
        path = filled(entry)
        for spelling in written_otherwise(path):
            tried += await refused(api, entry.method, spelling, {})
        for headers in (*HEADERS, bearer(expired), bearer(revoked)):
            tried += await refused(api, entry.method, path, headers)
        for method in METHODS:
            tried += await refused(api, method, path, {})
        tried += await refused(api, "POST", f"{path}?{urlencode({'_method': entry.method, 'access_token': admin})}", {})
    assert await api.store.head() == before
    assert tried > 30 * len(closed)


async def refused(api: Api, method: str, path: str, headers: dict[str, str]) -> int:
    answer = await api.client.request(method, path, headers=headers)
    assert 400 <= answer.status_code < 500, (method, path, headers, answer.status_code, answer.text[:200])
    assert "access-control-allow-origin" not in answer.headers
    return 1


@pytest.mark.timeout(60)
async def test_a_lower_role_gets_past_no_door_of_a_higher_one_in_any_spelling(api: Api) -> None:
    admin = await admin_of(api)
    texts = {"operate": await token(api, "read", admin), "admin": await token(api, "operate", admin)}
    before = await api.store.head()
    for entry in ROUTES:
        if entry.role in texts:
            for spelling in written_otherwise(filled(entry)):
                await refused(api, entry.method, spelling, bearer(texts[entry.role]))
    assert await api.store.head() == before


PAGES = [
    ({"Sec-Fetch-Site": "cross-site"}, 403),
    ({"Sec-Fetch-Site": "same-site"}, 403),
    ({"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"}, 403),
    ({"Origin": "http://evil.example"}, 403),
    ({"Origin": "null"}, 403),
    ({"Origin": "http://localhost.evil.example"}, 403),
    ({"Origin": "http://localhost:1"}, 403),
    ({"Sec-Fetch-Site": "same-origin"}, 200),
    ({"Sec-Fetch-Site": "none"}, 200),
    ({"Origin": "http://localhost"}, 200),
    ({}, 200),
]


@pytest.mark.parametrize(("headers", "status"), PAGES, ids=str)
async def test_a_page_of_another_site_commands_nothing(api: Api, headers: dict[str, str], status: int) -> None:
    """Also where no token is asked for, since any page may send a form to a loopback address."""
    job = (await api.client.post("/store/job", json={"stream": "jobs", "subject": "a", "bucket": "bucket-1"})).json()
    answer = await api.client.post(f"/store/job/pause?job_id={job['id']}", headers=headers)
    assert answer.status_code == status, answer.text


async def test_a_preflight_is_not_granted_anything(api: Api) -> None:
    asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    for entry in ROUTES:
        answer = await api.client.request("OPTIONS", filled(entry), headers=asked)
        assert answer.status_code == 405
        assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_every_answer_tells_browsers_to_trust_nothing(api: Api) -> None:
    for path in ("/ping", "/nowhere", "/login", "/docs", "/api/v2/jobs", "/store/job?job_id=x"):
        headers = (await api.client.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
