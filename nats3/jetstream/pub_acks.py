"""PubAcks by index: how far everything sent is acknowledged, without a gap, and in which order it was stored."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from operator import lt

from nats3.jetstream.errors import PublishRefused, refused
from nats3.jetstream.link import NO_RESPONDERS, status_of

MOST_DISPLACED = 1000


@dataclass(frozen=True, slots=True)
class Displaced:
    """Messages first <= index <= last were stored below an earlier one, so their order in the target is another."""

    first: int
    last: int


class PubAcks:
    """What the target said to the messages 0, 1, 2, ... of one publisher. Answers may come in any order.

    `behind` is the seq up to which the messages before them stand in the target, `farthest` up to which these do, and `beyond`
    the index of the first of these that stands behind it; that of the next one while there is none.
    """

    def __init__(self, stream: str, behind: int = 0) -> None:
        self.acked = 0
        self.target_seq = 0
        self.duplicates = 0
        self.displaced_count = 0
        self.displaced: list[Displaced] = []
        self._stream = stream
        self._head = b""
        """What a plain PubAck begins with, up to its number; learned from the first."""
        self._early: dict[int, tuple[int, bool]] = {}
        self.farthest = behind
        self.beyond = 0
        self._behind = behind
        self._refusal: PublishRefused | None = None

    def take(self, index: int, header: bytes | None, payload: bytes) -> None:
        """The answer to message `index`.

        Raises PublishRefused once everything before the refused message is acknowledged: the refusal of
        a subject that nobody takes overtakes the acks of a stream.
        """
        head = self._head
        number = payload[len(head) : -1]
        plain = header is None and head and payload.startswith(head) and number.isdigit() and payload[-1:] == b"}"
        answer = (int(number), False) if plain else self._judge(index, header, payload)
        if index != self.acked or answer is None:
            if answer is not None and index > self.acked:
                self._early[index] = answer
        else:
            self._settle(*answer)
            while self._early and (later := self._early.pop(self.acked, None)) is not None:
                self._settle(*later)
        if self._refusal is not None and self._refusal.index == self.acked:
            raise self._refusal

    def take_next(self, payloads: Sequence[bytes]) -> bool:
        """The answers to as many messages that come next, in order: True when all are plain PubAcks with rising seqs, as nearly
        all are, so that nothing is done for each but what is written in C. Else nothing is taken, and `take` is the way.
        """
        head = self._head
        if not (head and payloads) or self._early or self._refusal is not None:
            return False
        numbers = b"".join(payloads).removeprefix(head).split(b"}" + head)
        numbers[-1] = numbers[-1].removesuffix(b"}")
        around = len(head) + 1
        if [len(number) + around for number in numbers] != list(map(len, payloads)):
            return False
        if b"" in numbers or not b"".join(numbers).isdigit():
            return False
        seqs = list(map(int, numbers))
        if seqs[0] <= self.farthest or not all(map(lt, seqs, islice(seqs, 1, None))):
            return False
        self.acked += len(seqs)
        self.farthest = self.target_seq = seqs[-1]
        return True

    def _judge(self, index: int, header: bytes | None, payload: bytes) -> tuple[int, bool] | None:
        """Seq and duplicate of an answer, None for a refusal; the first refused message is remembered."""
        try:
            return self._read(index, header, payload)
        except PublishRefused as refusal:
            if self._refusal is None or index < self._refusal.index:
                self._refusal = refusal
            return None

    def _read(self, index: int, header: bytes | None, payload: bytes) -> tuple[int, bool]:
        if status_of(header) == NO_RESPONDERS and not payload:
            raise PublishRefused(index, PublishRefused.NO_RESPONDERS, "no stream takes this subject")
        try:
            answer = json.loads(payload)
            error = answer.get("error")
            stream, seq, duplicate = answer.get("stream"), int(answer.get("seq", 0)), bool(answer.get("duplicate"))
        except (ValueError, AttributeError, TypeError) as fault:
            raise PublishRefused(
                index, PublishRefused.WRONG_STREAM, f"the answer is no PubAck: {payload[:80]!r}"
            ) from fault
        if error is not None:
            raise refused(index, error)
        if stream != self._stream:
            raise PublishRefused(index, PublishRefused.WRONG_STREAM, f"stream {stream!r} took it, not {self._stream!r}")
        if not duplicate and payload.endswith(b"}"):
            self._head = payload[: payload.rindex(b":") + 1]
        return seq, duplicate

    def _settle(self, seq: int, duplicate: bool) -> None:  # noqa: FBT001 - two halves of one answer
        self.duplicates += duplicate
        if seq >= self.farthest:
            self.farthest = seq
        else:
            self._displace(self.acked)
        self.acked += 1
        if self.farthest == self._behind:
            self.beyond = self.acked
        self.target_seq = seq

    def _displace(self, index: int) -> None:
        self.displaced_count += 1
        if self.displaced and self.displaced[-1].last == index - 1:
            self.displaced[-1] = Displaced(self.displaced[-1].first, index)
        elif len(self.displaced) < MOST_DISPLACED:
            self.displaced.append(Displaced(index, index))
