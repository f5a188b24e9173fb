"""Who may do what: tokens, roles, expiry, revocation."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from eventstore import migrate
from nats3.api.app import build
from nats3.api.door import Undeclared
from nats3.api.routes import ROUTES
from nats3.api.services import Rules
from tests.api.conftest import Api, running
from tests.api.test_guard import STORE


async def token(api: Api, role: str, admin: str = "", **said: Any) -> str:
    """A new token's text, made with the token of an admin, or with none while there is none."""
    headers = {"Authorization": f"Bearer {admin}"} if admin else {}
    body = {"name": f"a {role}", "role": role, **said}
    answer = await api.client.post("/api/v2/tokens", json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()["token"]


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


async def test_until_the_first_token_nobody_is_asked_and_from_then_on_everybody_is(api: Api) -> None:
    assert (await api.client.get("/api/v2/jobs")).status_code == 200
    admin = await token(api, "admin")
    answer = await api.client.get("/api/v2/jobs")
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert (await api.client.get("/api/v2/jobs", headers=bearer(admin))).status_code == 200
    assert (await api.client.get("/store/jobs")).json() == {"error": answer.json()["detail"]}


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"role": "read"}, "role"),
        ({"role": "operate"}, "role"),
        ({"role": "admin", "expires_in": "30d"}, "expires_in"),
        ({"role": "admin", "expires_at": "2030-01-01T00:00:00Z"}, "expires_at"),
        ({"role": "admin", "scope": {"streams": ["a"]}}, "scope"),
    ],
)
async def test_a_first_token_that_would_leave_nobody_who_can_make_another_is_refused(
    api: Api, said: dict[str, Any], field: str
) -> None:
    answer = await api.client.post("/api/v2/tokens", json={"name": "x", **said})
    (fault,) = answer.json()["errors"]
    assert (answer.status_code, fault["field"]) == (422, field)
    assert (await api.client.get("/api/v2/jobs")).status_code == 200, "nobody is locked out"
    admin = await admin_of(api)
    answer = await api.client.post("/api/v2/tokens", json={"name": "x", **said}, headers=bearer(admin))
    assert answer.status_code == (422 if field == "scope" else 201), "any later one may be so"


async def test_where_tokens_are_required_even_the_first_request_needs_one(postgres_url: str) -> None:
    await asyncio.to_thread(migrate.migrate, postgres_url)
    async with running(postgres_url, required=True) as api:
        assert (await api.client.get("/api/v2/jobs")).status_code == 401
        for path in ("/ping", "/health", "/ready"):
            assert (await api.client.get(path)).status_code == 200


async def test_ready_gives_reasons_only_to_who_may_read(api: Api) -> None:
    api.outside.faults["nats"] = "refuses the password"
    reader = await token(api, "read", await admin_of(api))
    without = await api.client.get("/ready")
    assert (without.status_code, "nats" in without.text) == (503, False)
    assert "refuses the password" in (await api.client.get("/ready", headers=bearer(reader))).text


async def test_the_log_keeps_the_digest_and_no_answer_shows_even_that(api: Api) -> None:
    admin = await admin_of(api)
    seen = await api.client.get("/api/v2/events?type=token_created", headers=bearer(admin))
    listed = await api.client.get("/api/v2/tokens", headers=bearer(admin))
    secret = admin.rpartition("_")[2]
    recorded = (await api.store.read_log(0, 10, {"token_created"}))[0]
    assert len(recorded.data["digest"]) == 64
    for text in (str(recorded.data), seen.text, listed.text):
        assert secret not in text
    assert recorded.data["digest"] not in seen.text + listed.text


async def test_a_command_is_recorded_with_the_token_that_gave_it_and_the_id_of_its_request(api: Api) -> None:
    admin = await admin_of(api)
    operator = await token(api, "operate", admin)
    request_id = "0f2a9d52-6b0e-4c46-9f3e-0c0f2b1a7a11"
    made = await api.client.post("/store/job", json=STORE, headers={**bearer(operator), "X-Request-Id": request_id})
    events = await api.client.get(f"/api/v2/jobs/{made.json()['id']}/events", headers=bearer(operator))
    (event,) = events.json()["items"]
    assert (event["actor"], event["correlation_id"]) == (f"token/{operator.split('_')[1]}", request_id)
    assert (await api.client.get("/api/v2/events?type=token_created", headers=bearer(operator))).json()["items"][1][
        "actor"
    ] == f"token/{admin.split('_')[1]}"


