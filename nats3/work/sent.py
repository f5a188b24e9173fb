"""What was handed to a publisher and is not yet recorded, in order: which index is which message of the plan."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from nats3.job.loading import ChunkDeleteRequested, ChunkSkipped, DisplacedRange
from nats3.job.storing import ChunkFlushed
from nats3.work.displaced import Run, out_of_order, runs_of
from nats3.work.pieces import Piece
from nats3.work.present import Known


@dataclass(slots=True)
class Sent:
    """A part of a piece: its messages have the indexes start <= i < start + len(seqs).

    `known` are the messages between them that are in the target already, `runs` the same as far as
    they are not recorded yet.
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
    runs: Sequence[Run] = ()

    @property
    def end(self) -> int:
        return self.start + len(self.seqs)


@dataclass(frozen=True, slots=True)
class Reached:
    """Everything of the plan up to `seq` in range rank `rank` is in the target: `messages` of it since the line began.

    `known_at` is how far in the target those stand that it had before; 0 where there are none. `displaced` are those of
    them that are reached now and stand there out of order.
    """

    rank: int
    seq: int
    messages: int
    known_at: int = 0
    displaced: tuple[DisplacedRange, ...] = ()


class Line:
    """Parts in the order in which they were handed over. Indexes count every message from 0."""

    def __init__(self, behind: int = 0) -> None:
        """What was published before stands in the target up to seq `behind`."""
        self._parts: deque[Sent] = deque()
        self._sent = 0
        self._recorded = 0
        self._known_at = 0
        self._known_behind = behind

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
        sent.runs = runs_of(piece.rank, sent.known, seqs, self._sent)
        self._parts.append(sent)
        self._sent += len(seqs)

    def acknowledged(self, acked: int, recorded: int, beyond: int = 0) -> tuple[list[Sent], Reached | None]:
        """What is wholly acknowledged, and how far everything is; None when that is nothing new.

        In a part that is acknowledged in part all is there up to the message before the next one that is sent: what
        was left out between them is in the target already. `beyond` is the index of the first message that came to stand
        behind all that was there before.
        """
        settled = list(takewhile(lambda sent: sent.end <= acked, self._parts))
        messages, known_at = self._recorded + _messages(settled), self._known_far(settled)
        runs = [run for part in settled for run in part.runs]
        if len(settled) < len(self._parts) and self._parts[len(settled)].start < acked and acked > recorded:
            part = self._parts[len(settled)]
            rank, seq = part.rank, part.seqs[acked - part.start] - 1
            known = part.known[: _up_to(part.known, seq)]
            messages += bisect_right(part.seqs, seq) + len(known)
            known_at = max(known_at, _farthest(known))
            runs += [run for run in part.runs if run.last <= seq]
        elif settled:
            rank, seq = settled[-1].rank, settled[-1].reaches
        else:
            return settled, None
        return settled, Reached(rank, seq, messages, known_at, out_of_order(runs, self._known_behind, beyond))

    def drop(self, settled: Sequence[Sent], reached: Reached) -> None:
        """These, the first ones, are recorded, and so is what is reached of the next one."""
        self._recorded += _messages(settled)
        self._known_at = self._known_far(settled)
        self._known_behind = max(self._known_behind, reached.known_at)
        for _ in settled:
            self._parts.popleft()
        if self._parts and self._parts[0].rank == reached.rank:
            left = self._parts[0]
            left.runs = [run for run in left.runs if run.last > reached.seq]

    def ranges(self, first: int, last: int) -> Iterator[DisplacedRange]:
        """The messages with these indexes, none of which is recorded yet, as ranges of seqs."""
        found: DisplacedRange | None = None
        for part in self._parts:
            seqs = part.seqs[max(first - part.start, 0) : max(last + 1 - part.start, 0)]
            if found is not None and seqs and found.rank != part.rank:
                yield found
                found = None
            if seqs:
                begun = DisplacedRange(part.rank, seqs[0], seqs[-1], 0) if found is None else found
                found = replace(begun, last=seqs[-1], count=begun.count + len(seqs))
        if found is not None:
            yield found

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
