"""What was received and is not sealed yet. It decides when a chunk ends, and says why."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from enum import Enum
from itertools import accumulate
from operator import add

from nats3.message import Batch


class Seal(Enum):
    """Why a chunk ended."""

    BYTES = "bytes"
    COUNT = "count"
    AGE = "age"
    PAUSE = "pause"
    STOP = "stop"
    MEMORY = "memory"


@dataclass(frozen=True, slots=True)
class BufferLimits:
    """Ceilings of one chunk: bytes of subjects, header blocks and payloads; messages; seconds since the first came."""

    max_bytes: int
    max_count: int
    max_age_s: float


@dataclass(frozen=True, slots=True)
class Sealed:
    batch: Batch
    reason: Seal
    message_bytes: int


@dataclass(frozen=True, slots=True)
class Room:
    """What the open chunk still takes."""

    messages: int
    bytes: int


class Buffer:
    """The open chunk of one job. `now` is monotonic seconds, always the caller's.

    A chunk never holds more than max_bytes, but for one message that is larger by itself: it makes a chunk alone.
    """

    def __init__(self, limits: BufferLimits) -> None:
        self.limits = limits
        self._batch = Batch()
        self._bytes = 0
        self._since: float | None = None

    def __len__(self) -> int:
        return len(self._batch)

    @property
    def message_bytes(self) -> int:
        return self._bytes

    def add(self, batch: Batch, now: float) -> list[Sealed]:
        """Take messages in; the chunks that they filled, in order. The batch belongs to the buffer from here on."""
        if not len(batch):
            return []
        size = batch.raw_bytes()
        if self._bytes + size < self.limits.max_bytes and len(self) + len(batch) < self.limits.max_count:
            self._keep(batch, size, now)
            return []
        return self._cut(batch, now)

    def tick(self, now: float) -> Sealed | None:
        """The chunk when its first message has waited max_age_s."""
        deadline = self.deadline()
        return self.flush(Seal.AGE) if deadline is not None and now >= deadline else None

    def flush(self, reason: Seal) -> Sealed | None:
        """Everything that is held, None when that is nothing."""
        if not len(self):
            return None
        sealed = Sealed(self._batch, reason, self._bytes)
        self._batch, self._bytes, self._since = Batch(), 0, None
        return sealed

    def deadline(self) -> float | None:
        """When `tick` will seal, None while empty."""
        return None if self._since is None else self._since + self.limits.max_age_s

    def room(self) -> Room:
        """How much may still be asked for until the open chunk is full."""
        return Room(self.limits.max_count - len(self), max(0, self.limits.max_bytes - self._bytes))

    def _keep(self, batch: Batch, size: int, now: float) -> None:
        if len(self):
            self._batch.extend(batch)
        else:
            self._batch, self._since = batch, now
        self._bytes += size

    def _cut(self, batch: Batch, now: float) -> list[Sealed]:
        ends = ends_of(batch)
        chunks: list[Sealed] = []
        start, before = 0, 0
        while start < len(batch):
            stop = self._stop(ends, start, before)
            if stop > start:
                self._keep(batch.slice(start, stop), ends[stop - 1] - before, now)
                start, before = stop, ends[stop - 1]
            sealed = self._full(more=start < len(batch))
            if sealed:
                chunks.append(sealed)
        return chunks

    def _stop(self, ends: list[int], start: int, before: int) -> int:
        """Up to which position the open chunk takes messages; a lone message always fits an empty one."""
        by_bytes = bisect_right(ends, before + self.limits.max_bytes - self._bytes, lo=start)
        by_count = start + self.limits.max_count - len(self)
        return max(min(by_bytes, by_count), start + (not len(self)))

    def _full(self, *, more: bool) -> Sealed | None:
        """The chunk if it is full, which it also is when `more` did not fit."""
        if len(self) >= self.limits.max_count:
            return self.flush(Seal.COUNT)
        return self.flush(Seal.BYTES) if more or self._bytes >= self.limits.max_bytes else None


def ends_of(batch: Batch) -> list[int]:
    """For each message the bytes of all up to and with it."""
    blocks = map(len, (block or b"" for block in batch.headers))
    sizes = map(add, map(add, map(len, batch.subjects), map(len, batch.payloads)), blocks)
    return list(accumulate(sizes))
