"""What may go wrong with a PUT, rows F37 to F40 of the fault matrix: nothing but proven bytes is a success."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from hashlib import sha256

import pytest

from nats3.dev.s3_server import S3Access
from nats3.errors import Unavailable
from nats3.objects.store import ObjectDiffers, ObjectMissing, Put
from tests.faults.s3_proxy import (
    CHECKSUM,
    Answer,
    Hang,
    Late,
    LoseAnswer,
    Relabel,
    Rewrite,
    is_head,
    is_put,
)
from tests.objects.scene import BODY, SHA, Scene, scene_of

# F37: 500, 503, 429 at 30 %


async def test_errors_at_thirty_percent_end_in_success_at_a_bounded_rate(scene: Scene, key: str) -> None:
    dice = random.Random(7)
    for answer in (Answer(500, "InternalError"), Answer(503, "SlowDown"), Answer(429, "TooManyRequests")):
        scene.proxy.share(answer, 0.1, dice.random)
    store = scene.patient()
    for number in range(40):
        body = b"%d" % number
        await store.put_new(scene.bucket, f"{key}/{number}", body, sha256(body).hexdigest())
    for number in range(40):
        assert await store.get(scene.bucket, f"{key}/{number}") == b"%d" % number
    assert len(scene.waits) == len(scene.told.failures) > 20
    assert len(scene.proxy.requests) <= 3 * 40 + 3 * len(scene.waits)
    assert max(scene.waits) <= 0.5 * 3.0
    assert len(scene.told.recoveries) <= len(scene.told.failures)


# F38: done, and the answer lost


@pytest.mark.parametrize("fault", [LoseAnswer(), Answer(500, "InternalError", applied=True)])
async def test_a_put_whose_answer_was_lost_is_found_and_not_sent_again(
    scene: Scene, key: str, fault: LoseAnswer | Answer
) -> None:
    scene.proxy.always(fault, when=is_put)
    assert await scene.put(key) is Put.ALREADY_THERE
    assert await scene.get(key) == BODY


async def test_a_put_that_succeeds_and_then_hangs_is_found_after_the_read_timeout(s3: S3Access, key: str) -> None:
    async with scene_of(s3, read_timeout=0.3) as scene:
        scene.proxy.next(Hang(), when=is_put)
        with pytest.raises(Unavailable, match="ReadTimeoutError"):
            await scene.put(key)
        assert await scene.put(key) is Put.CREATED


async def test_a_store_that_lost_an_answer_and_then_says_nothing_is_not_asked_for_long(s3: S3Access, key: str) -> None:
    async with scene_of(s3, read_timeout=60.0, look_timeout=0.2) as scene:
        scene.proxy.next(LoseAnswer(), times=2, when=is_put)  # as below
        scene.proxy.next(Hang(), when=is_head)
        async with asyncio.timeout(20):
            with pytest.raises(Unavailable):
                await scene.put(key)
        assert await scene.put(key) is Put.ALREADY_THERE


async def test_a_retry_after_a_lost_answer_meets_its_own_success(scene: Scene, key: str) -> None:
    """The answers to the PUT and to the question after it are lost: the retry gets 412 for what it wrote itself."""
    scene.proxy.next(LoseAnswer(), times=2, when=is_put)  # the vendor's pool may send a PUT on a dead connection twice
    scene.proxy.next(Answer(503, "SlowDown"), when=is_head)
    assert await scene.patient().put_new(scene.bucket, key, BODY, SHA) is Put.ALREADY_THERE
    assert len(scene.told.failures) == 1
    assert await scene.get(key) == BODY


async def test_a_put_that_arrives_late_changes_nothing_any_more(scene: Scene, key: str) -> None:
    scene.proxy.next(Late(), times=2, when=is_put)
    with pytest.raises(Unavailable):
        await scene.put(key)
    with pytest.raises(ObjectMissing):
        await scene.get(key)
    assert await scene.put(key) is Put.CREATED
    await scene.proxy.land()
    assert await scene.get(key) == BODY


async def test_a_put_that_arrives_late_but_before_the_retry_is_already_there(scene: Scene, key: str) -> None:
    scene.proxy.next(Late(), times=2, when=is_put)
    scene.while_waiting = scene.proxy.land
    assert await scene.patient().put_new(scene.bucket, key, BODY, SHA) is Put.ALREADY_THERE


async def test_a_412_is_compared_and_not_believed(scene: Scene, key: str) -> None:
    await scene.put(key, b"another writer was here")
    with pytest.raises(ObjectDiffers):
        await scene.put(key)
    assert await scene.get(key) == b"another writer was here"


async def test_a_412_without_an_object_is_a_passing_fault(scene: Scene, key: str) -> None:
    scene.proxy.next(Answer(412, "PreconditionFailed"), when=is_put)
    with pytest.raises(Unavailable, match="said to be there"):
        await scene.put(key)
    assert await scene.put(key) is Put.CREATED


# F39: a conflict of conditional requests


async def test_a_conflict_of_conditional_requests_is_tried_again(scene: Scene, key: str) -> None:
    scene.proxy.next(Answer(409, "ConditionalRequestConflict"), when=is_put)
    assert await scene.patient().put_new(scene.bucket, key, BODY, SHA) is Put.CREATED
    assert scene.told.failures == [("put", "409 ConditionalRequestConflict: ordered by the test", 1)]
    assert scene.told.recoveries == ["put"]


# F40: 200, and other bytes stored


def _truncated(body: bytes) -> bytes:
    return body[:-1]


def _flipped(body: bytes) -> bytes:
    return body[:50_000] + bytes([body[50_000] ^ 4]) + body[50_001:]


def _with_trailer(body: bytes) -> bytes:
    return b"186a0\r\n" + body + b"\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"


def _emptied(_: bytes) -> bytes:
    return b""


@pytest.mark.parametrize("verify", ["probe", "checksum", "read_back"])
@pytest.mark.parametrize("echo", [False, True])
@pytest.mark.parametrize("damage", [_truncated, _flipped, _with_trailer, _emptied])
async def test_other_bytes_stored_under_a_200_are_never_a_success(
    s3: S3Access, key: str, damage: Callable[[bytes], bytes], *, echo: bool, verify: str
) -> None:
    async with scene_of(s3, verify=verify) as scene:
        scene.proxy.next(Rewrite(damage, echo=echo), when=is_put)
        with pytest.raises(ObjectDiffers):
            await scene.put(key)
        assert scene.meter.bytes_put == 0


async def test_a_checksum_taken_off_on_the_way_is_made_good_by_reading_back(scene: Scene, key: str) -> None:
    scene.proxy.next(Rewrite(drop=CHECKSUM), when=is_put)
    assert await scene.put(key) is Put.CREATED
    assert [request.method for request in scene.proxy.requests] == ["PUT", "HEAD", "GET"]


async def test_a_body_that_is_not_its_signed_checksum_is_refused_by_the_store(scene: Scene, key: str) -> None:
    with pytest.raises(Unavailable, match="400 BadDigest"):
        await scene.store.put_new(scene.bucket, key, _flipped(BODY), SHA)
    with pytest.raises(ObjectMissing):
        await scene.get(key)


async def test_a_200_without_any_object_is_no_success(scene: Scene, key: str) -> None:
    scene.proxy.next(Answer(200, "OK"), when=is_put)
    with pytest.raises(Unavailable, match="said to be there"):
        await scene.put(key)


async def test_a_stored_size_that_is_not_ours_is_seen_though_the_checksum_is(scene: Scene, key: str) -> None:
    scene.proxy.next(Relabel({"content-length": str(len(BODY) - 1)}), when=is_head)
    with pytest.raises(ObjectDiffers):
        await scene.put(key)


@pytest.mark.parametrize("told", [None, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=-2", "not base64"])
async def test_a_checksum_that_says_nothing_about_the_bytes_means_reading_back(
    scene: Scene, key: str, told: str | None
) -> None:
    scene.proxy.next(Relabel({"x-amz-checksum-sha256": told}), when=is_head)
    assert await scene.put(key) is Put.CREATED
    assert [request.method for request in scene.proxy.requests] == ["PUT", "HEAD", "GET"]
    scene.proxy.next(Relabel({"x-amz-checksum-sha256": told}), when=is_head)
    with pytest.raises(ObjectDiffers):
        await scene.put(key, _flipped(BODY))
