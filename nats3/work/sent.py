"""What was handed to a publisher and is not yet recorded, in order: which index is which message of the plan."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from nats3.job.loading import ChunkDeleteRequested, ChunkSkipped
from nats3.job.storing import ChunkFlushed
from nats3.work.pieces import Known, Piece


@dataclass(slots=True)
class Sent:
    """A part of a piece: its messages have the indexes start <= i < start + len(seqs).

    `known` are the messages between them that are in the target already.
    """

    start: int
    rank: int
    seqs: Sequence[int]
    lives: Sequence[str]
    finishes: tuple[ChunkFlushed, ...] = ()
    deletions: tuple[ChunkDeleteRequested, ...] = ()
    skipped: ChunkSkipped | None = None
    message_bytes: int = 0
    known: Sequence[Known] = ()
    reaches: int = 0

    @property
    def end(self) -> int:
        return self.start + len(self.seqs)


@dataclass(frozen=True, slots=True)
class Reached:
    """Everything of the plan up to `seq` in range rank `rank` is in the target: `messages` of it since the line began.

    `known_at` is how far in the target those stand that it had before; 0 where there are none.
    """

    rank: int
    seq: int
    messages: int
    known_at: int = 0


class Line:
    """Parts in the order in which they were handed over. Indexes count every message from 0."""

    def __init__(self) -> None:
        self._parts: deque[Sent] = deque()
        self._sent = 0
        self._recorded = 0
        self._known_at = 0

    def add(self, piece: Piece, part: slice, message_bytes: int) -> None:
        """The messages of the piece at `part`; the last part carries what the piece says of chunks and sizes."""
        seqs, lives = piece.batch.seqs[part], piece.lives[part]
        before = _up_to(piece.known, piece.batch.seqs[part.start - 1]) if part.start else 0
        if part.stop < len(piece.batch):
            known = piece.known[before : _up_to(piece.known, seqs[-1])]
            sent = Sent(self._sent, piece.rank, seqs, lives, known=known, reaches=seqs[-1])
        else:
            ends = (piece.finishes, piece.deletions, piece.skipped)
            sent = Sent(self._sent, piece.rank, seqs, lives, *ends, message_bytes, piece.known[before:], piece.reaches)
        self._parts.append(sent)
        self._sent += len(seqs)

    def acknowledged(self, acked: int, recorded: int) -> tuple[list[Sent], Reached | None]:
        """What is wholly acknowledged, and how far everything is; None when that is nothing new.

        In a part that is acknowledged in part all is there up to the message before the next one that is sent: what
        was left out between them is in the target already.
        """
        settled = list(takewhile(lambda sent: sent.end <= acked, self._parts))
        messages, known_at = self._recorded + _messages(settled), self._known_far(settled)
        if len(settled) < len(self._parts) and self._parts[len(settled)].start < acked and acked > recorded:
            part = self._parts[len(settled)]
            seq = part.seqs[acked - part.start] - 1
            known = part.known[: _up_to(part.known, seq)]
            messages += bisect_right(part.seqs, seq) + len(known)
            return settled, Reached(part.rank, seq, messages, max(known_at, _farthest(known)))
        return settled, Reached(settled[-1].rank, settled[-1].reaches, messages, known_at) if settled else None

    def drop(self, settled: Sequence[Sent]) -> None:
        """These, the first ones, are recorded."""
        self._recorded += _messages(settled)
        self._known_at = self._known_far(settled)
        for _ in settled:
            self._parts.popleft()

    def _known_far(self, settled: Sequence[Sent]) -> int:
        return max([self._known_at, *(_farthest(part.known) for part in settled)])

    def joined(self, index: int) -> bool:
        """Whether the message with this index has the seq of the one before it: jobs saw different ones there, in lives that
        share a rank. Progress is a seq, so it cannot stand between them.
        """
        part = next((each for each in self._parts if each.start < index < each.end), None)
        return part is not None and part.seqs[index - part.start] == part.seqs[index - part.start - 1]

    def place(self, index: int) -> tuple[int, str, int]:
        """Rank, life and seq of the message with this index, which is not recorded yet."""
        part = next(each for each in self._parts if each.start <= index < each.end)
        at = index - part.start
        return part.rank, part.lives[at], part.seqs[at]


def _up_to(known: Sequence[Known], seq: int) -> int:
    """How many of them have this seq or a lower one."""
    return bisect_right(known, seq, key=lambda each: each.seq)


def _farthest(known: Sequence[Known]) -> int:
    return max((each.target_seq for each in known), default=0)


def _messages(parts: Sequence[Sent]) -> int:
    return sum(len(part.seqs) + len(part.known) for part in parts)
