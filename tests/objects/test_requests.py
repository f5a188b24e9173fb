"""How many requests an operation costs, and how many are in flight at once."""

from __future__ import annotations

import asyncio

import pytest

from nats3.dev.s3_server import S3Access
from nats3.errors import Blocked, Unavailable
from tests.faults.s3_proxy import (
    Answer,
    Delay,
)
from tests.objects.scene import BODY, PROBE, SHA, Scene, scene_of, unprobed

# Requests: how many, and how many at once


async def test_a_put_costs_one_put_and_one_head_and_a_get_one_get(scene: Scene, key: str) -> None:
    await scene.put(key)
    await scene.get(key)
    assert scene.meter.requests == scene.meter.answers == {"put": 1, "head": 1, "get": 1}
    assert [request.method for request in scene.proxy.requests] == ["PUT", "HEAD", "GET"]
    assert (scene.meter.bytes_put, scene.meter.bytes_got) == (len(BODY), len(BODY))


async def test_the_bucket_is_probed_once_also_by_many_at_once(s3: S3Access) -> None:
    async with unprobed(s3) as (proxy, store):
        async with asyncio.TaskGroup() as group:
            for _ in range(10):
                group.create_task(store.abilities(s3.bucket))
        assert len(proxy.requests) == PROBE


async def test_no_more_requests_are_in_flight_than_allowed(s3: S3Access, key: str) -> None:
    async with scene_of(s3, in_flight=3) as scene:
        await scene.put(key)
        scene.proxy.always(Delay(0.02))
        async with asyncio.TaskGroup() as group:
            for _ in range(12):
                group.create_task(scene.get(key))
        assert scene.proxy.most_at_once == 3


async def test_the_vendor_makes_one_attempt(scene: Scene, key: str) -> None:
    scene.proxy.always(Answer(503, "SlowDown"))
    with pytest.raises(Unavailable, match="503 SlowDown"):
        await scene.get(key)
    assert len(scene.proxy.requests) == 1
    assert scene.meter.answers == {"get": 1}


async def test_a_body_larger_than_one_put_is_refused_before_anything_is_sent(s3: S3Access, key: str) -> None:
    async with scene_of(s3, largest_put=len(BODY) - 1) as scene:
        with pytest.raises(Blocked, match="order smaller chunks"):
            await scene.put(key)
        assert scene.proxy.requests == []


async def test_waiting_for_a_turn_does_not_count_against_the_deadline(s3: S3Access, key: str) -> None:
    async with scene_of(s3, in_flight=1, deadline=0.5) as scene:
        await scene.put(key)
        scene.proxy.always(Delay(0.2))
        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(scene.get(key))


async def test_a_put_asks_no_leave_and_signs_the_hash_and_not_the_body_again(scene: Scene, key: str) -> None:
    await scene.put(key)
    put = scene.proxy.requests[0]
    assert put.header("expect") == ""
    assert put.header("x-amz-content-sha256") == "UNSIGNED-PAYLOAD"
    assert "x-amz-checksum-sha256" in put.header("authorization")
    assert put.header("if-none-match") == "*"
    assert put.header("x-amz-meta-nats3-sha256") == SHA
