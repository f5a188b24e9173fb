"""Reads what is archived, and believes nothing that it has not verified against the recorded event."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Awaitable, Callable
from typing import TypeVar

from nats3.chunk.decode import Decoded, decode
from nats3.chunk.layout import DecodeError
from nats3.errors import Blocked
from nats3.job.storing import ChunkFlushed
from nats3.message import Batch, Message, fingerprint, one
from nats3.objects.store import ObjectMissing, ObjectShort, Readable
from nats3.selection import EVERYTHING, Selection
from nats3.work.ranged import RangedChunk, worth_it
from nats3.work.tools import ChunkIndex, IndexedChunk, InThread

T = TypeVar("T")
Sleep = Callable[[float], Awaitable[None]]

CONFIRMATIONS = 3
"""How often a missing or corrupt object is looked at before it is believed."""


class Archive:
    """The chunks of a bucket, by what the index says of them."""

    def __init__(self, objects: Readable, index: ChunkIndex, in_thread: InThread) -> None:
        self._objects = objects
        self._index = index
        self._in_thread = in_thread
        self._latest: tuple[str, Decoded] | None = None

    async def holds(self, job_id: str, life: str, message: Message, sleep: Sleep) -> bool | None:
        """Whether the life has this very message at its seq, as `compare` tells it."""
        (same,) = await self.compare(job_id, life, one(message), sleep)
        return same

    async def compare(self, job_id: str, life: str, batch: Batch, sleep: Sleep) -> list[bool | None]:
        """For each message of `batch`, in seq order: whether the life has this very message at its seq; None when it has
        nothing there. Raises Blocked where that cannot be read.

        Of a chunk that was deleted by order only the event is left: its last message is known by fingerprint, the
        others by their time.
        """
        await self._index.fresh()
        found: list[bool | None] = []
        while (at := len(found)) < len(batch):
            indexed = await self._index.covering(job_id, life, batch.seqs[at])
            if indexed is None:
                found.append(None)
                continue
            covered = batch.slice(at, bisect_right(batch.seqs, indexed.flushed.last))
            found += await self._compared(indexed, covered, sleep)
        return found

    async def _compared(self, indexed: IndexedChunk, covered: Batch, sleep: Sleep) -> list[bool | None]:
        """`compare` for messages that this one chunk covers; what its event tells alone costs no object."""
        flushed = indexed.flushed
        if covered.seqs[0] == flushed.last:
            return [fingerprint(covered[0]) == flushed.last_fingerprint]
        if indexed.deleted:
            return [_as_deleted(flushed, message) for message in covered]
        batch = (await self._chunk_kept(flushed, sleep)).batch
        return [_same(batch, message) for message in covered]

    async def _chunk_kept(self, flushed: ChunkFlushed, sleep: Sleep) -> Decoded:
        """The chunk, kept for the next question: neighbours are asked for one after the other."""
        if self._latest is None or self._latest[0] != flushed.key:
            self._latest = (flushed.key, await _confirmed(lambda: self.chunk(flushed), flushed.key, sleep))
        return self._latest[1]

    async def chunk(self, flushed: ChunkFlushed) -> Decoded:
        """One attempt to read the recorded chunk whole. Raises ObjectMissing, DecodeError."""
        body = await self._objects.get(flushed.bucket, flushed.key)
        decoded = await self._in_thread(lambda: decode(body, flushed.sha256))
        require_recorded(decoded, flushed)
        return decoded

    async def selected(self, flushed: ChunkFlushed, selection: Selection) -> Batch:
        """One attempt to read the chosen messages of the recorded chunk; of a large object no more than the frames that
        may hold them, and only those are verified then. Raises ObjectMissing, ObjectShort, DecodeError.
        """
        if worth_it(flushed, selection):
            return await RangedChunk(self._objects, flushed, self._in_thread).select(selection)
        decoded = await self.chunk(flushed)
        return await self._in_thread(lambda: selection.select(decoded.batch))

    async def confirmed(self, flushed: ChunkFlushed, sleep: Sleep, selection: Selection = EVERYTHING) -> Batch:
        """The chosen messages, or Blocked once the chunk was found missing or corrupt several times in a row."""
        return await _confirmed(lambda: self.selected(flushed, selection), flushed.key, sleep)


async def _confirmed(read: Callable[[], Awaitable[T]], key: str, sleep: Sleep) -> T:
    """What was read, or Blocked once the object was found missing or corrupt several times in a row."""
    for attempt in range(1, CONFIRMATIONS + 1):
        try:
            return await read()
        except ObjectMissing as fault:
            blocked = Blocked("chunk_missing", f"{key}: {fault}; put the object back, then resume")
        except (DecodeError, ObjectShort) as fault:
            blocked = Blocked("chunk_corrupt", f"{key}: {fault}; put the original bytes back, then resume")
        if attempt == CONFIRMATIONS:
            raise blocked
        await sleep(float(attempt))
    raise AssertionError


def _as_deleted(flushed: ChunkFlushed, message: Message) -> bool:
    if message.seq == flushed.last:
        return fingerprint(message) == flushed.last_fingerprint
    return flushed.first_time <= message.time_ns <= flushed.last_time


def _same(batch: Batch, message: Message) -> bool | None:
    """Whether the chunk holds this very message; None when it has nothing at that seq."""
    at = bisect_left(batch.seqs, message.seq)
    if at == len(batch) or batch.seqs[at] != message.seq:
        return None
    return batch[at] == message or fingerprint(batch[at]) == fingerprint(message)


def require_recorded(decoded: Decoded, flushed: ChunkFlushed) -> None:
    """The object is the chunk that the event recorded, not another one in its place."""
    header = decoded.header
    found = (header.origin.opening.uuid, header.first, header.last, header.count, header.origin.previous_seq)
    recorded = (flushed.life, flushed.first, flushed.last, flushed.count, flushed.previous_seq)
    if found != recorded:
        message = f"the object holds {found}, the log recorded {recorded} (life, first, last, count, previous seq)"
        raise DecodeError(message)
