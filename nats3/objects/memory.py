"""An Endpoint in memory, under the same contract as the real one, with faults to order."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import AsyncIterator
from enum import Enum
from hashlib import sha256 as hash_of
from itertools import takewhile

from nats3.errors import Nats3Error, Unavailable
from nats3.objects.store import (
    BucketMissing,
    Listed,
    Meter,
    ObjectDiffers,
    ObjectHead,
    ObjectMissing,
    ObjectShort,
    Put,
    Unmetered,
)


class Fault(Enum):
    """What can be ordered to happen to a request."""

    REFUSED = "not done, and Unavailable"
    REPLY_LOST = "done, and Unavailable"
    LATE = "Unavailable now, done when `land` is called"


class MemoryStore:
    """Buckets are dicts from key to bytes; `buckets` may be read and damaged by a test at will."""

    def __init__(self, *buckets: str, page: int = 1000, meter: Meter | None = None) -> None:
        self.buckets: dict[str, dict[str, bytes]] = {bucket: {} for bucket in buckets}
        self._page = page
        self._meter = meter or Unmetered()
        self._faults: deque[Fault | Nats3Error] = deque()
        self._late: list[tuple[str, str, bytes | None]] = []

    def order(self, *faults: Fault | Nats3Error) -> None:
        """The next requests meet these faults, one each, in this order; an error is raised as it is."""
        self._faults.extend(faults)

    def land(self) -> None:
        """What was late arrives now, under the rules of now: a PUT does not overwrite."""
        late, self._late = self._late, []
        for bucket, key, body in late:
            self._apply(bucket, key, body)

    async def put_new(self, bucket: str, key: str, body: bytes, sha256: str) -> Put:
        """As promised by ObjectStore. A wrong `sha256` is refused as by a store that checks."""
        fault = self._meet("put", bucket, (key, body))
        if hash_of(body).hexdigest() != sha256:
            raise Unavailable("s3", "400 BadDigest")
        there = self._bucket(bucket).get(key)
        if there is not None and there != body:
            raise ObjectDiffers(bucket, key)
        self._apply(bucket, key, body)
        self._meter.put(len(body))
        self._lose(fault)
        return Put.CREATED if there is None else Put.ALREADY_THERE

    async def get(self, bucket: str, key: str, start: int = 0, length: int | None = None) -> bytes:
        """As promised by ObjectStore."""
        self._lose(self._meet("get", bucket))
        whole = self._object(bucket, key)
        body = whole[start:] if length is None else whole[start:][:length]
        if start > len(whole) or (length is not None and len(body) < length):
            raise ObjectShort(bucket, key, len(whole))
        self._meter.got(len(body))
        return body

    async def head(self, bucket: str, key: str) -> ObjectHead:
        """As promised by ObjectStore."""
        self._lose(self._meet("head", bucket))
        body = self._object(bucket, key)
        digest = hash_of(body).hexdigest()
        return ObjectHead(len(body), digest, digest)

    async def list(self, bucket: str, prefix: str, after: str = "") -> AsyncIterator[list[Listed]]:
        """As promised by ObjectStore."""
        while page := self._next(bucket, prefix, after):
            yield page
            after = page[-1].key

    async def delete(self, bucket: str, key: str, etag: str | None = None) -> None:
        """As promised by ObjectStore."""
        fault = self._meet("delete", bucket, (key, None))
        there = self._bucket(bucket).get(key)
        if there is not None and etag not in {None, hash_of(there).hexdigest()}:
            raise ObjectDiffers(bucket, key)
        self._apply(bucket, key, None)
        self._lose(fault)

    async def bucket_exists(self, bucket: str) -> bool:
        """As promised by Buckets."""
        self._lose(self._meet("head_bucket", bucket))
        return bucket in self.buckets

    def _meet(self, operation: str, bucket: str, change: tuple[str, bytes | None] | None = None) -> Fault | None:
        """The fault that this request meets; raises those that keep it from being done now."""
        self._meter.request(operation)
        fault = self._faults.popleft() if self._faults else None
        if isinstance(fault, Nats3Error):
            raise fault
        if fault is Fault.LATE and change is not None:
            self._late.append((bucket, *change))
        if fault in {Fault.REFUSED, Fault.LATE}:
            raise Unavailable("s3", fault.value)
        return fault

    def _lose(self, fault: Fault | None) -> None:
        if fault is not None:
            raise Unavailable("s3", fault.value)

    def _apply(self, bucket: str, key: str, body: bytes | None) -> None:
        if body is None:
            self._bucket(bucket).pop(key, None)
        else:
            self._bucket(bucket).setdefault(key, body)

    def _bucket(self, bucket: str) -> dict[str, bytes]:
        if bucket not in self.buckets:
            raise BucketMissing(bucket)
        return self.buckets[bucket]

    def _object(self, bucket: str, key: str) -> bytes:
        if key not in self._bucket(bucket):
            raise ObjectMissing(bucket, key)
        return self.buckets[bucket][key]

    def _next(self, bucket: str, prefix: str, after: str) -> list[Listed]:
        """By the bytes of UTF-8, whose order is that of the code points."""
        self._lose(self._meet("list", bucket))
        there = self._bucket(bucket)
        keys = sorted(there)
        start = max(bisect_right(keys, after), bisect_left(keys, prefix))
        page = takewhile(lambda key: key.startswith(prefix), keys[start : start + self._page])
        return [Listed(key, len(there[key])) for key in page]
