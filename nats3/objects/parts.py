"""Objects that are too large for one request: sent in parts, with the guards that a single PUT has.

The store checks the SHA-256 of each part, and takes the whole only while the key is free. What it then tells of the object is a
hash of those hashes, which we know as well. Whoever breaks off takes the parts back; a process that died leaves them to
the next bind of the job (`sweep`).
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol

from nats3.errors import Nats3Error
from nats3.objects.translate import Rejected

_PATIENCE_S = 5.0
"""How long taking parts back may hold up whoever broke off."""

_NOT_IMPLEMENTED = 501


@dataclass(frozen=True, slots=True)
class SentPart:
    """One part that the store has: its number from 1, the store's name for its bytes, and their SHA-256."""

    number: int
    etag: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Begun:
    """An upload in parts, by the store's id of it."""

    bucket: str
    key: str
    upload: str


class PartRequests(Protocol):
    """The single requests that an upload in parts takes; `requests.S3Requests` has this shape."""

    async def begin(self, bucket: str, key: str, sha256: str) -> Begun: ...

    async def put_part(self, begun: Begun, number: int, body: bytes, digest: bytes) -> SentPart: ...

    async def complete(self, begun: Begun, parts: list[SentPart], *, only_new: bool) -> None:
        """Raises Taken where the key is not free."""
        ...

    async def abort(self, begun: Begun) -> None: ...

    async def unfinished(self, bucket: str, prefix: str) -> list[Begun]: ...


def slices(body: bytes, part_bytes: int) -> Iterator[memoryview]:
    view = memoryview(body)
    return (view[start : start + part_bytes] for start in range(0, len(body), part_bytes))


def digest_of_parts(body: bytes, part_bytes: int) -> str:
    """What a store tells as SHA-256 of an object that came in such parts. Takes a while: meant for a thread."""
    digests = [sha256(part).digest() for part in slices(body, part_bytes)]
    return f"{base64.b64encode(sha256(b''.join(digests)).digest()).decode()}-{len(digests)}"


async def put_in_parts(requests: PartRequests, upload: Any, part_bytes: int) -> None:  # noqa: ANN401 - an Upload
    """Send the object; one part of it is copied at a time. Raises what the requests raise, and leaves no part behind."""
    begun = await requests.begin(upload.bucket, upload.key, upload.sha256)
    try:
        sent: list[SentPart] = []
        for number, part in enumerate(slices(upload.body, part_bytes), 1):
            digest = (await asyncio.to_thread(sha256, part)).digest()
            sent.append(await requests.put_part(begun, number, bytes(part), digest))
        await requests.complete(begun, sent, only_new=upload.only_new)
    except BaseException:
        await _take_back(requests, begun)
        raise


async def _take_back(requests: PartRequests, begun: Begun) -> None:
    """As far as it can be done at once; what stays is found by `sweep`."""
    with suppress(Nats3Error, TimeoutError):
        async with asyncio.timeout(_PATIENCE_S):
            await requests.abort(begun)


async def sweep(requests: PartRequests, bucket: str, prefix: str, owned: Callable[[str], bool]) -> int:
    """Take back the parts of every unfinished upload below `prefix` whose key is `owned`; how many there were.

    A store that knows no uploads in parts has none.
    """
    try:
        left = [begun for begun in await requests.unfinished(bucket, prefix) if owned(begun.key)]
    except Rejected as answer:
        if answer.status == _NOT_IMPLEMENTED:
            return 0
        raise
    for begun in left:
        await requests.abort(begun)
    return len(left)
