"""What every place of segments promises: in memory, in files, in a bucket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from eventstore import FileSegments, LogUnavailable, MemorySegments, SegmentAltered, SegmentMissing, Segments
from nats3.dev.s3_server import S3Access
from nats3.errors import Unavailable
from nats3.objects.client import S3Settings
from nats3.objects.memory import Fault, MemoryStore
from nats3.objects.s3 import S3Store
from nats3.objects.segments import BucketSegments
from nats3.objects.store import BucketMissing

NAME = "log/0001-0005-ab.ndjson.zst"


class Contract:
    async def test_what_was_put_is_given_back(self, place: Segments) -> None:
        await place.put(NAME, b"body")
        assert await place.get(NAME) == b"body"

    async def test_to_put_the_same_again_is_well(self, place: Segments) -> None:
        await place.put(NAME, b"body")
        await place.put(NAME, b"body")
        assert await place.get(NAME) == b"body"

    async def test_nothing_is_overwritten(self, place: Segments) -> None:
        await place.put(NAME, b"body")
        with pytest.raises(SegmentAltered):
            await place.put(NAME, b"other")
        assert await place.get(NAME) == b"body"

    async def test_what_is_missing_is_named(self, place: Segments) -> None:
        with pytest.raises(SegmentMissing) as missing:
            await place.get(NAME)
        assert missing.value.name == NAME


class TestMemory(Contract):
    @pytest.fixture
    def place(self) -> Segments:
        return MemorySegments()


class TestFiles(Contract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> Segments:
        return FileSegments(tmp_path)


class TestBucketInMemory(Contract):
    @pytest.fixture
    def place(self) -> Segments:
        return BucketSegments(MemoryStore("past"), "past", "event-log")


class TestBucket(Contract):
    @pytest.fixture
    async def place(self, s3: S3Access) -> AsyncIterator[Segments]:
        async with S3Store.open(S3Settings(s3.endpoint, s3.region, s3.access, s3.secret)) as store:
            yield BucketSegments(store, s3.bucket, "event-log")


@pytest.mark.parametrize("fault", [Fault.REFUSED, Unavailable("s3", "503"), BucketMissing("past")], ids=str)
async def test_whatever_else_is_wrong_with_a_bucket_may_pass(fault: Fault | Unavailable | BucketMissing) -> None:
    store = MemoryStore("past")
    place = BucketSegments(store, "past", "event-log")
    store.order(fault)
    with pytest.raises(LogUnavailable):
        await place.put(NAME, b"body")
    await place.put(NAME, b"body")
    store.order(fault)
    with pytest.raises(LogUnavailable):
        await place.get(NAME)
    assert list(store.buckets["past"]) == [f"event-log/{NAME}"]
