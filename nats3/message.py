"""What flows: a message as the server had it, and a batch of them in columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple, NewType

Seq = NewType("Seq", int)
"""Sequence of a message in its stream, from 1."""

TimeNs = NewType("TimeNs", int)
"""Server time in whole nanoseconds since 1970, UTC."""


class Message(NamedTuple):
    """One archived message. `header` is the raw block as it was on the wire, None where there was none."""

    seq: Seq
    time_ns: TimeNs
    subject: bytes
    header: bytes | None
    payload: bytes


@dataclass(slots=True)
class Batch:
    """Messages of one life in seq order, held as columns of equal length, so that nothing is made per message."""

    seqs: list[int] = field(default_factory=list[int])
    times: list[int] = field(default_factory=list[int])
    subjects: list[bytes] = field(default_factory=list[bytes])
    headers: list[bytes | None] = field(default_factory=list["bytes | None"])
    payloads: list[bytes] = field(default_factory=list[bytes])

    def __len__(self) -> int:
        return len(self.seqs)

    def __iter__(self) -> Iterator[Message]:
        return map(Message, self.seqs, self.times, self.subjects, self.headers, self.payloads)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> Message:
        return Message(
            Seq(self.seqs[index]),
            TimeNs(self.times[index]),
            self.subjects[index],
            self.headers[index],
            self.payloads[index],
        )

    def slice(self, start: int, stop: int) -> Batch:
        """The messages at positions start <= i < stop, as a batch of their own."""
        part = slice(start, stop)
        return Batch(self.seqs[part], self.times[part], self.subjects[part], self.headers[part], self.payloads[part])

    def extend(self, other: Batch) -> None:
        self.seqs += other.seqs
        self.times += other.times
        self.subjects += other.subjects
        self.headers += other.headers
        self.payloads += other.payloads

    def raw_bytes(self) -> int:
        """Bytes of all subjects, header blocks and payloads."""
        headers = sum(len(header) for header in self.headers if header is not None)
        return sum(map(len, self.subjects)) + headers + sum(map(len, self.payloads))


def one(message: Message) -> Batch:
    """A batch of this message alone."""
    seq, time_ns, subject, header, payload = message
    return Batch([seq], [time_ns], [subject], [header], [payload])


def fingerprint(message: Message) -> str:
    """Hex SHA-256 that is equal for equal messages, also where the one came through the JSON of STREAM.MSG.GET.

    That JSON turns bytes of a subject that are no UTF-8 into U+FFFD, so only its ASCII bytes count here.
    """
    subject = bytes(byte for byte in message.subject if byte < 0x80)  # noqa: PLR2004 - the end of ASCII
    digest = sha256(b"%d %d %d\n" % (message.time_ns, len(subject), len(message.payload)))
    digest.update(subject)
    digest.update(b"-" if message.header is None else b"+" + message.header)
    digest.update(message.payload)
    return digest.hexdigest()
