"""Single requests to S3: one attempt, in our words, counted, and never more in flight than allowed."""

from __future__ import annotations

import asyncio
import base64
import io
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any

from nats3.errors import Unavailable
from nats3.objects.client import S3Settings
from nats3.objects.parts import Begun, SentPart
from nats3.objects.shortcut import GET, HEAD, PUT, Shortcut
from nats3.objects.store import BucketMissing, Listed, Meter, ObjectMissing
from nats3.objects.translate import Target, translate, vendor_errors
from nats3.place import split

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
AT_ONCE = 1 << 20
"""Bytes of the largest body that is sent without letting others have the loop in between."""

SAID_SHA256 = "nats3-sha256"
"""Our metadata field: hex SHA-256 as the writer said it."""


@dataclass(frozen=True, slots=True)
class Upload:
    """One object on its way. `only_new` and `checksum` say which guards the store understands."""

    bucket: str
    key: str
    body: bytes
    sha256: str
    only_new: bool = True
    checksum: bool = True


@dataclass(frozen=True, slots=True)
class Seen:
    """What a HEAD told. `checksum` is the store's own SHA-256 of the whole object, `said` the writer's; both hex.

    `of_parts` is the store's digest of an object that came in parts, as S3 writes it: base64, a dash, the number of parts.
    """

    size: int
    checksum: str | None
    said: str | None
    of_parts: str | None = None
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes of an object from `start` on, as the store says, and the size of the whole."""

    body: bytes
    start: int
    size: int


@dataclass(frozen=True, slots=True)
class Page:
    """One answer of a listing."""

    objects: list[Listed]
    token: str | None


class S3Requests:
    """Each method sends one request. All raise what `translate` makes; `put` also Taken, `get` also OutOfRange."""

    def __init__(self, client: Any, settings: S3Settings, meter: Meter) -> None:  # noqa: ANN401 - vendor without types
        self._client = client
        self._shortcut = Shortcut(client)
        self._settings = settings
        self._meter = meter
        self._slots = asyncio.Semaphore(settings.in_flight)

    async def put(self, upload: Upload) -> None:
        guards: dict[str, str] = {}
        if upload.only_new:
            guards["IfNoneMatch"] = "*"
        if upload.checksum:
            guards["ChecksumSHA256"] = base64.b64encode(bytes.fromhex(upload.sha256)).decode()
        async with self._request(Target("put", upload.bucket, upload.key)) as limit:
            self._allow(limit, len(upload.body))
            await self._shortcut.ask(
                PUT,
                Bucket=_plain(upload.bucket),
                Key=upload.key,
                Body=_sendable(upload.body),
                Metadata={SAID_SHA256: upload.sha256},
                **guards,
            )

    async def get(self, bucket: str, key: str, wanted: str | None = None) -> Part:
        """The object, or the range `wanted` of it as in the HTTP header."""
        extra = {} if wanted is None else {"Range": wanted}
        async with self._request(Target("get", bucket, key)) as limit:
            answer = await self._shortcut.ask(GET, Bucket=_plain(bucket), Key=key, **extra)
            self._allow(limit, answer.get("ContentLength", 0))
            body = await _read(answer["Body"])
        return _part(key, body, answer)

    async def head(self, bucket: str, key: str) -> Seen:
        async with self._request(Target("head", bucket, key)):
            answer = await self._shortcut.ask(HEAD, Bucket=_plain(bucket), Key=key, ChecksumMode="ENABLED")
        said = answer.get("Metadata", {}).get(SAID_SHA256)
        told = answer.get("ChecksumSHA256", "")
        return Seen(
            int(answer["ContentLength"]),
            _whole_checksum(answer),
            said,
            told if "-" in told else None,
            answer.get("ETag"),
        )

    async def page(self, bucket: str, prefix: str, after: str, token: str | None) -> Page:
        where = {"ContinuationToken": token} if token else {"StartAfter": after} if after else {}
        async with self._request(Target("list", bucket, prefix)):
            answer = await self._client.list_objects_v2(
                Bucket=_plain(bucket), Prefix=prefix, MaxKeys=self._settings.page, **where
            )
        objects = [Listed(item["Key"], int(item["Size"])) for item in answer.get("Contents", [])]
        return Page(objects, answer.get("NextContinuationToken") if answer.get("IsTruncated") else None)

    async def delete(self, bucket: str, key: str, etag: str | None = None) -> None:
        """Raises Taken where `etag` is given and the object has another one."""
        guard = {} if etag is None else {"IfMatch": etag}
        async with self._request(Target("delete", bucket, key)):
            await self._client.delete_object(Bucket=_plain(bucket), Key=key, **guard)

    async def begin(self, bucket: str, key: str, sha256: str) -> Begun:
        """Begin an upload in parts."""
        async with self._request(Target("begin_parts", bucket, key)):
            answer = await self._client.create_multipart_upload(
                Bucket=_plain(bucket), Key=key, ChecksumAlgorithm="SHA256", Metadata={SAID_SHA256: sha256}
            )
        return Begun(bucket, key, str(answer["UploadId"]))

    async def put_part(self, begun: Begun, number: int, body: bytes, digest: bytes) -> SentPart:
        async with self._request(Target("put_part", begun.bucket, begun.key)) as limit:
            self._allow(limit, len(body))
            answer = await self._client.upload_part(
                **_named(begun),
                PartNumber=number,
                Body=_sendable(body),
                ChecksumSHA256=base64.b64encode(digest).decode(),
            )
        return SentPart(number, str(answer["ETag"]), digest)

    async def complete(self, begun: Begun, parts: list[SentPart], *, only_new: bool) -> None:
        """Make one object of the parts."""
        said = [
            {"PartNumber": part.number, "ETag": part.etag, "ChecksumSHA256": base64.b64encode(part.digest).decode()}
            for part in parts
        ]
        guards = {"IfNoneMatch": "*"} if only_new else {}
        async with self._request(Target("put", begun.bucket, begun.key)):
            await self._client.complete_multipart_upload(**_named(begun), MultipartUpload={"Parts": said}, **guards)

    async def abort(self, begun: Begun) -> None:
        """Take the parts back; nothing happens when there are none."""
        with suppress(ObjectMissing):
            async with self._request(Target("abort_parts", begun.bucket, begun.key)):
                await self._client.abort_multipart_upload(**_named(begun))

    async def unfinished(self, bucket: str, prefix: str) -> list[Begun]:
        """Uploads in parts below the prefix that were begun and not ended; the first thousand."""
        async with self._request(Target("list", bucket, prefix)):
            answer = await self._client.list_multipart_uploads(Bucket=_plain(bucket), Prefix=prefix)
        return [Begun(bucket, each["Key"], each["UploadId"]) for each in answer.get("Uploads", [])]

    async def bucket_exists(self, bucket: str) -> bool:
        try:
            async with self._request(Target("head_bucket", bucket)):
                await self._client.head_bucket(Bucket=_plain(bucket))
        except BucketMissing:
            return False
        return True

    @asynccontextmanager
    async def _request(self, target: Target) -> AsyncGenerator[asyncio.Timeout]:
        async with self._slots:
            self._meter.request(target.action)
            begun = monotonic()
            try:
                async with asyncio.timeout(self._settings.deadline) as limit:
                    yield limit
            except vendor_errors() as error:
                raise translate(error, target) from error
            finally:
                self._meter.answered(target.action, monotonic() - begun)

    def _allow(self, limit: asyncio.Timeout, size: int) -> None:
        """A body of `size` bytes may take its time, but not for ever."""
        seconds = self._settings.deadline + size / self._settings.slowest
        limit.reschedule(asyncio.get_running_loop().time() + seconds)


def _plain(place: str) -> str:
    """The bucket's name as its endpoint knows it."""
    return split(place)[1]


