"""A browser's session: a token for a cookie, which ends with it, and by itself."""

from __future__ import annotations

from datetime import timedelta
from html.parser import HTMLParser

import httpx2

from tests.api.conftest import Api
from tests.api.test_tokens import admin_of, bearer, token

FORM = {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}


async def sign_in(api: Api, text: str, **headers: str) -> httpx2.Response:
    return await api.client.post("/login", content=f"token={text}".encode(), headers={**FORM, **headers})


def cookie_of(answer: httpx2.Response) -> str:
    """As a browser sends it back; the client of these tests keeps none."""
    return answer.headers["set-cookie"].partition(";")[0]


class _Inline(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [tag] * (tag in ("script", "style")) + [
            name for name, _ in attrs if name.startswith(("on", "style"))
        ]


async def test_a_token_opens_a_session_whose_cookie_stands_for_it(api: Api) -> None:
    admin = await admin_of(api)
    operator = await token(api, "operate", admin)
    answer = await sign_in(api, operator)
    api.client.cookies.clear()
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    said = answer.headers["set-cookie"].lower()
    assert "httponly" in said
    assert "samesite=strict" in said
    assert operator not in said
    cookie = {"Cookie": cookie_of(answer), "Sec-Fetch-Site": "same-origin"}
    assert (await api.client.get("/api/v2/jobs", headers=cookie)).status_code == 200
    assert (await api.client.get("/api/v2/tokens", headers=cookie)).status_code == 403
    made = await api.client.post(
        "/store/job", json={"stream": "jobs", "subject": "a", "bucket": "bucket-1"}, headers=cookie
    )
    events = await api.client.get(f"/api/v2/jobs/{made.json()['id']}/events", headers=cookie)
    assert events.json()["items"][0]["actor"] == f"token/{operator.split('_')[1]}"
    for page in ("/login",):
        for headers in ({}, cookie):
            shown = await api.client.get(page, headers=headers)
            inline = _Inline()
            inline.feed(shown.text)
            assert (shown.status_code, inline.found) == (200, [])


async def test_over_tls_the_cookie_is_bound_to_this_host(api: Api) -> None:
    admin = await admin_of(api)
    transport = api.client._transport
    async with httpx2.AsyncClient(transport=transport, base_url="https://localhost") as client:
        answer = await client.post("/login", content=f"token={admin}".encode(), headers=FORM)
    said = answer.headers["set-cookie"]
    assert said.startswith("__Host-nats3=")
    assert "Secure" in said
    assert "Domain" not in said
    assert "strict-transport-security" in answer.headers


async def test_a_cookie_is_good_for_no_command_that_does_not_come_from_a_page_of_ours(api: Api) -> None:
    admin = await admin_of(api)
    cookie = cookie_of(await sign_in(api, admin))
    api.client.cookies.clear()
    for headers in ({}, {"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = await api.client.post("/api/v2/projections/jobs/verify", headers={"Cookie": cookie, **headers})
        assert (answer.status_code, answer.json()["code"]) == (403, "cross_site")


async def test_a_session_ends_by_signing_out_by_its_age_and_with_its_token(api: Api) -> None:
    admin = await admin_of(api)
    reader = await token(api, "read", admin)

    async def works(cookie: str) -> bool:
        api.client.cookies.clear()
        return (await api.client.get("/api/v2/jobs", headers={"Cookie": cookie})).status_code == 200

    signed_out, aged, revoked = [cookie_of(await sign_in(api, reader)) for _ in range(3)]
    api.client.cookies.clear()
    gone = await api.client.post("/logout", headers={"Cookie": signed_out, "Sec-Fetch-Site": "same-origin"})
    assert gone.status_code == 303
    assert [await works(cookie) for cookie in (signed_out, aged, revoked)] == [False, True, True]
    api.clock.now += timedelta(hours=13)
    assert not await works(aged)
    fresh = cookie_of(await sign_in(api, reader))
    assert await works(fresh)
    await api.client.delete(f"/api/v2/tokens/{reader.split('_')[1]}", headers=bearer(admin))
    assert not await works(fresh)
    api.client.cookies.clear()


async def test_a_token_that_opens_nothing_brings_the_form_again(api: Api) -> None:
    admin = await admin_of(api)
    for text in ("", "x", admin[:-1], "%3Cscript%3E"):
        answer = await sign_in(api, text)
        assert (answer.status_code, "set-cookie" in answer.headers) == (401, False)
        assert "<form" in answer.text
        assert "<script" not in answer.text
    refused = await api.client.post("/login", json={"token": admin})
    assert refused.status_code == 415
    assert (await sign_in(api, admin, **{"Sec-Fetch-Site": "cross-site"})).status_code == 403


async def test_the_log_keeps_only_the_digest_of_a_cookie(api: Api) -> None:
    admin = await admin_of(api)
    cookie = cookie_of(await sign_in(api, admin)).partition("=")[2]
    events = await api.client.get("/api/v2/events", headers=bearer(admin))
    api.client.cookies.clear()
    assert "session_opened" in events.text
    assert cookie.rpartition("_")[2] not in events.text
    assert "digest" not in events.text
