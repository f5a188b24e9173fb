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
    """What is known of an object without reading it. `sha256` is hex, None where the store does not tell."""

    size: int
    sha256: str | None


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


class ObjectStore(Protocol):
    """One S3 endpoint.

    Errors of every method: Unavailable (transient: try again; `patient.Patient` does so for ever), BucketMissing and
    AccessDenied (both may pass: the caller looks again later). A call that is cancelled leaves at most an object that
    nothing refers to.
    """

    async def put_new(self, bucket: str, key: str, body: bytes, sha256: str) -> Put:
        """Write `body` (hex SHA-256 `sha256`) unless the key is there; return once the stored bytes are proven equal.

        ALREADY_THERE means that equal bytes were there before. Raises ObjectDiffers.
        """
        ...

    async def get(self, bucket: str, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Exactly the bytes [start, start + length), to the end when length is None; start < 0 means the last -start.

        A short body is a transient fault. Raises ObjectMissing.
        """
        ...

    async def head(self, bucket: str, key: str) -> ObjectHead:
        """Size and, where known, SHA-256. Raises ObjectMissing."""
        ...

    def list(self, bucket: str, prefix: str, after: str = "") -> AsyncIterator[list[Listed]]:
        """Pages of objects below `prefix` whose key sorts after `after`, in key order."""
        ...

    async def delete(self, bucket: str, key: str) -> None:
        """Remove the object; nothing happens when there is none."""
        ...