def _sendable(body: bytes) -> bytes | io.BytesIO:
    """A small body goes out with its headers in one write; aiohttp cuts a file into pieces, and wants one above 1 MiB."""
    return body if len(body) <= AT_ONCE else io.BytesIO(body)


def _named(begun: Begun) -> dict[str, str]:
    return {"Bucket": _plain(begun.bucket), "Key": begun.key, "UploadId": begun.upload}


async def _read(stream: Any) -> bytes:  # noqa: ANN401 - the vendor has no types
    try:
        return await stream.read()
    finally:
        stream.close()  # a read that was broken off must not go back to the pool


def _part(key: str, body: bytes, answer: dict[str, Any]) -> Part:
    """Refuses a body that is shorter or longer than the answer's own headers say."""
    found = _CONTENT_RANGE.fullmatch(answer.get("ContentRange", ""))
    start, end, size = map(int, found.groups()) if found else (0, len(body) - 1, len(body))
    promised = answer.get("ContentLength", len(body))
    if not len(body) == promised == end - start + 1:
        raise Unavailable("s3", f"got {len(body)} of {promised} bytes of {key}")
    return Part(body, start, size)


def _whole_checksum(answer: dict[str, Any]) -> str | None:
    """The store's SHA-256 in hex. None where it tells none, or that of a multipart object: a hash of hashes, whose
    `-<parts>` at the end is no base64.
    """
    try:
        return base64.b64decode(answer.get("ChecksumSHA256", ""), validate=True).hex() or None
    except ValueError:
        return None
