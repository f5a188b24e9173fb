"""What nats3 needs of a bucket. One contract suite runs on `memory` and on `s3` against a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from nats3.errors import Nats3Error


class Put(Enum):
    """What a PUT that must not overwrite found."""

    CREATED = "created"
    ALREADY_THERE = "already there"


@dataclass(frozen=True, slots=True)
class Listed:
    """One object of a listing."""

    key: str
    size: int


@dataclass(frozen=True, slots=True)
class ObjectHead:
    """What is known of an object without reading it. `sha256` is hex, None where the store does not tell.

    `etag` names these very bytes to the store, for a `delete` that must meet no others.
    """

    size: int
    sha256: str | None
    etag: str | None = None


class ObjectMissing(Nats3Error):
    """There is no such object. Confirm it before you believe it: a store may answer 404 for a while."""

    def __init__(self, bucket: str, key: str) -> None:
        super().__init__(f"object s3://{bucket}/{key} does not exist")
        self.bucket = bucket
        self.key = key


class BucketMissing(Nats3Error):
    """There is no such bucket: make it, or name another."""

    def __init__(self, bucket: str) -> None:
        super().__init__(f"bucket {bucket} does not exist: create it, or change the job's bucket")
        self.bucket = bucket


class AccessDenied(Nats3Error):
    """The credentials may not do this: grant `action` on the bucket."""

    def __init__(self, bucket: str, action: str, reason: str) -> None:
        super().__init__(f"{action} on bucket {bucket} is denied: {reason}")
        self.bucket = bucket
        self.action = action


class ObjectDiffers(Nats3Error):
    """The key is taken by other bytes: nothing was overwritten. Two writers share a name, so bind again."""

    def __init__(self, bucket: str, key: str) -> None:
        super().__init__(f"object s3://{bucket}/{key} exists with other bytes")
        self.bucket = bucket
        self.key = key


class ObjectShort(Nats3Error):
    """The object ends before the bytes that were asked for: it is not the object that was recorded."""

    def __init__(self, bucket: str, key: str, size: int) -> None:
        super().__init__(f"object s3://{bucket}/{key} has only {size} bytes")
        self.bucket = bucket
        self.key = key
        self.size = size


class Meter(Protocol):
    """Counts what goes over the wire; telemetry gives one, tests give another."""

    def put(self, size: int) -> None:
        """An object of `size` bytes was written and proven."""
        ...

    def got(self, size: int) -> None:
        """`size` bytes of an object were read by a caller."""
        ...

    def request(self, operation: str) -> None:
        """One request was sent: put, get, head, list, delete or head_bucket."""
        ...

    def answered(self, operation: str, seconds: float) -> None:
        """One request ended, by an answer or a fault, `seconds` after it was sent."""
        ...


class Unmetered:
    """A Meter that counts nothing."""

    def put(self, size: int) -> None: ...

    def got(self, size: int) -> None: ...

    def request(self, operation: str) -> None: ...

    def answered(self, operation: str, seconds: float) -> None: ...


class Readable(Protocol):
    """Where objects can be read."""

    async def get(self, bucket: str, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Exactly the bytes [start, start + length), to the end when length is None; start < 0 means the last -start.

        A short body is a transient fault; an object that ends too early is ObjectShort. Fewer than -start bytes are
        the whole object. Raises ObjectMissing.
        """
        ...


class ObjectStore(Readable, Protocol):
    """The objects of one S3 endpoint.

    Errors of every method: Unavailable (transient: try again; `patient.Patient` does so for ever), BucketMissing and
    AccessDenied (both may pass: the caller looks again later). A call that is cancelled leaves at most an object that
    nothing refers to.
    """

    async def put_new(self, bucket: str, key: str, body: bytes, sha256: str) -> Put:
        """Write `body` (hex SHA-256 `sha256`) unless the key is there; return once the stored bytes are proven equal.

        ALREADY_THERE means that equal bytes were found: written before, or by an attempt of this call whose answer was
        lost. Raises ObjectDiffers, also when the store says yes and keeps other bytes: nothing may be built on that
        key, so bind again and write under another. Raises Blocked when the body is larger than the store takes.
        """
        ...

    async def head(self, bucket: str, key: str) -> ObjectHead:
        """Size and, where known, SHA-256: the store's own if it keeps one, else what the writer said of it.

        Raises ObjectMissing.
        """
        ...

    def list(self, bucket: str, prefix: str, after: str = "") -> AsyncIterator[list[Listed]]:
        """Pages of objects below `prefix` whose key sorts after `after`, in key order.

        Some stores compare keys segment by segment between the slashes (SeaweedFS), others byte by byte (AWS). For the
        keys of one life, whose segments have fixed widths, both orders are one. No object is left out in either.
        """
        ...

    async def delete(self, bucket: str, key: str, etag: str | None = None) -> None:
        """Remove the object; nothing happens when there is none.

        With `etag` only the object that `head` told of, where the store can: raises ObjectDiffers for another one.
        """
        ...


class Buckets(Protocol):
    """The buckets of one S3 endpoint."""

    async def bucket_exists(self, bucket: str) -> bool:
        """Whether the bucket is there. Ask at bind: some stores make a missing one by themselves on the first PUT."""
        ...


class Endpoint(ObjectStore, Buckets, Protocol):
    """One S3 endpoint: what `s3.S3Store`, `memory.MemoryStore` and `patient.Patient` are."""
