"""Every Endpoint keeps the promises of objects/store.py: in memory, on the real server, and with patience around."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from hashlib import sha256

import pytest

from nats3.dev.s3_server import S3Access
from nats3.objects.memory import MemoryStore
from nats3.objects.patient import Patient
from nats3.objects.s3 import S3Settings, S3Store
from nats3.objects.store import (
    BucketMissing,
    Endpoint,
    Listed,
    ObjectDiffers,
    ObjectHead,
    ObjectMissing,
    ObjectShort,
    Put,
)

TEN = b"0123456789"


class Unheard:
    """A FaultSignal for stores that have no faults."""

    def failed(self, operation: str, reason: str, attempt: int) -> None:
        raise AssertionError(f"{operation} failed {attempt} times: {reason}")

    def recovered(self, operation: str) -> None: ...


@dataclass(frozen=True)
class Place:
    """A folder of a bucket for each test to play in. The store gives pages of 3 keys."""

    store: Endpoint
    bucket: str
    folder: str = field(default_factory=lambda: f"{uuid.uuid4().hex}/")

    async def put(self, key: str, body: bytes) -> Put:
        return await self.store.put_new(self.bucket, self.folder + key, body, sha256(body).hexdigest())

    async def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        return await self.store.get(self.bucket, self.folder + key, start, length)

    async def head(self, key: str) -> ObjectHead:
        return await self.store.head(self.bucket, self.folder + key)

    async def delete(self, key: str, etag: str | None = None) -> None:
        await self.store.delete(self.bucket, self.folder + key, etag)

    async def pages(self, prefix: str, after: str = "") -> list[list[Listed]]:
        after = self.folder + after if after else ""
        return [
            [Listed(found.key.removeprefix(self.folder), found.size) for found in page]
            async for page in self.store.list(self.bucket, self.folder + prefix, after)
        ]

    async def keys(self, prefix: str, after: str = "") -> list[list[str]]:
        return [[found.key for found in page] for page in await self.pages(prefix, after)]


class EndpointContract:
    async def test_what_was_put_is_got_byte_for_byte(self, place: Place) -> None:
        body = bytes(range(256)) * 5000
        assert await place.put("a/b", body) is Put.CREATED
        assert await place.get("a/b") == body

    async def test_an_empty_object_is_an_object(self, place: Place) -> None:
        assert await place.put("empty", b"") is Put.CREATED
        assert await place.get("empty") == b""
        assert await place.get("empty", -10) == b""

    async def test_equal_bytes_again_are_already_there(self, place: Place) -> None:
        await place.put("k", TEN)
        assert await place.put("k", TEN) is Put.ALREADY_THERE

    @pytest.mark.parametrize("other", [b"012345678X", b"0123", b""])
    async def test_other_bytes_under_a_taken_key_are_refused_and_nothing_changes(
        self, place: Place, other: bytes
    ) -> None:
        await place.put("k", TEN)
        with pytest.raises(ObjectDiffers):
            await place.put("k", other)
        assert await place.get("k") == TEN

    @pytest.mark.parametrize(
        ("start", "length", "expected"),
        [(0, 3, b"012"), (3, 4, b"3456"), (7, None, b"789"), (-4, None, b"6789"), (-4, 2, b"67"), (-99, None, TEN)],
    )
    async def test_a_range_is_exactly_those_bytes(
        self, place: Place, start: int, length: int | None, expected: bytes
    ) -> None:
        await place.put("k", TEN)
        assert await place.get("k", start, length) == expected

    @pytest.mark.parametrize(("start", "length"), [(0, 0), (10, 0), (10, None)])
    async def test_no_bytes_may_be_asked_for(self, place: Place, start: int, length: int | None) -> None:
        await place.put("k", TEN)
        assert await place.get("k", start, length) == b""

    @pytest.mark.parametrize(("start", "length"), [(0, 11), (8, 3), (10, 1), (11, None), (50, 5), (-4, 5)])
    async def test_a_range_beyond_the_end_says_that_the_object_is_short(
        self, place: Place, start: int, length: int | None
    ) -> None:
        await place.put("k", TEN)
        with pytest.raises(ObjectShort) as short:
            await place.get("k", start, length)
        assert short.value.size == 10

    async def test_head_tells_size_and_hash(self, place: Place) -> None:
        await place.put("k", TEN)
        head = await place.head("k")
        assert (head.size, head.sha256) == (10, sha256(TEN).hexdigest())

    async def test_what_is_not_there_is_missing(self, place: Place) -> None:
        with pytest.raises(ObjectMissing):
            await place.get("no")
        with pytest.raises(ObjectMissing):
            await place.head("no")

    async def test_a_missing_bucket_is_named(self, place: Place) -> None:
        with pytest.raises(BucketMissing):
            await place.store.get("no-such-bucket", "k")
        with pytest.raises(BucketMissing):
            await place.store.head("no-such-bucket", "k")
        with pytest.raises(BucketMissing):
            await place.store.delete("no-such-bucket", "k")
        with pytest.raises(BucketMissing):
            await anext(aiter(place.store.list("no-such-bucket", "")))

    async def test_a_bucket_exists_or_not(self, place: Place) -> None:
        assert await place.store.bucket_exists(place.bucket)
        assert not await place.store.bucket_exists("no-such-bucket")

    async def test_a_delete_that_must_meet_these_bytes_meets_no_others(self, place: Place) -> None:
        await place.put("k", TEN)
        with pytest.raises(ObjectDiffers):
            await place.delete("k", '"00000000000000000000000000000000"')
        await place.delete("k", (await place.head("k")).etag)
        with pytest.raises(ObjectMissing):
            await place.get("k")
        await place.delete("k", '"00000000000000000000000000000000"')

    async def test_what_was_deleted_is_gone_and_deleting_nothing_is_fine(self, place: Place) -> None:
        await place.put("k", TEN)
        await place.delete("k")
        await place.delete("k")
        with pytest.raises(ObjectMissing):
            await place.head("k")

    async def test_a_listing_comes_in_pages_and_in_key_order(self, place: Place) -> None:
        for number in (5, 3, 1, 4, 2, 0, 6):
            await place.put(f"p/{number}", TEN[:number])
        pages = await place.pages("p/")
        assert [len(page) for page in pages] == [3, 3, 1]
        assert [(found.key, found.size) for page in pages for found in page] == [(f"p/{n}", n) for n in range(7)]

    async def test_a_listing_starts_after_a_key_that_need_not_exist(self, place: Place) -> None:
        for number in (1, 2, 3, 5):
            await place.put(f"p/{number}", TEN)
        assert await place.keys("p/", after="p/2") == [["p/3", "p/5"]]
        assert await place.keys("p/", after="p/4") == [["p/5"]]
        assert await place.keys("p/", after="p/9") == []

    async def test_a_listing_knows_only_its_prefix(self, place: Place) -> None:
        for key in ("a/1", "p/1", "p/2", "pp/1"):
            await place.put(key, TEN)
        assert await place.keys("p/") == [["p/1", "p/2"]]
        assert await place.keys("none/") == []

    async def test_folders_and_odd_characters_are_listed_once_each(self, place: Place) -> None:
        keys = ["p/a/1/x", "p/a-b/2", "p/a.b/3", "p/a b/4", "p/a+b/5", "p/a%2Fb/6", "p/é/7", "p/a/2", "p/z&<>/8"]
        for key in keys:
            await place.put(key, TEN)
        listed = [key for page in await place.keys("p/") for key in page]
        assert listed in (sorted(keys, key=str.encode), sorted(keys, key=lambda key: key.encode().split(b"/")))
        for key in keys:
            assert await place.get(key) == TEN

    async def test_the_keys_of_a_life_are_listed_in_seq_order_from_any_of_them_on(self, place: Place) -> None:
        keys = [
            f"ar-chive/n3v1/ORD%2DERS/1700000000000000000/0001/0a1b2c3d/2026-11-{day:02}/{n:020}-{n + 9:020}-10-ab-1-1.n3c"
            for day, n in ((1, 1), (1, 11), (2, 21), (9, 31), (10, 41))
        ]
        for key in reversed(keys):
            await place.put(key, TEN)
        for number, key in enumerate(keys):
            listed = [found for page in await place.keys("ar-chive/n3v1/ORD%2DERS/", after=key) for found in page]
            assert listed == keys[number + 1 :]


class TestMemory(EndpointContract):
    @pytest.fixture
    def place(self) -> Place:
        return Place(MemoryStore("bucket", page=3), "bucket")


class TestPatientMemory(EndpointContract):
    @pytest.fixture
    def place(self) -> Place:
        return Place(Patient(MemoryStore("bucket", page=3), Unheard()), "bucket")


class TestS3(EndpointContract):
    @pytest.fixture
    async def place(self, s3: S3Access) -> AsyncIterator[Place]:
        async with S3Store.open(settings_of(s3)) as store:
            yield Place(store, s3.bucket)


class TestPatientS3(EndpointContract):
    @pytest.fixture
    async def place(self, s3: S3Access) -> AsyncIterator[Place]:
        async with S3Store.open(settings_of(s3)) as store:
            yield Place(Patient(store, Unheard()), s3.bucket)


class TestS3ReadBack(EndpointContract):
    @pytest.fixture
    async def place(self, s3: S3Access) -> AsyncIterator[Place]:
        async with S3Store.open(settings_of(s3, verify="read_back")) as store:
            yield Place(store, s3.bucket)


def settings_of(s3: S3Access, **changes: object) -> S3Settings:
    return S3Settings(s3.endpoint, s3.region, s3.access, s3.secret, page=3, **changes)


async def test_seaweedfs_makes_a_missing_bucket_by_itself_so_ask_at_bind(s3: S3Access) -> None:
    bucket = f"surprise-{uuid.uuid4().hex}"
    async with S3Store.open(settings_of(s3)) as store:
        assert not await store.bucket_exists(bucket)
        await store.put_new(bucket, "k", TEN, sha256(TEN).hexdigest())
        assert await store.bucket_exists(bucket)