async def test_a_request_is_reported_with_who_asked_and_never_with_what_they_showed(api: Api) -> None:
    admin = await admin_of(api)
    for headers in ({}, bearer(admin), bearer(f"{admin}0")):
        await api.client.get("/api/v2/jobs", headers=headers)
    assert api.told.actors == ["anonymous", "anonymous", f"token/{admin.split('_')[1]}", "anonymous"]


async def test_a_token_ends_when_it_expires(api: Api) -> None:
    admin = await admin_of(api)
    reader = await token(api, "read", admin, expires_in="1h")
    assert (await api.client.get("/api/v2/jobs", headers=bearer(reader))).status_code == 200
    api.clock.now += timedelta(hours=1)
    answer = await api.client.get("/api/v2/jobs", headers=bearer(reader))
    assert (answer.status_code, answer.json()["detail"]) == (401, "the token has expired: make another")


async def test_a_revoked_token_opens_nothing_on_any_node_from_its_answer_on(api: Api, postgres_url: str) -> None:
    admin = await admin_of(api)
    reader = await token(api, "read", admin)
    async with running(postgres_url, required=True) as other:
        for turn in range(5):
            assert (await other.client.get("/api/v2/jobs", headers=bearer(reader))).status_code == 200, turn
        gone = await api.client.delete(f"/api/v2/tokens/{reader.split('_')[1]}", headers=bearer(admin))
        assert gone.status_code == 204
        answer = await other.client.get("/api/v2/jobs", headers=bearer(reader))
        assert (answer.status_code, answer.json()["detail"]) == (401, "the token was revoked: make another")
        again = await api.client.delete(f"/api/v2/tokens/{reader.split('_')[1]}", headers=bearer(admin))
        assert again.status_code == 204


async def test_revocation_and_expiry_end_what_is_still_being_answered(api: Api) -> None:
    admin = await admin_of(api)
    for way in ("revoked", "expired"):
        reader = await token(api, "read", admin, **({} if way == "revoked" else {"expires_in": "300ms"}))
        began = asyncio.Event()
        ended: dict[str, Any] = {}
        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            tasks.create_task(follow(api, reader, began, ended))
            await began.wait()
            assert api.services.streams.taken == 1
            if way == "revoked":
                await api.client.delete(f"/api/v2/tokens/{reader.split('_')[1]}", headers=bearer(admin))
        assert ended["more_body"] is False, "the stream ends in order, and the client may come again"
        assert api.services.streams.taken == 0


async def follow(api: Api, text: str, began: asyncio.Event, ended: dict[str, Any]) -> None:
    """An SSE client, spoken to in ASGI since the client in-process reads whole answers only."""
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/api/v2/events",
        "raw_path": b"/api/v2/events",
        "query_string": b"follow=true",
        "headers": [(b"host", b"localhost"), (b"authorization", f"Bearer {text}".encode())],
        "client": ("127.0.0.1", 1),
    }

    async def receive() -> dict[str, Any]:
        if not began.is_set():
            began.set()
            return {"type": "http.request", "body": b"", "more_body": False}
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            assert message["status"] == 200
        ended.update(message)

    await build(api.services)(scope, receive, send)  # type: ignore[arg-type]


async def admin_of(api: Api) -> str:
    """The first token, and nobody comes in without one any more."""
    return await token(api, "admin")


BAD = ["", "n3_", "x", "n3_" + "0" * 16 + "_" + "0" * 64, "n3_" + "0" * 16 + "_" + "é" * 64, "a b c", "n3_" * 3000]


async def test_what_is_no_token_of_ours_opens_nothing(api: Api) -> None:
    admin = await admin_of(api)
    other = admin[:-1] + ("0" if admin[-1] != "0" else "1")
    for text in (*BAD, other, admin.upper(), f"{admin}0", admin[:-1]):
        answer = await api.client.get("/api/v2/jobs", headers={"Authorization": f"Bearer {text}".encode()})
        assert (text, answer.status_code) == (text, 401)
    for header in (admin, f"Basic {admin}", f"Token {admin}", "Bearer"):
        assert (await api.client.get("/api/v2/jobs", headers={"Authorization": header})).status_code == 401
    twice = [("Authorization", "Bearer x"), ("Authorization", f"Bearer {admin}")]
    assert (await api.client.get("/api/v2/jobs", headers=twice)).status_code == 401


