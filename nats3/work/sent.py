"""What was handed to a publisher and is not yet recorded, in order: which index is which message of the plan."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from nats3.job.loading import ChunkDeleteRequested, ChunkSkipped
from nats3.job.storing import ChunkFlushed
from nats3.work.pieces import Piece


@dataclass(slots=True)
class Sent:
    """A part of a piece: its messages have the indexes start <= i < start + len(seqs)."""

    start: int
    rank: int
    seqs: Sequence[int]
    lives: Sequence[str]
    finishes: tuple[ChunkFlushed, ...] = ()
    deletions: tuple[ChunkDeleteRequested, ...] = ()
    skipped: ChunkSkipped | None = None
    message_bytes: int = 0
    known: int = 0
    reaches: int = 0

    @property
    def end(self) -> int:
        return self.start + len(self.seqs)


class Line:
    """Parts in the order in which they were handed over. Indexes count every message from 0."""

    def __init__(self) -> None:
        self._parts: deque[Sent] = deque()
        self._sent = 0

    def add(self, piece: Piece, part: slice, message_bytes: int) -> None:
        """The messages of the piece at `part`; the last part carries what the piece says of chunks and sizes."""
        seqs, lives = piece.batch.seqs[part], piece.lives[part]
        if part.stop < len(piece.batch):
            sent = Sent(self._sent, piece.rank, seqs, lives, reaches=seqs[-1])
        else:
            ends = (piece.finishes, piece.deletions, piece.skipped)
            sent = Sent(self._sent, piece.rank, seqs, lives, *ends, message_bytes, piece.known, piece.reaches)
        self._parts.append(sent)
        self._sent += len(seqs)

    def acknowledged(self, acked: int, recorded: int) -> tuple[list[Sent], tuple[int, int] | None]:
        """What is wholly acknowledged, and up to which (rank, seq) everything is; None when that is nothing new.

        In a part that is acknowledged in part all is there up to the message before the next one that is sent: what
        was left out between them is in the target already.
        """
        settled = list(takewhile(lambda sent: sent.end <= acked, self._parts))
        if len(settled) < len(self._parts) and self._parts[len(settled)].start < acked and acked > recorded:
            part = self._parts[len(settled)]
            return settled, (part.rank, part.seqs[acked - part.start] - 1)
        return settled, (settled[-1].rank, settled[-1].reaches) if settled else None

    def drop(self, settled: Sequence[Sent]) -> None:
        """These, the first ones, are recorded."""
        for _ in settled:
            self._parts.popleft()

    def place(self, index: int) -> tuple[int, str, int]:
        """Rank, life and seq of the message with this index, which is not recorded yet."""
        part = next(each for each in self._parts if each.start <= index < each.end)
        at = index - part.start
        return part.rank, part.lives[at], part.seqs[at]
