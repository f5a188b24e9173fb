"""No request makes nats3 connect to where its settings do not say (F60): every field is tried, and a listener counts who comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from nats3.dev.nats3_server import Nats3Server, environment
from nats3.dev.s3_server import S3Access
from nats3.errors import Unavailable
from nats3.objects.client import S3Settings
from nats3.objects.s3 import S3Store
from tests.docs.pages import elsewhere

pytestmark = pytest.mark.timeout(60)


@dataclass
class Bait:
    """Listens, answers with `answer`, and counts who came."""

    answer: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    port: int = 0
    came: list[bytes] = field(default_factory=list[bytes])

    @asynccontextmanager
    async def set(self) -> AsyncIterator[Bait]:
        server = await asyncio.start_server(self._meet, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.came.append(await reader.readline())
        writer.write(self.answer)
        await writer.drain()
        writer.close()


def places(port: int) -> list[str]:
    return [
        f"http://127.0.0.1:{port}/",
        f"nats://127.0.0.1:{port}",
        f"127.0.0.1:{port}",
        f"http://[::ffff:127.0.0.1]:{port}/",
        f"http://localhost:{port}/",
        "http://169.254.169.254/latest/meta-data/",
    ]


ORDERS: tuple[dict[str, Any], ...] = (
    {"kind": "store", "stream": "S", "bucket": "archive"},
    {"kind": "load", "read_stream": "S", "bucket": "archive", "write_subject": "again"},
)
FIELDS = ("stream", "read_stream", "bucket", "prefix", "consumer", "read_consumer", "subject", "read_subject")
MORE = ("write_subject", "nats", "s3", "endpoint", "url", "codec", "mode")


async def test_no_field_and_no_header_of_a_request_is_connected_to(
    nats_url: str, postgres_url: str, s3: S3Access, server_directory: Path
) -> None:
    async with (
        Bait().set() as bait,
        elsewhere(Nats3Server(server_directory, environment("", nats_url, postgres_url, s3))) as server,
        httpx2.AsyncClient(base_url=server.url, timeout=20) as client,
    ):
        answers: list[int] = []
        for place in places(bait.port):
            for order in ORDERS:
                for name in (*FIELDS, *MORE):
                    answer = await client.post("/api/v2/jobs?dry_run=true", json={**order, name: place})
                    answers.append(answer.status_code)
            for name in ("Referer", "Origin", "X-Forwarded-Host", "X-Forwarded-For", "Forwarded", "X-Original-URL"):
                await client.get("/ready", headers={name: place})
            for path in ("archive/rebuilds", "archive/verifications"):
                answer = await client.post(f"/api/v2/{path}", json={"bucket": place})
                answers.append(answer.status_code)
            for name in ("nats", "name", "bucket"):
                await client.get("/api/v2/streams", params={name: place})
        assert {status for status in answers if status >= 400} == {422}
        assert len(answers) > 150
        assert bait.came == []


async def test_where_a_store_redirects_to_nobody_goes(s3: S3Access) -> None:
    """Neither by its Location, nor by naming another region or bucket's endpoint."""
    async with Bait().set() as bait:
        there = f"http://127.0.0.1:{bait.port}/"
        for status in (b"301 Moved Permanently", b"302 Found", b"307 Temporary Redirect", b"308 Permanent Redirect"):
            answer = b"HTTP/1.1 %b\r\nLocation: %b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % (
                status,
                there.encode(),
            )
            async with Bait(answer).set() as liar:
                settings = S3Settings(f"http://127.0.0.1:{liar.port}", s3.region, s3.access, s3.secret)
                async with S3Store.open(settings) as store:
                    with pytest.raises(Unavailable):
                        await store.get("archive", "k")
                    with pytest.raises(Unavailable):
                        await store.bucket_exists("archive")
                assert len(liar.came) == 2, "asked again, for the vendor's client looks for the bucket's region"
        assert bait.came == []
