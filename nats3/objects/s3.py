"""The bucket itself. A PUT is a success when what is stored was proven to be what was sent, not when 200 came back."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from nats3.errors import Blocked, Unavailable
from nats3.objects.client import S3Settings, open_client
from nats3.objects.parts import digest_of_parts, put_in_parts, slices, sweep
from nats3.objects.probe import Abilities, probe
from nats3.objects.requests import Part, S3Requests, Seen, Upload
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
from nats3.objects.translate import Doubtful, OutOfRange, Taken

__all__ = ["S3Settings", "S3Store"]


class S3Store:
    """An Endpoint on real S3: one attempt per request, so wrap it in `patient.Patient` to wait out faults.

    How a PUT is proven. After the store's yes we ask it again. In mode *checksum* that is one HEAD: the size must be
    ours, and the SHA-256 that the store itself keeps must be ours. That SHA-256 travelled as a signed header and the
    probe has seen this store refuse a wrong one, so it vouches for the bytes. A party on the way that rewrites the body
    must take the header off, or the store refuses; then the store keeps none, and we read the bytes back and compare.
    Our own metadata is never taken as proof: it says what was sent. In mode *read_back*, chosen by the probe for stores
    that do not check or do not tell, every PUT is read back. A store that takes the condition but ignores it is asked
    with a HEAD before the PUT; two writers could still race there, which keys of one activation exclude.
    """

    def __init__(self, requests: S3Requests, settings: S3Settings, meter: Meter) -> None:
        self.requests = requests
        self._settings = settings
        self._meter = meter
        self._abilities: dict[str, Abilities] = {}
        self._probing: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: S3Settings, meter: Meter | None = None) -> AsyncGenerator[S3Store]:
        """One client and its connections, for as long as the process lives. Sends nothing by itself."""
        counted = meter or Unmetered()
        async with open_client(settings) as client:
            yield cls(S3Requests(client, settings, counted), settings, counted)

    async def abilities(self, bucket: str) -> Abilities:
        """What this bucket can do: probed at its first use, then known."""
        async with self._probing[bucket]:
            if bucket not in self._abilities:
                self._abilities[bucket] = await probe(self.requests, bucket)
            return self._abilities[bucket]

    async def put_new(self, bucket: str, key: str, body: bytes, sha256: str) -> Put:
        """As promised by ObjectStore; one PUT and one HEAD where the store checks and tells."""
        self._refuse_too_large(body)
        can = await self.abilities(bucket)
        upload = Upload(bucket, key, body, sha256, only_new=can.conditions, checksum=can.checksums)
        if not can.conditions and await self._is_there(upload):
            return Put.ALREADY_THERE
        try:
            await self._send(upload)
        except Taken:
            await self._prove(upload)
            return Put.ALREADY_THERE
        except Doubtful as doubt:
            return await self._look(upload, doubt)
        await self._prove(upload)
        self._meter.put(len(body))
        return Put.CREATED

    async def get(self, bucket: str, key: str, start: int = 0, length: int | None = None) -> bytes:
        """As promised by ObjectStore; one GET."""
        if length == 0:
            await self.head(bucket, key)
            return b""
        try:
            part = await self.requests.get(bucket, key, _range(start, length))
        except OutOfRange:
            return await self._nothing(bucket, key, start, length)
        body = _cut(part, start, length, ObjectShort(bucket, key, part.size))
        self._meter.got(len(body))
        return body

    async def head(self, bucket: str, key: str) -> ObjectHead:
        """As promised by ObjectStore; one HEAD, and a second of the bucket where there is no object."""
        try:
            seen = await self.requests.head(bucket, key)
        except ObjectMissing:
            if not await self.bucket_exists(bucket):
                raise BucketMissing(bucket) from None
            raise
        return ObjectHead(seen.size, seen.checksum or seen.said, seen.etag)

    async def list(self, bucket: str, prefix: str, after: str = "") -> AsyncIterator[list[Listed]]:
        """As promised by ObjectStore; one request per page."""
        token: str | None = None
        while True:
            page = await self.requests.page(bucket, prefix, after, token)
            if page.objects:
                yield page.objects
            if page.token is None:
                return
            token = page.token

    async def delete(self, bucket: str, key: str, etag: str | None = None) -> None:
        """As promised by ObjectStore; one DELETE."""
        guard = etag if etag is not None and (await self.abilities(bucket)).guards_deletes else None
        try:
            await self.requests.delete(bucket, key, guard)
        except ObjectMissing:
            return
        except Taken:
            await self._require_gone(bucket, key)

    async def _require_gone(self, bucket: str, key: str) -> None:
        """A guarded DELETE was refused: another object is there, or, as some stores say it of that too, none."""
        try:
            await self.requests.head(bucket, key)
        except ObjectMissing:
            return
        raise ObjectDiffers(bucket, key)

    async def bucket_exists(self, bucket: str) -> bool:
        """As promised by Buckets; one HEAD."""
        return await self.requests.bucket_exists(bucket)

    async def sweep(self, bucket: str, prefix: str, owned: Callable[[str], bool]) -> int:
        """Take back the parts of uploads below `prefix` that nobody ended, of keys that are `owned`; how many there were."""
        return await sweep(self.requests, bucket, prefix, owned)

    async def _send(self, upload: Upload) -> None:
        if len(upload.body) > self._settings.part:
            await put_in_parts(self.requests, upload, self._settings.part)
        else:
            await self.requests.put(upload)

    def _refuse_too_large(self, body: bytes) -> None:
        largest = self._settings.largest_put
        if len(body) > largest:
            reason = (
                f"a chunk of {len(body)} bytes does not fit into one PUT of at most {largest}: order smaller chunks"
            )
            raise Blocked("chunk_too_large", reason)

    async def _is_there(self, upload: Upload) -> bool:
        try:
            await self._compare(upload)
        except ObjectMissing:
            return False
        return True

    async def _look(self, upload: Upload, doubt: Doubtful) -> Put:
        """The answer to a PUT was lost: what is there decides. If nothing is, or nobody says so soon, it may still come: write again."""
        is_there = False
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.look_timeout):
                is_there = await self._is_there(upload)
        if is_there:
            self._meter.put(len(upload.body))
            return Put.ALREADY_THERE
        raise doubt

    async def _prove(self, upload: Upload) -> None:
        try:
            await self._compare(upload)
        except ObjectMissing as missing:
            raise Unavailable("s3", f"{upload.key} was said to be there and is not") from missing

    async def _compare(self, upload: Upload) -> None:
        """Return when the stored bytes are proven equal. Raises ObjectDiffers, ObjectMissing."""
        if not self._reads_back(upload.bucket):
            seen = await self.requests.head(upload.bucket, upload.key)
            if seen.size != len(upload.body) or seen.checksum not in {None, upload.sha256}:
                raise ObjectDiffers(upload.bucket, upload.key)
            if seen.checksum is not None or await self._is_of_our_parts(seen, upload):
                return
        await self._read_back(upload)

    async def _is_of_our_parts(self, seen: Seen, upload: Upload) -> bool:
        """Whether the store tells the digest that our parts have."""
        if seen.of_parts is None:
            return False
        return seen.of_parts == await asyncio.to_thread(digest_of_parts, upload.body, self._settings.part)

    async def _read_back(self, upload: Upload) -> None:
        """Compare the stored bytes, no more of them at once than one request may send."""
        size = self._settings.part
        for number, part in enumerate(slices(upload.body, size) if upload.body else [memoryview(b"")]):
            wanted = None if len(upload.body) <= size else _range(number * size, len(part))
            stored = await self.requests.get(upload.bucket, upload.key, wanted)
            if memoryview(stored.body) != part or stored.size != len(upload.body):
                raise ObjectDiffers(upload.bucket, upload.key)

    def _reads_back(self, bucket: str) -> bool:
        if self._settings.verify == "probe":
            return self._abilities[bucket].must_read_back
        return self._settings.verify == "read_back"

    async def _nothing(self, bucket: str, key: str, start: int, length: int | None) -> bytes:
        """The store has no byte of the range: right only at the very end of the object."""
        size = (await self.head(bucket, key)).size
        if length is None and (start == size or (start < 0 and size == 0)):
            return b""
        raise ObjectShort(bucket, key, size)


def _range(start: int, length: int | None) -> str | None:
    if start < 0:
        return f"bytes={start}"
    if length is not None:
        return f"bytes={start}-{start + length - 1}"
    return f"bytes={start}-" if start else None


def _cut(part: Part, start: int, length: int | None, short: ObjectShort) -> bytes:
    """The bytes asked for out of those that came: a store may send more than the range, or another."""
    first = start if start >= 0 else max(0, part.size + start)
    if part.start > first:
        raise Unavailable("s3", f"sent bytes from {part.start} on instead of {first}")
    body = part.body[first - part.start :] if first > part.start else part.body
    if first > part.size or (length is not None and first + length > part.size):
        raise short
    return body if length is None else body[:length]
