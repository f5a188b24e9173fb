"""Which of the archived messages are meant: a set-wise choice out of batches, chunks and frames."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import compress

from nats3 import headers
from nats3.message import Batch
from nats3.subject import compiled


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a chunk or a frame holds at most. Both ends belong to it; `subjects` None: not known."""

    first: int
    last: int
    least_time: int
    greatest_time: int
    subjects: tuple[bytes, ...] | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """Every condition must hold; what is left out excludes nothing.

    `subjects` are filters of which one must match. Times are nanoseconds, from_time <= t < to_time; seqs include both
    ends. `headers` are (name, value) lines that must all be there, byte for byte. `limit` counts messages.
    """

    subjects: tuple[str, ...] = ()
    from_time: int | None = None
    to_time: int | None = None
    first_seq: int | None = None
    last_seq: int | None = None
    limit: int | None = None
    headers: tuple[tuple[str, str], ...] = ()

    def select(self, batch: Batch, taken: int = 0) -> Batch:
        """The messages of the batch that are meant, `taken` of the limit being used up already."""
        chosen = self._limited(self._by_header(self._by_subject(self._by_time(self._by_seq(batch)))), taken)
        return chosen if len(chosen) < len(batch) else batch

    def touches(self, bounds: Bounds) -> bool:
        """False only when no message within these bounds can be meant: its bytes need not be fetched."""
        if self.first_seq is not None and bounds.last < self.first_seq:
            return False
        if self.last_seq is not None and bounds.first > self.last_seq:
            return False
        if self.from_time is not None and bounds.greatest_time < self.from_time:
            return False
        if self.to_time is not None and bounds.least_time >= self.to_time:
            return False
        return self._touches_subjects(bounds.subjects)

    def _touches_subjects(self, subjects: tuple[bytes, ...] | None) -> bool:
        if subjects is None or not self.subjects:
            return True
        return any(compiled(self.subjects).mask(subjects))

    def _by_seq(self, batch: Batch) -> Batch:
        start = 0 if self.first_seq is None else bisect_left(batch.seqs, self.first_seq)
        stop = len(batch) if self.last_seq is None else bisect_right(batch.seqs, self.last_seq)
        return batch if (start, stop) == (0, len(batch)) else batch.slice(start, max(start, stop))

    def _by_time(self, batch: Batch) -> Batch:
        if not len(batch) or (self.from_time is None and self.to_time is None):
            return batch
        start = min(batch.times) if self.from_time is None else self.from_time
        stop = max(batch.times) + 1 if self.to_time is None else self.to_time
        return keep(batch, [start <= time < stop for time in batch.times])

    def _by_subject(self, batch: Batch) -> Batch:
        return keep(batch, compiled(self.subjects).mask(batch.subjects)) if self.subjects else batch

    def _by_header(self, batch: Batch) -> Batch:
        for name, value in self.headers:
            batch = keep(batch, headers.has_line(batch.headers, name.encode(), value.encode()))
        return batch

    def _limited(self, batch: Batch, taken: int) -> Batch:
        if self.limit is None or len(batch) <= self.limit - taken:
            return batch
        return batch.slice(0, max(0, self.limit - taken))


EVERYTHING = Selection()


def keep(batch: Batch, mask: list[bool]) -> Batch:
    """The messages at which the mask is true."""
    if all(mask):
        return batch
    columns = (batch.seqs, batch.times, batch.subjects, batch.headers, batch.payloads)
    seqs, times, subjects, blocks, payloads = (list(compress(column, mask)) for column in columns)
    return Batch(seqs, times, subjects, blocks, payloads)  # type: ignore[arg-type]
