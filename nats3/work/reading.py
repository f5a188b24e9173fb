"""Chunks read for people: is the object what was recorded, and what is in it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal, TypeAlias, TypeVar

from nats3.chunk.layout import DecodeError
from nats3.errors import Blocked
from nats3.message import Batch
from nats3.objects.store import AccessDenied, BucketMissing, ObjectMissing, ObjectShort, ObjectStore
from nats3.selection import Selection
from nats3.views.chunks import ChunkRow
from nats3.work.archive import Archive
from nats3.work.index import flushed_of
from nats3.work.tools import ChunkIndex, InThread

T = TypeVar("T")

Judgement: TypeAlias = tuple[Literal["whole", "missing", "corrupt"], str]
"""And why, where it is not whole."""

AT_A_TIME = 2
"""Chunks that are held for readers; others wait."""


class ChunkReader:
    """Reads whole chunks, two at a time. Every method raises Unavailable, and Blocked where the bucket lets nobody read."""

    def __init__(self, objects: ObjectStore, index: ChunkIndex, in_thread: InThread) -> None:
        self._archive = Archive(objects, index, in_thread)
        self._turns = asyncio.Semaphore(AT_A_TIME)

    async def judge(self, row: ChunkRow) -> Judgement:
        """Every byte of the object is read and held against what was recorded."""
        try:
            await self._judged(lambda: self._archive.chunk(flushed_of(row)), row)
        except Blocked as fault:
            if fault.code == "chunk_missing":
                return "missing", fault.reason
            if fault.code == "chunk_corrupt":
                return "corrupt", fault.reason
            raise
        return "whole", ""

    async def messages(self, row: ChunkRow, chosen: Selection) -> Batch:
        """Those messages of the chunk that are chosen, each byte of them verified; of a large object only the frames that
        may hold them are fetched. Raises Blocked where they are not what was recorded.
        """
        return await self._judged(lambda: self._archive.selected(flushed_of(row), chosen), row)

    async def _judged(self, read: Callable[[], Awaitable[T]], row: ChunkRow) -> T:
        async with self._turns:
            try:
                return await read()
            except ObjectMissing as fault:
                raise Blocked("chunk_missing", f"{fault}; put the object back") from fault
            except (DecodeError, ObjectShort) as fault:
                raise Blocked("chunk_corrupt", f"{row.key}: {fault}; put the original bytes back") from fault
            except BucketMissing as fault:
                raise Blocked("bucket_missing", str(fault)) from fault
            except AccessDenied as fault:
                raise Blocked("access_denied", str(fault)) from fault
