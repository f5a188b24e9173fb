"""Large objects go in parts: the same promises as one PUT, and no part is left behind."""

from __future__ import annotations

import asyncio
import random
from hashlib import sha256

import pytest

from nats3.dev.s3_server import S3Access
from nats3.errors import Unavailable
from nats3.objects.parts import digest_of_parts, slices
from nats3.objects.store import ObjectDiffers, Put
from tests.faults.s3_proxy import Answer, LoseAnswer, Relabel, Rewrite, is_head
from tests.objects.scene import Scene, scene_of

MIB = 1 << 20
PART = 5 * MIB
"""The least that S3 takes as a part that is not the last."""
LARGE = random.Random(3).randbytes(2 * PART + 12_345)


def is_part(request) -> bool:
    return request.method == "PUT" and "partNumber=" in request.target


def is_end(request) -> bool:
    return request.method == "POST" and "uploadId=" in request.target


async def left(scene: Scene, key: str) -> list[str]:
    return [begun.key for begun in await scene.store.requests.unfinished(scene.bucket, key)]


@pytest.fixture
async def scene(s3: S3Access):
    async with scene_of(s3, part=PART) as scene:
        yield scene


async def test_a_large_object_comes_back_and_leaves_no_part(scene: Scene, key: str) -> None:
    assert await scene.put(key, LARGE) is Put.CREATED
    assert await scene.get(key) == LARGE
    assert await scene.put(key, LARGE) is Put.ALREADY_THERE
    assert await left(scene, key) == []
    assert scene.meter.requests["put_part"] == 6


async def test_a_large_object_never_overwrites_another(scene: Scene, key: str) -> None:
    await scene.put(key, b"small and first")
    with pytest.raises(ObjectDiffers):
        await scene.put(key, LARGE)
    assert (await scene.get(key), await left(scene, key)) == (b"small and first", [])


async def test_a_part_that_fails_takes_the_others_back_and_the_retry_succeeds(scene: Scene, key: str) -> None:
    scene.proxy.next(
        Answer(503, "SlowDown"), when=lambda request: is_part(request) and "partNumber=2" in request.target
    )
    with pytest.raises(Unavailable):
        await scene.put(key, LARGE)
    assert await left(scene, key) == []
    assert await scene.put(key, LARGE) is Put.CREATED


async def test_an_end_whose_answer_was_lost_is_found(scene: Scene, key: str) -> None:
    scene.proxy.next(LoseAnswer(), times=2, when=is_end)
    assert await scene.put(key, LARGE) is Put.ALREADY_THERE
    assert await scene.get(key) == LARGE


async def test_who_is_cancelled_takes_the_parts_back(scene: Scene, key: str) -> None:
    async with asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(scene.put(key, LARGE))
        while not any(map(is_part, scene.proxy.requests)):  # noqa: ASYNC110 - what another process was sent
            await asyncio.sleep(0.01)
        sending.cancel()
    assert await left(scene, key) == []


async def test_parts_of_a_process_that_died_are_taken_back_by_their_owner_alone(scene: Scene, key: str) -> None:
    begun = await scene.store.requests.begin(scene.bucket, f"{key}/mine", "0" * 64)
    await scene.store.requests.put_part(begun, 1, b"x", sha256(b"x").digest())
    await scene.store.requests.begin(scene.bucket, f"{key}/other", "0" * 64)
    assert await scene.store.sweep(scene.bucket, key, lambda each: each.endswith("/mine")) == 1
    assert await left(scene, key) == [f"{key}/other"]
    assert await scene.store.sweep(scene.bucket, key, lambda _: True) == 1


async def test_a_part_that_was_changed_on_the_way_is_no_success(scene: Scene, key: str) -> None:
    scene.proxy.next(Rewrite(body=lambda _: b"other"), when=is_part)
    with pytest.raises((Unavailable, ObjectDiffers)):
        await scene.put(key, LARGE)
    assert await left(scene, key) == []


async def test_where_the_store_tells_no_digest_the_bytes_are_read_back(scene: Scene, key: str) -> None:
    scene.proxy.always(Relabel({"x-amz-checksum-sha256": None}), when=is_head)
    assert await scene.put(key, LARGE) is Put.CREATED
    assert scene.meter.requests["get"] == 3


def test_the_digest_of_parts_is_that_of_s3() -> None:
    body = b"a" * PART + b"b" * 1000
    assert digest_of_parts(body, PART) == "gzKREhG1RwKmrTCIEhem1Qh4SLYssbnaSjmwJsKJ6aA=-2"  # as SeaweedFS 4.48 told it
    assert b"".join(slices(body, PART)) == body
