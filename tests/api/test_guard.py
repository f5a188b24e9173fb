"""What holds for every route: hosts, sizes, times, ids of requests, a lost database, bugs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import UUID, uuid4

import httpx2
import pytest

from eventstore import migrate
from nats3.api import guard
from nats3.api.app import build
from nats3.api.routes import ROUTES, Entry
from nats3.dev.postgres_server import PostgresServer
from tests.api.conftest import Api, running

STORE = {"name": "job-1", "stream": "jobs", "subject": "subject-1", "bucket": "bucket-1"}


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8080", "127.0.0.1:9", "[::1]:8080"])
async def test_loopback_names_are_answered(api: Api, host: str) -> None:
    assert (await api.client.get("/ping", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example:8080", "", "127.0.0.1.evil", "[::2]", "@"])
async def test_another_host_is_refused_on_every_route(api: Api, host: str) -> None:
    for path in ("/ping", "/store/jobs", "/nowhere", "/api/v2/jobs"):
        answer = await api.client.get(path, headers={"Host": host})
        assert answer.status_code == 421


async def test_an_answer_carries_the_id_of_its_request(api: Api) -> None:
    mine = str(uuid4())
    assert (await api.client.get("/ping", headers={"X-Request-Id": mine})).headers["x-request-id"] == mine
    assert UUID((await api.client.get("/nowhere", headers={"X-Request-Id": "x"})).headers["x-request-id"])
    assert (await api.client.get("/ping")).headers["x-content-type-options"] == "nosniff"


async def test_requests_are_reported_by_route_and_never_by_path(api: Api) -> None:
    await api.client.get(f"/api/v2/jobs/{uuid4()}")
    await api.client.get("/nowhere/at/all")
    assert api.told.requests == [("GET", "/api/v2/jobs/{id}", 404), ("GET", "other", 404)]


@pytest.mark.parametrize(
    ("path", "headers"),
    [("/ping?" + "a" * 60_000, {}), ("/ping/" + "a" * 17_000, {}), ("/ping", {"X": "a" * 17_000})],
    ids=["query", "path", "header"],
)
async def test_address_and_headers_have_one_bound_together(api: Api, path: str, headers: dict[str, str]) -> None:
    answer = await api.client.get(path, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (
        431,
        "address and headers have more than 16384 bytes together; send less",
    )
    fits = {"X": "a" * 8_000}
    assert (await api.client.get("/ping?" + "a" * 8_000, headers=fits)).status_code == 200


async def test_a_body_without_a_length_is_counted_as_it_comes(api: Api) -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 65_536
            yield b"x" * 65_536

    answer = await api.client.post("/store/job", content=endless(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert taken < 2 * guard.MAX_BODY


async def test_a_body_that_does_not_come_is_given_up(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "BODY_SECONDS", 0.05)

    async def stuck() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    answer = await api.client.post("/store/job", content=stuck(), headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.text) == (408, "the body did not arrive within 0.05 s; send it faster")


async def test_a_bug_is_answered_without_its_inside_and_reported_with_it(api: Api) -> None:
    def explode(_accept: str) -> tuple[bytes, str]:
        raise RuntimeError("a secret")

    app = build(replace(api.services, exposition=explode))
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.get("/metrics")
    assert (answer.status_code, "secret" in answer.text, "Traceback" in answer.text) == (500, False, False)
    assert [str(crash) for crash in api.told.crashes] == ["a secret"]
    api.told.crashes.clear()


NEED_NO_DATABASE = frozenset(
    {"/ping", "/health", "/ready", "/metrics", "/openapi.json", "/docs", "/docs/style.css", "/login", "/logout"}
)


def asked() -> list[tuple[str, str, object]]:
    """A request to every route that cannot be answered without the log: out of the one table, so that none is left out."""
    return [
        (entry.method, address(entry), body(entry))
        for entry in ROUTES
        if entry.path.removeprefix("/api/v1").removeprefix("/api/v2") not in NEED_NO_DATABASE
    ]


def body(entry: Entry) -> object:
    """The first token must be an admin's."""
    examples = list(entry.says.takes.examples.values()) if entry.says.takes else [None]
    return {"name": "t", "role": "admin"} if entry.path == "/api/v2/tokens" and entry.method == "POST" else examples[0]


def address(entry: Entry) -> str:
    path = entry.path.replace("{id:path}", f"job/{uuid4()}")
    for place in ("jobs", "surveys"):
        path = path.replace(f"/{place}/{{id}}", f"/{place}/{uuid4()}")
    path = path.replace("/tokens/{id}", "/tokens/0123456789abcdef")
    path = path.replace("{id}", "1").replace("{position}", "1").replace("{name}", "jobs")
    needed = [f"{parameter.name}={uuid4()}" for parameter in entry.says.query if parameter.required]
    return f"{path}?{'&'.join(needed)}" if needed else path


@pytest.mark.timeout(60)
async def test_o25_a_lost_database_is_503_and_never_404_nor_an_empty_list(
    fresh_postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nats3.api.commands.PATIENCE", 0.2)
    await asyncio.to_thread(migrate.migrate, fresh_postgres.url)
    async with running(fresh_postgres.url) as api:
        made = await api.client.post("/store/job", json=STORE)
        await fresh_postgres.kill()
        for method, path, body in asked():
            answer = await api.client.request(method, path, json=body)
            assert (path, answer.status_code, answer.headers.get("retry-after")) == (path, 503, "5")
            assert "postgres is away" in answer.text
        lost = await api.client.post("/store/job", json=STORE)
        assert (lost.status_code, lost.headers["retry-after"]) == (503, "5")
        assert (await api.client.get("/health")).status_code == 200

        await fresh_postgres.start()
        async with asyncio.timeout(20):
            while (again := await api.client.get("/store/jobs")).status_code != 200:
                assert again.status_code == 503
        assert [job["id"] for job in again.json()] == [made.json()["id"]], "what was given up was not written later"
        assert api.told.crashes == []


TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}, str(UUID(TRACE))),
        ({"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "x-request-id": str(UUID(int=7))}, str(UUID(int=7))),
        ({"traceparent": f"00-{'0' * 32}-b7ad6b7169203331-01"}, None),
        ({"traceparent": f"00-{TRACE}-{'0' * 16}-01"}, None),
        ({"traceparent": f"ff-{TRACE}-b7ad6b7169203331-01"}, None),
        ({"traceparent": "x" * 9000}, None),
    ],
)
async def test_a_request_in_a_trace_has_its_id(api: Api, headers: dict[str, str], expected: str | None) -> None:
    answer = await api.client.get("/ping", headers=headers)
    given = answer.headers["x-request-id"]
    assert given == expected if expected else given not in (str(UUID(TRACE)), str(UUID(int=0)))
