"""Requests that are made without the vendor's client: the same as the client's, byte for byte, and with its errors."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest

from nats3.dev.s3_server import S3Access
from nats3.errors import Unavailable
from nats3.objects.client import S3Settings, open_client
from nats3.objects.requests import AT_ONCE, S3Requests, Upload
from nats3.objects.s3 import S3Store
from nats3.objects.store import AccessDenied, ObjectMissing, Put, Unmetered
from tests.faults.s3_wire import Request, Response
from tests.objects.listener import Listener, listening, without_chance, yes

KEYS = (
    "p/n3v1/kib/0001/00001-00002-1000-ab-1-1.n3c",
    "naïve/日本/\u00e9\u0301",
    "a/../b/./c",
    "//double//slashes/",
    "%41%2F%",
    "blank plus+and&=?#;:@,$'()*!~[]|\\^`\"<>{}",
    "new\nline\ttab",
    ".",
    "bkt",
)
BODIES = (b"", b"small", bytes(AT_ONCE), bytes(AT_ONCE + 1))


def digest(body: bytes) -> tuple[str, str]:
    return sha256(body).hexdigest(), base64.b64encode(sha256(body).digest()).decode()


@asynccontextmanager
async def asked(settings: S3Settings) -> AsyncGenerator[tuple[Any, S3Requests]]:
    """A client that nobody watches, and requests whose own client has made one of each kind."""
    async with open_client(settings) as plain, open_client(settings) as client:
        requests = S3Requests(client, settings, Unmetered())
        await ask_all(requests, "shown first", b"first")
        yield plain, requests


async def ask_all(requests: S3Requests, key: str, body: bytes) -> None:
    said, _ = digest(body)
    await requests.put(Upload("bkt", key, body, said))
    await requests.put(Upload("bkt", key, body, said, only_new=False, checksum=False))
    await requests.head("bkt", key)
    await requests.get("bkt", key)
    await requests.get("bkt", key, "bytes=0-0")


async def ask_client(client: Any, key: str, body: bytes) -> None:
    said, checksum = digest(body)
    about = {"Bucket": "bkt", "Key": key}
    sent = about | {"Body": body, "Metadata": {"nats3-sha256": said}}
    await client.put_object(**sent, IfNoneMatch="*", ChecksumSHA256=checksum)
    await client.put_object(**sent)
    await client.head_object(**about, ChecksumMode="ENABLED")
    await (await client.get_object(**about))["Body"].read()
    await (await client.get_object(**about, Range="bytes=0-0"))["Body"].read()


async def must_be_alike(listener: Listener, settings: S3Settings) -> list[Request]:
    """What was sent for all keys and bodies. Of ours the client makes none but the first of each kind."""
    async with asked(settings) as (plain, requests):
        made: list[str] = []
        requests._client.meta.events.register("before-parameter-build.s3", lambda model, **_: made.append(model.name))
        cases = [(key, b"body") for key in KEYS] + [("key", body) for body in BODIES]
        listener.heard.clear()
        for key, body in cases:
            await ask_client(plain, key, body)
        theirs = [without_chance(request) for request in listener.heard]
        listener.heard.clear()
        for key, body in cases:
            await ask_all(requests, key, body)
    ours = [without_chance(request) for request in listener.heard]
    assert ours == theirs
    assert len(ours) == 5 * len(cases)
    assert made == []
    return listener.heard


async def test_what_is_sent_is_what_the_client_would_send() -> None:
    async with listening() as listener:
        heard = await must_be_alike(listener, S3Settings(listener.endpoint, access="A", secret="S"))
        assert heard[0].target == "/bkt/" + KEYS[0]


async def test_so_it_is_with_a_host_per_bucket_a_proxy_and_a_session_token(monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening() as listener:
        monkeypatch.setenv("HTTP_PROXY", listener.endpoint)
        monkeypatch.delenv("NO_PROXY", raising=False)
        settings = S3Settings("http://s3.example", "eu-north-1", "A", "S", "T", addressing="virtual")
        heard = await must_be_alike(listener, settings)
        assert heard[0].target == "http://bkt.s3.example/" + KEYS[0]
        assert heard[0].header("x-amz-security-token") == "T"


async def test_so_it_is_below_a_path() -> None:
    async with listening() as listener:
        settings = S3Settings(listener.endpoint + "/below/a/path", access="A", secret="S")
        heard = await must_be_alike(listener, settings)
        assert heard[0].target == "/below/a/path/bkt/" + KEYS[0]


async def test_odd_keys_are_signed_as_a_real_store_reads_them(s3: S3Access) -> None:
    async with S3Store.open(S3Settings(s3.endpoint, s3.region, s3.access, s3.secret)) as store:
        await store.abilities(s3.bucket)
        for key in ("odd/naïve 日本", "odd/%41%2F%", "odd/plus+and&=;:@,$'()*!~"):
            said, _ = digest(key.encode())
            assert await store.put_new(s3.bucket, key, key.encode(), said) is Put.CREATED
            assert await store.get(s3.bucket, key) == key.encode()


# What is no plain yes


async def test_an_error_that_comes_as_a_success_is_an_error() -> None:
    async with listening() as listener, asked(S3Settings(listener.endpoint, access="A", secret="S")) as (_, requests):
        fault = b"<Error><Code>InternalError</Code><Message>no</Message></Error>"
        listener.answer = lambda _: Response(200, "", [("Content-Length", str(len(fault)))], fault)
        listener.heard.clear()
        with pytest.raises(Unavailable, match="InternalError"):
            await requests.put(Upload("bkt", "k", b"", digest(b"")[0]))
        assert len(listener.heard) == 1


async def test_a_refusal_means_what_the_client_reads_in_it_and_is_sent_once() -> None:
    async with listening() as listener, asked(S3Settings(listener.endpoint, access="A", secret="S")) as (_, requests):
        fault = b"<Error><Code>RequestTimeTooSkewed</Code><Message>late</Message></Error>"
        listener.answer = lambda request: Response(
            403, "", [("Content-Length", str(len(fault)))], b"" if request.method == "HEAD" else fault
        )
        listener.heard.clear()
        with pytest.raises(AccessDenied, match="RequestTimeTooSkewed: late"):
            await requests.put(Upload("bkt", "k", bytes(AT_ONCE + 1), "00"))
        with pytest.raises(AccessDenied, match="RequestTimeTooSkewed: late"):
            await requests.get("bkt", "k")
        with pytest.raises(AccessDenied, match="403"):
            await requests.head("bkt", "k")
        listener.answer = lambda _: Response(404, "", [("Content-Length", "0")], b"")
        with pytest.raises(ObjectMissing):
            await requests.head("bkt", "k")
        assert len(listener.heard) == 4


# What changes while the process lives


def in_region(region: str) -> Any:
    """A store whose bucket is there, and which sends those who sign for another region to it."""

    def answer(request: Request) -> Response:
        if f"/{region}/s3/" in request.header("authorization"):
            return yes(request)
        return Response(301, "", [("x-amz-bucket-region", region), ("Content-Length", "0")], b"")

    return answer


async def test_a_bucket_in_another_region_is_followed_once_and_then_met_there_at_once() -> None:
    async with listening() as listener, asked(S3Settings(listener.endpoint, access="A", secret="S")) as (_, requests):
        body = bytes(AT_ONCE + 1)
        for region in ("eu-north-1", "us-east-1"):
            listener.answer = in_region(region)
            listener.heard.clear()
            await requests.put(Upload("bkt", "k", body, "00"))
            await requests.put(Upload("bkt", "k", body, "00"))
            assert [request.body == body for request in listener.heard] == [True, True, True]
            assert all(f"/{region}/s3/" in request.header("authorization") for request in listener.heard[1:])


async def test_credentials_are_renewed() -> None:
    from aiobotocore.credentials import AioRefreshableCredentials  # noqa: PLC0415 - loaded with the client

    async with listening() as listener, asked(S3Settings(listener.endpoint, access="A", secret="S")) as (_, requests):
        given, now = iter(range(9)), datetime(2026, 1, 1, tzinfo=UTC)
        soon = now + timedelta(minutes=1)

        async def renewed() -> dict[str, str]:
            return {"access_key": f"AK{next(given)}", "secret_key": "S", "token": "T", "expiry_time": soon.isoformat()}

        requests._client._request_signer._credentials = AioRefreshableCredentials(
            "AK", "S", "T", soon, renewed, method="test", time_fetcher=lambda: now
        )
        listener.heard.clear()
        for _ in range(3):
            await requests.head("bkt", "k")
        used = [request.header("authorization").split("Credential=")[1][:3] for request in listener.heard]
        assert used == ["AK0", "AK1", "AK2"]
