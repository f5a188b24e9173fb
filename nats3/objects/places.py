"""Several S3 endpoints as one: a bucket's place (`nats3.place`) says which of them has it.

A place whose connection this node does not know is away, not gone: no other endpoint is ever asked for it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Protocol

from nats3.errors import Unavailable
from nats3.objects.store import Endpoint, Listed, ObjectHead, Put
from nats3.place import split


class Sweeping(Endpoint, Protocol):
    """An endpoint that can take back unfinished uploads."""

    async def sweep(self, bucket: str, prefix: str, owned: Callable[[str], bool]) -> int:
        """How many there were below `prefix`, of keys that are `owned`."""
        ...


class Places:
    """An Endpoint over those of a node, by the names of their connections."""

    def __init__(self, endpoints: Mapping[str, Sweeping]) -> None:
        self._endpoints = endpoints

    def _of(self, place: str) -> Sweeping:
        name, _ = split(place)
        endpoint = self._endpoints.get(name)
        if endpoint is None:
            known = ", ".join(sorted(self._endpoints))
            reason = f"this node has no S3 connection {name}, only {known}: add [s3.{name}] to its configuration"
            raise Unavailable("s3", reason)
        return endpoint

    async def put_new(self, bucket: str, key: str, body: bytes, sha256: str) -> Put:
        """As promised by ObjectStore."""
        return await self._of(bucket).put_new(bucket, key, body, sha256)

    async def get(self, bucket: str, key: str, start: int = 0, length: int | None = None) -> bytes:
        """As promised by ObjectStore."""
        return await self._of(bucket).get(bucket, key, start, length)

    async def head(self, bucket: str, key: str) -> ObjectHead:
        """As promised by ObjectStore."""
        return await self._of(bucket).head(bucket, key)

    async def list(self, bucket: str, prefix: str, after: str = "") -> AsyncIterator[list[Listed]]:
        """As promised by ObjectStore."""
        async for page in self._of(bucket).list(bucket, prefix, after):
            yield page

    async def delete(self, bucket: str, key: str, etag: str | None = None) -> None:
        """As promised by ObjectStore."""
        await self._of(bucket).delete(bucket, key, etag)

    async def bucket_exists(self, bucket: str) -> bool:
        """As promised by Buckets."""
        return await self._of(bucket).bucket_exists(bucket)

    async def sweep(self, bucket: str, prefix: str, owned: Callable[[str], bool]) -> int:
        """Take back the parts of uploads below `prefix` that nobody ended, of keys that are `owned`; how many there were."""
        return await self._of(bucket).sweep(bucket, prefix, owned)
