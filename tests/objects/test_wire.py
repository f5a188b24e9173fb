"""Cuts and holes in TCP below S3, the client's manners in the event loop, and what it costs to import."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from urllib.parse import urlsplit

import pytest

from nats3.dev.s3_server import S3Access
from nats3.errors import Unavailable
from nats3.objects.s3 import S3Settings, S3Store
from nats3.objects.store import Put
from tests.faults.tcp_proxy import DOWN, UP, TcpProxy

BODY = random.Random(2).randbytes(300_000)
SHA = sha256(BODY).hexdigest()


@asynccontextmanager
async def wired(s3: S3Access, **changes: float) -> AsyncIterator[tuple[TcpProxy, S3Store]]:
    """A store behind a TCP proxy; its bucket is probed."""
    there = urlsplit(s3.endpoint)
    async with TcpProxy(there.hostname or "", there.port or 0) as proxy:
        settings = S3Settings(f"http://127.0.0.1:{proxy.port}", s3.region, s3.access, s3.secret, **changes)
        async with S3Store.open(settings) as store:
            await store.abilities(s3.bucket)
            yield proxy, store


async def test_an_upload_cut_in_the_middle_leaves_nothing_and_succeeds_later(s3: S3Access) -> None:
    async with wired(s3) as (proxy, store):
        proxy.cut_after(UP, 100_000, times=2)  # the vendor's pool sends once more when an old connection dies
        with pytest.raises(Unavailable):
            await store.put_new(s3.bucket, "cut", BODY, SHA)
        assert await store.put_new(s3.bucket, "cut", BODY, SHA) is Put.CREATED
        assert await store.get(s3.bucket, "cut") == BODY


async def test_a_download_cut_in_the_middle_returns_nothing(s3: S3Access) -> None:
    async with wired(s3) as (proxy, store):
        await store.put_new(s3.bucket, "down", BODY, SHA)
        proxy.cut_after(DOWN, 100_000)
        with pytest.raises(Unavailable):
            await store.get(s3.bucket, "down")
        assert await store.get(s3.bucket, "down") == BODY


async def test_a_bit_flipped_on_the_way_up_is_refused_by_the_store(s3: S3Access) -> None:
    async with wired(s3) as (proxy, store):
        proxy.flip_after(UP, 100_000)
        with pytest.raises(Unavailable, match="BadDigest"):
            await store.put_new(s3.bucket, "flip", BODY, SHA)
        assert await store.put_new(s3.bucket, "flip", BODY, SHA) is Put.CREATED


@pytest.mark.parametrize("direction", [UP, DOWN])
async def test_a_hole_in_one_direction_ends_in_the_read_timeout_and_heals(s3: S3Access, direction) -> None:
    async with wired(s3, read_timeout=0.3) as (proxy, store):
        await store.put_new(s3.bucket, "hole", BODY, SHA)
        proxy.hold(direction)
        with pytest.raises(Unavailable):
            await store.get(s3.bucket, "hole")
        proxy.resume()
        assert await store.get(s3.bucket, "hole") == BODY


async def test_connections_that_died_in_the_pool_are_replaced(s3: S3Access) -> None:
    async with wired(s3) as (proxy, store):
        await store.put_new(s3.bucket, "pool", BODY, SHA)
        before = proxy.accepted
        proxy.cut()
        await proxy.until(lambda: proxy.connections == 0)
        assert await store.get(s3.bucket, "pool") == BODY
        assert proxy.accepted == before + 1


async def test_one_connection_serves_many_requests(s3: S3Access) -> None:
    async with wired(s3) as (proxy, store):
        await store.put_new(s3.bucket, "one", BODY, SHA)
        for _ in range(5):
            await store.get(s3.bucket, "one")
        assert proxy.accepted == 1


async def test_a_get_that_is_cancelled_does_not_poison_the_pool(s3: S3Access) -> None:
    async with wired(s3) as (proxy, store):
        await store.put_new(s3.bucket, "cancel", BODY, SHA)
        proxy.hold(DOWN)
        passed = proxy.lanes[UP].passed
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(store.get(s3.bucket, "cancel"))
            await proxy.until(lambda: proxy.lanes[UP].passed > passed)
            reading.cancel()
        proxy.resume()
        assert await store.get(s3.bucket, "cancel") == BODY


async def test_nothing_blocks_the_event_loop_not_even_making_the_client(s3: S3Access, unblocked_loop: None) -> None:
    async with S3Store.open(S3Settings(s3.endpoint, s3.region, s3.access, s3.secret)) as store:
        await store.put_new(s3.bucket, "loop", BODY, SHA)
        assert await store.get(s3.bucket, "loop") == BODY
        assert await store.bucket_exists(s3.bucket)


def test_the_vendor_is_loaded_only_when_a_store_is_opened() -> None:
    code = "import sys, nats3.objects.s3, nats3.objects.patient; print({'aioboto3', 'botocore', 'aiohttp'} & {*sys.modules})"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert shown.stdout == "set()\n"


def test_a_secret_is_not_in_the_repr() -> None:
    settings = S3Settings(access="AK", secret="hush", session_token="hush")
    assert "hush" not in repr(settings)
