"""Damage on the way down, row F41 of the fault matrix."""

from __future__ import annotations

from hashlib import sha256

import pytest

from nats3.dev.s3_server import S3Access
from nats3.errors import Unavailable
from nats3.objects.store import ObjectDiffers
from tests.faults.s3_proxy import (
    FlipBit,
    SlowBody,
    Truncate,
    is_get,
)
from tests.objects.scene import BODY, SHA, Scene, scene_of

# F41: damage on the way down


async def test_a_short_body_is_a_passing_fault_and_never_returned(scene: Scene, key: str) -> None:
    await scene.put(key)
    for keep in (0, 1, 5_000, len(BODY) - 1):
        scene.proxy.next(Truncate(keep), when=is_get)
        with pytest.raises(Unavailable):
            await scene.get(key)
    assert await scene.get(key) == BODY


async def test_a_short_range_with_an_honest_length_is_a_passing_fault(scene: Scene, key: str) -> None:
    await scene.put(key)
    scene.proxy.next(Truncate(10, honest=True), when=is_get)
    with pytest.raises(Unavailable, match="got 10 of 10"):
        await scene.store.get(scene.bucket, key, 100, 50)
    assert await scene.store.get(scene.bucket, key, 100, 50) == BODY[100:150]


@pytest.mark.parametrize("at", [0, 1, 49_999, len(BODY) - 1])
async def test_a_flipped_bit_is_seen_by_whoever_compares_the_hash(scene: Scene, key: str, at: int) -> None:
    await scene.put(key)
    scene.proxy.next(FlipBit(at, bit=at % 8), when=is_get)
    assert sha256(await scene.get(key)).hexdigest() != SHA
    assert sha256(await scene.get(key)).hexdigest() == SHA


async def test_a_flipped_bit_in_the_read_back_is_not_taken_for_proof(s3: S3Access, key: str) -> None:
    async with scene_of(s3, verify="read_back") as scene:
        scene.proxy.next(FlipBit(7), when=is_get)
        with pytest.raises(ObjectDiffers):
            await scene.put(key)


async def test_a_body_that_drips_meets_the_deadline(s3: S3Access, key: str) -> None:
    async with scene_of(s3, deadline=0.4, slowest=1_000_000_000) as scene:
        await scene.put(key)
        scene.proxy.next(SlowBody(piece=100, seconds=0.05), when=is_get)
        with pytest.raises(Unavailable, match="TimeoutError"):
            await scene.get(key)
        assert await scene.get(key) == BODY


async def test_a_listing_that_drips_meets_the_deadline(s3: S3Access, key: str) -> None:
    async with scene_of(s3, deadline=0.4) as scene:
        await scene.put(key)
        scene.proxy.next(SlowBody(piece=1, seconds=0.05), when=is_get)
        with pytest.raises(Unavailable, match="TimeoutError"):
            await anext(aiter(scene.store.list(scene.bucket, key)))
        assert len(await anext(aiter(scene.store.list(scene.bucket, key)))) == 1
