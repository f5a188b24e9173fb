"""Segments of the event log as objects of a bucket: written unless there, proven, never overwritten."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import TypeVar

from typing_extensions import override

from eventstore import LogUnavailable, SegmentAltered, SegmentMissing, Segments
from nats3.errors import Nats3Error
from nats3.objects.store import ObjectDiffers, ObjectMissing, ObjectShort, ObjectStore

T = TypeVar("T")

_LOOKS = 2
"""A store may answer 404 for a while, so a missing object is looked for again before it is believed."""


class BucketSegments(Segments):
    """Segments below `prefix` of a bucket."""

    def __init__(self, store: ObjectStore, bucket: str, prefix: str) -> None:
        self._store = store
        self._bucket = bucket
        self._prefix = prefix

    @override
    async def put(self, name: str, body: bytes) -> None:
        digest = sha256(body).hexdigest()
        try:
            await self._ask(lambda: self._store.put_new(self._bucket, self._key(name), body, digest))
        except ObjectDiffers as fault:
            raise SegmentAltered(name, str(fault)) from fault

    @override
    async def get(self, name: str) -> bytes:
        for look in range(1, _LOOKS + 1):
            try:
                return await self._ask(lambda: self._store.get(self._bucket, self._key(name)))
            except ObjectMissing as fault:
                if look == _LOOKS:
                    raise SegmentMissing(name, str(fault)) from fault
            except ObjectShort as fault:
                raise SegmentAltered(name, str(fault)) from fault
        raise AssertionError("unreachable")

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}"

    async def _ask(self, call: Callable[[], Awaitable[T]]) -> T:
        """Whatever else is wrong with the bucket may pass: the caller looks again later."""
        try:
            return await call()
        except (ObjectDiffers, ObjectMissing, ObjectShort):
            raise
        except Nats3Error as fault:
            raise LogUnavailable(f"its segments: {fault}") from fault
