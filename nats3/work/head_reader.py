"""Reads what a chunk in a bucket says of itself: its header, and the hash of the whole object."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from hashlib import sha256

from nats3.chunk.decode import decode, header_length, read_header
from nats3.chunk.layout import ChunkHeader, Codec, DecodeError
from nats3.chunk.object_key import EXTENSIONS, ParsedKey, check_prefix, parse_key
from nats3.chunk.parquet import read_parquet_header
from nats3.job.rebuilding import Found
from nats3.job.storing import Candidate
from nats3.job.surveying import Finding
from nats3.objects.store import Listed, ObjectMissing, ObjectShort, ObjectStore
from nats3.work.endure import sole
from nats3.work.tools import InThread

HEADER_GUESS = 64 * 1024
"""Bytes fetched of an object to learn its header: most are far shorter."""


@dataclass(frozen=True, slots=True)
class Read:
    """A chunk of which the header was read."""

    found: Found
    header: ChunkHeader
    size: int

    @property
    def sha256(self) -> str:
        return self.found.sha256

    @property
    def key(self) -> str:
        return self.found.key


class HeadReader:
    """Reads the chunks of one bucket. `note` hears of objects that are named like chunks and are none."""

    def __init__(
        self,
        bucket: str,
        objects: ObjectStore,
        in_thread: InThread,
        note: Callable[[Finding], Awaitable[None]],
        *,
        deep: bool,
    ) -> None:
        self._bucket = bucket
        self._objects = objects
        self._in_thread = in_thread
        self._note = note
        self._deep = deep

    async def read_all(self, listed: list[Listed]) -> list[Read]:
        try:
            async with asyncio.TaskGroup() as tasks:
                reads = [tasks.create_task(self.read(each)) for each in listed]
        except BaseExceptionGroup as group:
            raise sole(group) from None
        return [read for each in reads if (read := each.result()) is not None]

    async def read(self, listed: Listed, *, quiet: bool = False) -> Read | None:
        """None for what is gone, or no chunk any more: then that is a finding."""
        try:
            return await self._chunk(listed)
        except ObjectMissing:
            return None
        except (DecodeError, ObjectShort) as fault:
            if not quiet:
                await self._note(Finding("unreadable", self._bucket, listed.key, detail=str(fault)))
            return None

    async def _chunk(self, listed: Listed) -> Read:
        """A header and the hash of its whole object; every byte where the hash is not known, or `deep` asks for it."""
        parsed = parse_key(listed.key)
        assert parsed is not None, "listed as a chunk"
        digest = None if self._deep else (await self._objects.head(self._bucket, listed.key)).sha256
        if digest is None or not digest.startswith(parsed.sha16):
            header, digest = await self._whole(listed.key)
        else:
            header = await header_of(self._objects, self._in_thread, self._bucket, listed)
        _require_key(parsed, header, digest)
        return Read(Found(_stored_by(listed.key, parsed, header), header.first, digest), header, listed.size)

    async def _whole(self, key: str) -> tuple[ChunkHeader, str]:
        body = await self._objects.get(self._bucket, key)
        return (await self._in_thread(lambda: decode(body))).header, sha256(body).hexdigest()


async def header_of(objects: ObjectStore, in_thread: InThread, bucket: str, listed: Listed) -> ChunkHeader:
    """The header of an object, by as few of its bytes as it takes. Raises ObjectMissing, ObjectShort, DecodeError."""
    if listed.key.endswith(EXTENSIONS[Codec.PARQUET]):
        # Its header lies near its end, and proves itself only as a whole.
        body = await objects.get(bucket, listed.key)
        return await in_thread(lambda: read_parquet_header(body))
    start = await objects.get(bucket, listed.key, 0, min(HEADER_GUESS, listed.size))
    length = header_length(start)
    if len(start) < length <= listed.size:
        start = await objects.get(bucket, listed.key, 0, length)
    return read_header(start)


def candidate_of(key: str, header: ChunkHeader) -> Candidate:
    origin = header.origin
    return Candidate(
        key=key,
        opening=origin.opening,
        previous_seq=origin.previous_seq,
        previous_sha256=origin.previous_sha256,
        last=header.last,
        activation=origin.activation,
        bind=origin.bind,
    )


def _stored_by(key: str, parsed: ParsedKey, header: ChunkHeader) -> Candidate:
    """As the key has it: who stored the object, which is not always who wrote it."""
    return replace(candidate_of(key, header), activation=parsed.activation, bind=parsed.bind)


def _require_key(parsed: ParsedKey, header: ChunkHeader, digest: str) -> None:
    """The object is the one that its name tells of."""
    origin = header.origin
    named = (parsed.prefix, parsed.stream, parsed.created, parsed.life, parsed.first, parsed.last, parsed.count)
    held = (
        check_prefix("prefix", origin.prefix),
        origin.stream,
        origin.opening.created,
        origin.opening.ordinal,
        header.first,
        header.last,
        header.count,
    )
    if named != held or not digest.startswith(parsed.sha16) or not origin.job_id.startswith(parsed.job8):
        raise DecodeError("the object is not the one that its key names")