ROLES = ("read", "operate", "admin")


async def test_each_route_takes_its_role_and_those_above_and_no_other(api: Api) -> None:
    admin = await admin_of(api)
    texts = {role: await token(api, role, admin) for role in ROLES}
    for entry in ROUTES:
        path = entry.path.replace("{id}", "0" * 8).replace("{id:path}", "job/x").replace("{position}", "1")
        path = path.replace("{name}", "nothing")
        for role in ROLES:
            answer = await api.client.request(entry.method, path, headers=bearer(texts[role]))
            refused = entry.role != "open" and ROLES.index(role) < ROLES.index(entry.role)
            assert (answer.status_code == 403) == refused, (entry, role, answer.status_code, answer.text)
            assert answer.status_code != 401, (entry, role)
        answer = await api.client.request(entry.method, path)
        assert (answer.status_code == 401) == (entry.role != "open"), (entry, answer.status_code)


async def test_a_route_without_a_role_keeps_the_program_from_starting(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    for role in ("", None, "Read", "anyone"):
        forgotten = replace(ROUTES[0], role=role)  # type: ignore[arg-type]
        monkeypatch.setattr("nats3.api.app.ROUTES", (*ROUTES[1:], forgotten))
        with pytest.raises(Undeclared, match="does not say which role it wants"):
            build(api.services)


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"name": "", "role": "read"}, "name"),
        ({"name": "x" * 256, "role": "read"}, "name"),
        ({"name": "x", "role": "root"}, "role"),
        ({"name": "x", "role": "admin", "scope": {"streams": ["a"]}}, "scope"),
        ({"name": "x", "role": "read", "scope": {"streams": [""]}}, "streams"),
        ({"name": "x", "role": "read", "scope": {"jobs": ["a"] * 33}}, "scope.jobs"),
        ({"name": "x", "role": "read", "expires_in": "soon"}, "expires_in"),
        ({"name": "x", "role": "read", "expires_in": "0s"}, "expires_at"),
        ({"name": "x", "role": "read", "expires_in": "9999999999y"}, "expires_in"),
        ({"name": "x", "role": "read", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "x", "role": "read", "expires_at": "2030-01-01T00:00:00Z", "expires_in": "1h"}, "expires_at"),
        ({"name": "x", "role": "read", "more": 1}, "more"),
        ({"role": "read"}, "name"),
    ],
)
async def test_a_token_that_cannot_be_is_refused_with_the_field_and_nothing_is_recorded(
    api: Api, said: dict[str, Any], field: str
) -> None:
    answer = await api.client.post("/api/v2/tokens", json=said)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
    assert await api.store.head() == 0


async def test_tokens_are_listed_in_pages_with_what_became_of_them(api: Api) -> None:
    admin = await admin_of(api)
    texts = [await token(api, "read", admin, scope={"streams": ["orders*"]}, expires_in="1d") for _ in range(3)]
    await api.client.delete(f"/api/v2/tokens/{texts[1].split('_')[1]}", headers=bearer(admin))
    first = await api.client.get("/api/v2/tokens?limit=3", headers=bearer(admin))
    rest = await api.client.get(first.links["next"]["url"], headers=bearer(admin))
    found = first.json()["items"] + rest.json()["items"]
    assert [each["state"] for each in found] == ["valid", "valid", "revoked", "valid"]
    assert found[1]["scope"] == {"jobs": [], "streams": ["orders*"], "buckets": [], "subjects": []}
    assert (await api.client.get("/api/v2/tokens/" + "0" * 16, headers=bearer(admin))).status_code == 404
    assert (await api.client.get("/api/v2/tokens/%00", headers=bearer(admin))).status_code in (400, 404)


async def test_metrics_are_told_without_a_token_only_where_that_was_said(api: Api) -> None:
    await admin_of(api)
    assert (await api.client.get("/metrics")).status_code == 401
    transport = httpx2.ASGITransport(build(replace(api.services, rules=Rules(metrics_public=True))))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        assert (await client.get("/metrics")).status_code == 200
        assert (await client.get("/api/v2/jobs")).status_code == 401
