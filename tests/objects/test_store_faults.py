"""Stores that deny, know less than S3, are full or away: rows F43 to F45 of the fault matrix."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from blockbuster import BlockBuster

from nats3.dev.s3_server import S3Access
from nats3.errors import Unavailable
from nats3.objects.patient import Backoff
from nats3.objects.s3 import S3Settings, S3Store
from nats3.objects.store import AccessDenied, BucketMissing, ObjectDiffers, Put
from tests.faults.s3_proxy import (
    WEAK,
    Answer,
    Rewrite,
    is_get,
    is_head,
    is_put,
)
from tests.objects.scene import BODY, PROBE, SHA, Scene, scene_of, unprobed

# Row F43, what is not allowed


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (403, "AccessDenied"),
        (403, "InvalidAccessKeyId"),
        (403, "RequestTimeTooSkewed"),
        (403, "SignatureDoesNotMatch"),
        (400, "ExpiredToken"),
        (403, "AnythingElse"),
        (401, "Unauthorized"),
    ],
)
async def test_what_is_denied_says_why_is_not_retried_and_resumes(
    scene: Scene, key: str, status: int, code: str
) -> None:
    scene.proxy.always(Answer(status, code))
    with pytest.raises(AccessDenied, match=code) as denied:
        await scene.patient().put_new(scene.bucket, key, BODY, SHA)
    assert (denied.value.bucket, denied.value.action) == (scene.bucket, "put")
    assert (len(scene.proxy.requests), scene.waits) == (1, [])
    scene.proxy.clear()
    assert await scene.put(key) is Put.CREATED


async def test_a_wrong_secret_is_denied_by_the_real_server(s3: S3Access) -> None:
    async with S3Store.open(S3Settings(s3.endpoint, s3.region, s3.access, "wrong")) as store:
        with pytest.raises(AccessDenied, match="SignatureDoesNotMatch"):
            await store.get(s3.bucket, "k")
        with pytest.raises(AccessDenied):
            await store.bucket_exists(s3.bucket)


async def test_the_credential_chain_is_asked_when_no_keys_are_given(
    s3: S3Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.access)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.secret)
    async with S3Store.open(S3Settings(s3.endpoint, s3.region)) as store:
        assert await store.bucket_exists(s3.bucket)


async def test_no_credentials_anywhere_is_denied(
    s3: S3Access, monkeypatch: pytest.MonkeyPatch, loop_guard: BlockBuster
) -> None:
    loop_guard.deactivate()  # a chain that found nothing is asked again, and looks for files in the loop: once, at start
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    async with S3Store.open(S3Settings(s3.endpoint, s3.region)) as store:
        with pytest.raises(AccessDenied, match="credentials"):
            await store.get(s3.bucket, "k")


async def test_a_bucket_that_is_gone_is_named(scene: Scene, key: str) -> None:
    scene.proxy.always(Answer(404, "NoSuchBucket"))
    with pytest.raises(BucketMissing):
        await scene.put(key)


async def test_answers_that_make_no_sense_are_waited_out_and_blame_no_object(scene: Scene, key: str) -> None:
    await scene.put(key)
    scene.proxy.next(Answer(412, "PreconditionFailed"), when=is_get)
    scene.proxy.next(Answer(416, "InvalidRange"), when=is_head)
    scene.proxy.next(Answer(418, "Teapot"), when=is_get)
    for call in (scene.store.get, scene.store.head, scene.store.get):
        with pytest.raises(Unavailable):
            await call(scene.bucket, key)
    scene.proxy.next(Answer(404, "Whatever"), when=is_put)
    with pytest.raises(BucketMissing):
        await scene.put(key)


# F44: a store without conditions and checksums


@asynccontextmanager
async def weak_scene_of(s3: S3Access) -> AsyncIterator[Scene]:
    async with scene_of(s3, Rewrite(drop=WEAK)) as scene:
        yield scene


async def test_the_probe_finds_out_what_a_store_ignores(s3: S3Access) -> None:
    async with scene_of(s3) as strong, weak_scene_of(s3) as weak:
        can, cannot = await strong.store.abilities(s3.bucket), await weak.store.abilities(s3.bucket)
    assert (can.conditions, can.checksums, can.told, can.reads_own_writes, can.deletes) == (True,) * 5
    assert (cannot.conditions, cannot.checksums, cannot.told) == (False,) * 3
    assert (can.must_read_back, cannot.must_read_back) == (False, True)


async def test_a_weak_store_is_read_back_and_not_overwritten(s3: S3Access, key: str) -> None:
    async with weak_scene_of(s3) as scene:
        assert await scene.put(key) is Put.CREATED
        assert [request.method for request in scene.proxy.requests] == ["GET", "PUT", "GET"]
        assert await scene.put(key) is Put.ALREADY_THERE
        with pytest.raises(ObjectDiffers):
            await scene.put(key, b"other")
        assert await scene.get(key) == BODY


async def test_a_store_that_refuses_the_guards_outright_is_not_sent_them(s3: S3Access, key: str) -> None:
    async with unprobed(s3) as (proxy, store):
        for guard in ("if-none-match", "x-amz-checksum-sha256"):
            proxy.always(Answer(501, "NotImplemented"), when=lambda request, guard=guard: bool(request.header(guard)))
        assert await store.put_new(s3.bucket, key, BODY, SHA) is Put.CREATED


async def test_an_outage_during_the_probe_teaches_nothing(s3: S3Access, key: str) -> None:
    async with unprobed(s3) as (proxy, store):
        for position in range(1, PROBE + 1):
            bad = len(proxy.requests) + position
            proxy.next(Answer(503, "SlowDown"), when=lambda _, bad=bad: len(proxy.requests) == bad)
            with pytest.raises(Unavailable):
                await store.put_new(s3.bucket, key, BODY, SHA)
        assert (await store.abilities(s3.bucket)).conditions


# F45 and outages


@pytest.mark.parametrize(
    "answer", [Answer(507, "InsufficientStorage"), Answer(429, "TooManyRequests"), Answer(400, "RequestTimeout")]
)
async def test_what_passes_is_waited_out(scene: Scene, key: str, answer: Answer) -> None:
    scene.proxy.next(answer, times=5, when=is_put)
    assert await scene.patient().put_new(scene.bucket, key, BODY, SHA) is Put.CREATED
    assert [attempt for _, _, attempt in scene.told.failures] == [1, 2, 3, 4, 5]
    assert scene.told.recoveries == ["put"]


async def test_an_endpoint_that_is_away_is_waited_for_and_found_again(scene: Scene, key: str) -> None:
    await scene.proxy.refuse()

    async def back_after_ten() -> None:
        if len(scene.waits) == 10:
            await scene.proxy.accept()

    scene.while_waiting = back_after_ten
    assert await scene.patient().put_new(scene.bucket, key, BODY, SHA) is Put.CREATED
    assert len(scene.told.failures) == 10


def test_no_wait_is_longer_than_recovery_may_take() -> None:
    """Within 5 s of the store's return: the wait that was just begun, and one connection attempt that hung."""
    longest = max(Backoff().wait(attempt, 0.999999) for attempt in range(1, 10_000))
    assert longest + S3Settings().connect_timeout <= 5.0


@pytest.mark.parametrize(
    ("status", "code"), [(507, "InsufficientStorage"), (507, "XMinioStorageFull"), (403, "QuotaExceeded")]
)
async def test_a_full_bucket_says_what_to_do_and_is_waited_out(scene: Scene, key: str, status: int, code: str) -> None:
    scene.proxy.always(Answer(status, code))
    with pytest.raises(Unavailable, match="the bucket is full: free space or raise its quota"):
        await scene.put(key)
    scene.proxy.clear()
    assert await scene.put(key) is Put.CREATED
