"""Clients that dawdle, flood or lie, against a real `nats3 serve`: each is hung up on or refused, and others are answered meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx2
import pytest

from nats3.dev.nats3_server import Nats3Server, environment
from nats3.dev.s3_server import S3Access
from tests.docs.pages import elsewhere

SLOW = 200
"""Clients that say nothing, or not all, at the same time."""


@pytest.fixture
async def served(nats_url: str, postgres_url: str, s3: S3Access, server_directory: Path) -> AsyncIterator[Nats3Server]:
    settings = environment("", nats_url, postgres_url, s3)
    async with elsewhere(Nats3Server(server_directory / "nats3", settings)) as server:
        yield server


async def ended(reader: asyncio.StreamReader) -> bytes:
    """All that came until the server hung up."""
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


HEAD = b"POST /store/job HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.mark.timeout(90)
async def test_who_dawdles_is_hung_up_on_and_everyone_else_is_answered_meanwhile(served: Nats3Server) -> None:
    """Order, not seconds: /health is answered again and again before the first of the slow ones is done with."""
    openings = (
        b"",
        b"GET /ping HT",
        HEAD,
        HEAD + b"Content-Length: 10\r\n\r\n{",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n",
    )
    over = 0

    async def dawdle(opening: bytes) -> bytes:
        nonlocal over
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(opening)
        said = await ended(reader)
        over += 1
        writer.close()
        return said

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(nothing_is_read(served))
        slow = [tasks.create_task(dawdle(openings[at % len(openings)])) for at in range(SLOW)]
        answered_before = 0
        async with httpx2.AsyncClient(base_url=served.url, timeout=5) as client:
            while not over:
                assert (await client.get("/health")).status_code == 200
                answered_before += not over
        assert answered_before > 20
    answers = {
        opening: {task.result()[:12] for task in slow[at :: len(openings)]} for at, opening in enumerate(openings)
    }
    assert answers[openings[0]] == answers[openings[1]] == answers[openings[2]] == {b""}
    for opening in openings[3:]:
        assert answers[opening] <= {b"HTTP/1.1 408", b""}


async def endless_bodies_are_cut_off(served: Nats3Server) -> None:
    for way in (b"Transfer-Encoding: chunked\r\n\r\n", b"Content-Length: 1073741824\r\n\r\n"):
        _, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(HEAD + way)
        sent = 0
        try:
            while sent < 1 << 30:
                part = b" " * 65_536
                writer.write(part if way.startswith(b"C") else b"%x\r\n%s\r\n" % (len(part), part))
                await writer.drain()
                sent += len(part)
        except (ConnectionResetError, BrokenPipeError):
            pass
        assert sent < 64 << 20, "the server hung up"
        writer.close()


async def nothing_is_read(served: Nats3Server) -> None:
    """It asks for the description of the API again and again, and takes nothing of it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port, limit=1)
    ask = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
    transport = writer.transport
    transport.pause_reading()  # type: ignore[attr-defined]
    async with asyncio.timeout(40):
        while not transport.is_closing():
            writer.write(ask * 50)
            try:
                await writer.drain()
            except ConnectionError:
                break
            await asyncio.sleep(0.05)
    assert not reader.at_eof()
    transport.abort()


STRANGE = [
    (b"GET /ping HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n", {b"400", b"421"}),
    (b"GET /ping HTTP/1.1\r\nHost: evil\r\n\r\n", {b"421"}),
    (b"GET http://localhost/ping HTTP/1.1\r\nHost: evil\r\n\r\n", {b"421"}),
    (b"GET /ping HTTP/1.1\r\n\r\n", {b"400"}),
    (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", {b"400", b"431"}),
    (b"GET /ping?" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", {b"400", b"431"}),
    (b"GET /ping HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 20_000 + b"\r\n\r\n", {b"400", b"431"}),
    (b"GET /api/v2/jobs/%00 HTTP/1.1\r\nHost: localhost\r\n\r\n", {b"400"}),
    (
        b"POST /store/job HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        {b"400", b"415"},
    ),
    (HEAD + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b", {b"415"}),
    (b"GARBAGE\r\n\r\n", {b"400"}),
]

NESTED = b'{"name":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
BODIES = [
    (NESTED, 400),
    (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, 400),
    (b'{"stream":"a","stream":"b"}', 400),
    (b'{"stream":"\\u0000"}', 400),
    (b'{"stream":"\\ud800"}', 400),
    (b'{"stream":"\xff"}', 400),
    (b'{"limit":1e999}', 400),
    (b'{"limit":NaN}', 400),
    (b'{"limit":' + b"9" * 5000 + b"}", 400),
    (b"[" + b"1," * 400_000 + b"1]", 422),
    (b"{" + b",".join(b'"a%d":1' % at for at in range(80_000)) + b"}", 400),
]


async def nothing_strange_is_answered(port: int) -> None:
    for sent, statuses in STRANGE:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        line = await reader.readline()
        assert line.split()[1] in statuses, (sent[:80], line)
        writer.close()


@pytest.mark.timeout(90)
async def test_what_no_client_sends_and_json_that_means_harm_are_refused_and_nothing_is_recorded(
    served: Nats3Server,
) -> None:
    await nothing_strange_is_answered(served.port)
    await endless_bodies_are_cut_off(served)
    async with httpx2.AsyncClient(base_url=served.url, timeout=20) as client:
        before = (await client.get("/api/v2/events?order=desc&limit=1")).json()["items"]
        for path in ("/store/job", "/api/v2/jobs"):
            for body, status in BODIES:
                answer = await client.post(path, content=body, headers={"Content-Type": "application/json"})
                assert answer.status_code == status, (path, body[:40], answer.text[:200])
                assert len(answer.content) < 20_000
        assert (await client.get("/api/v2/events?order=desc&limit=1")).json()["items"] == before
    await others_are_answered_while_large_bodies_are_read(served)


async def others_are_answered_while_large_bodies_are_read(served: Nats3Server) -> None:
    """Order, not seconds: several answers of /health come between one large body and its refusal."""
    body = json.dumps([[{}] * 20] * 12_000).encode()[: 1 << 20]
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(httpx2.AsyncClient(base_url=served.url, timeout=30))
        other = await stack.enter_async_context(httpx2.AsyncClient(base_url=served.url, timeout=30))
        await other.get("/health")
        answered = 0
        async with asyncio.TaskGroup() as tasks:
            refusals = [
                tasks.create_task(
                    client.post("/api/v2/jobs", content=body, headers={"Content-Type": "application/json"})
                )
                for _ in range(8)
            ]
            while not all(task.done() for task in refusals):
                assert (await other.get("/health")).status_code == 200
                answered += 1
        assert {task.result().status_code for task in refusals} == {422}
        assert answered >= 8
