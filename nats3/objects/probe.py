"""What a bucket can do, found out on objects of our own: stores that say S3 differ in what they keep of it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from nats3.objects.requests import Part, Seen, Upload
from nats3.objects.store import AccessDenied, ObjectMissing
from nats3.objects.translate import Rejected, Taken

PREFIX = ".nats3-probe/"
_NOT_IMPLEMENTED = 501


@dataclass(frozen=True, slots=True)
class Abilities:
    """What was seen. A guard that the store does not understand is not sent to it.

    conditions: a PUT that must not overwrite is refused. checksums: a PUT with a wrong SHA-256 is refused. told: HEAD
    tells that SHA-256 again. reads_own_writes: GET right after PUT gives the bytes. deletes: what was deleted is gone.
    guards_deletes: a DELETE of another ETag than the object's is refused.
    """

    conditions: bool
    checksums: bool
    told: bool
    reads_own_writes: bool
    deletes: bool
    guards_deletes: bool = False

    @property
    def must_read_back(self) -> bool:
        """Whether only reading the bytes again proves what was stored."""
        return not (self.checksums and self.told)


class Requests(Protocol):
    """The single requests that a probe sends; `requests.S3Requests` has this shape."""

    async def put(self, upload: Upload) -> None: ...

    async def get(self, bucket: str, key: str, wanted: str | None = None) -> Part: ...

    async def head(self, bucket: str, key: str) -> Seen: ...

    async def delete(self, bucket: str, key: str, etag: str | None = None) -> None: ...


async def probe(requests: Requests, bucket: str, token: str | None = None) -> Abilities:
    """Ask the bucket: at most 13 small requests under `.nats3-probe/`, on keys that no other probe uses.

    Raises what the requests raise: an outage says nothing about abilities. Credentials that may not delete leave two
    objects of a few bytes behind.
    """
    name = PREFIX + (token or secrets.token_hex(8))
    first, wrong = _upload(bucket, f"{name}/one", b"one"), _upload(bucket, f"{name}/wrong", b"wrong")
    await requests.put(first)
    reads_own_writes = await _reads(requests, first)
    conditions = await _refuses(requests, Upload(bucket, first.key, b"two", _hex(b"two"), checksum=False))
    checksums = await _refuses(requests, Upload(bucket, wrong.key, wrong.body, _hex(b"right"), only_new=False))
    told = checksums and await _tells(requests, bucket, f"{name}/told")
    guards_deletes = await _guards(requests, bucket, first.key)
    deletes = [await _deletes(requests, bucket, key) for key in (first.key, wrong.key, f"{name}/told")]
    return Abilities(conditions, checksums, told, reads_own_writes, all(deletes), guards_deletes)


def _hex(body: bytes) -> str:
    return sha256(body).hexdigest()


def _upload(bucket: str, key: str, body: bytes) -> Upload:
    """Without guards: a store that does not know them may refuse the whole request."""
    return Upload(bucket, key, body, _hex(body), only_new=False, checksum=False)


async def _reads(requests: Requests, upload: Upload) -> bool:
    try:
        return (await requests.get(upload.bucket, upload.key)).body == upload.body
    except ObjectMissing:
        return False


async def _refuses(requests: Requests, upload: Upload) -> bool:
    """Whether the store refuses what it should; a store that does not offer the guard at all has not got it."""
    try:
        await requests.put(upload)
    except Taken:
        return True
    except Rejected as answer:
        if answer.status == _NOT_IMPLEMENTED:
            return False
        if answer.status == 400:  # noqa: PLR2004 - BadDigest, InvalidDigest and their kin
            return True
        raise
    return False


async def _tells(requests: Requests, bucket: str, key: str) -> bool:
    upload = Upload(bucket, key, b"told", _hex(b"told"), only_new=False)
    await requests.put(upload)
    try:
        return (await requests.head(bucket, key)).checksum == upload.sha256
    except ObjectMissing:
        return False


async def _guards(requests: Requests, bucket: str, key: str) -> bool:
    """Whether a DELETE that must meet other bytes is refused; one that may not delete at all says nothing of it."""
    try:
        await requests.delete(bucket, key, '"00000000000000000000000000000000"')
    except Taken:
        return True
    except Rejected as answer:
        if answer.status not in {400, _NOT_IMPLEMENTED}:
            raise
    except (AccessDenied, ObjectMissing):
        return False
    return False


async def _deletes(requests: Requests, bucket: str, key: str) -> bool:
    try:
        await requests.delete(bucket, key)
        await requests.head(bucket, key)
    except ObjectMissing:
        return True
    except AccessDenied:
        return False
    return False
