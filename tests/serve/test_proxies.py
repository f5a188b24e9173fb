"""Rates, and whom nats3 believes about where a request came from, on a real `nats3 serve` behind a declared proxy.

The proxy is 127.0.0.1. Who comes from 127.0.0.2 is anybody, and may write what he likes into his headers.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx2
import pytest

from nats3.api.entrance import REFUSALS
from nats3.dev.nats3_server import Nats3Server, environment
from nats3.dev.s3_server import S3Access
from tests.docs.pages import elsewhere

pytestmark = pytest.mark.timeout(60)

PROXY, ANYBODY = "127.0.0.1", "127.0.0.2"
RATE = 5
WRONG = {"Authorization": "Bearer n3_0123456789abcdef_" + "0" * 64}


@pytest.fixture
async def served(nats_url: str, postgres_url: str, s3: S3Access, server_directory: Path) -> AsyncIterator[Nats3Server]:
    settings = environment("", nats_url, postgres_url, s3)
    settings |= {"NATS3_SERVER_TRUSTED_PROXIES": PROXY, "NATS3_LIMITS_REQUESTS": str(RATE)}
    async with elsewhere(Nats3Server(server_directory / "nats3", settings)) as server:
        yield server


def coming_from(address: str, server: Nats3Server) -> httpx2.AsyncClient:
    transport = httpx2.AsyncHTTPTransport(local_address=address)
    return httpx2.AsyncClient(base_url=server.url, transport=transport)


async def made(server: Nats3Server, name: str) -> dict[str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "nats3", "token", "create", name, "--role", "admin", "--database"),
        env={**os.environ, **server.settings},
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    return {"Authorization": f"Bearer {said.decode().split()[0]}"}


async def refused_after(client: httpx2.AsyncClient, most: int, headers: Callable[[int], dict[str, str]]) -> int | None:
    """How many guesses are answered 401 before one is answered 429; None: all of them."""
    for number in range(most):
        status = (await client.get("/api/v2/jobs", headers=WRONG | headers(number))).status_code
        if status == 429:
            return number
        assert status == 401
    return None


async def test_the_configured_rate_holds_for_each_token(served: Nats3Server) -> None:
    first, second = await made(served, "first"), await made(served, "second")
    async with coming_from(ANYBODY, served) as client:
        answers = [await client.get("/api/v2/jobs", headers=first) for _ in range(2 * RATE)]
        assert {answer.status_code for answer in answers} == {200}, "twice the rate at once"
        async with asyncio.timeout(20):
            while (answer := await client.get("/api/v2/jobs", headers=first)).status_code == 200:
                pass
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
        assert (await client.get("/api/v2/jobs", headers=second)).status_code == 200
        async with asyncio.timeout(20):
            while (await client.get("/api/v2/jobs", headers=first)).status_code == 429:
                pass


MOST = 6 * REFUSALS.burst


async def test_an_address_that_guesses_is_stopped_whatever_it_says_of_itself(served: Nats3Server) -> None:
    async with coming_from(ANYBODY, served) as client:
        for rotating in ("X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Client-IP"):
            stopped = await refused_after(client, MOST, lambda number, name=rotating: {name: f"10.0.0.{number}"})
            assert stopped is not None, rotating


async def test_the_proxy_is_believed_about_the_last_address_that_is_not_its_own(served: Nats3Server) -> None:
    async with coming_from(PROXY, served) as client:
        written = await refused_after(
            client, MOST, lambda number: {"X-Forwarded-For": f"10.0.0.{number}, 192.0.2.1, {PROXY}"}
        )
        assert written is not None, "what a client wrote before the proxy's word does not make him another"
        assert written >= REFUSALS.burst
        other = await client.get("/api/v2/jobs", headers=WRONG | {"X-Forwarded-For": "192.0.2.2"})
        assert other.status_code == 401, "another client behind the same proxy is not the one that guesses"
        each_another = await refused_after(client, MOST, lambda number: {"X-Forwarded-For": f"192.0.2.{number + 3}"})
        assert each_another is None


async def test_only_the_proxy_is_believed_that_a_request_came_over_tls(served: Nats3Server) -> None:
    said = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1"}
    text = (await made(served, "browser"))["Authorization"].removeprefix("Bearer ")
    for address, name, secure in ((PROXY, "__Host-nats3", True), (ANYBODY, "nats3", False)):
        async with coming_from(address, served) as client:
            answer = await client.get("/ping", headers=said)
            assert ("strict-transport-security" in answer.headers) is secure
            signed_in = await client.post("/login", data={"token": text}, headers=said)
            cookie = signed_in.headers["set-cookie"]
            assert (signed_in.status_code, cookie.partition("=")[0], "Secure" in cookie) == (303, name, secure)
            assert "strict-transport-security" not in (await client.get("/ping")).headers
