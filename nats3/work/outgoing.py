"""From archived messages to what is published: subjects, header blocks with our lines, payloads. Checked before any is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from nats3.errors import Blocked
from nats3.headers import HeaderPolicy, replayed
from nats3.jetstream.streams import StreamInfo
from nats3.job.loading import message_id_prefix
from nats3.job.order import LoadOrder
from nats3.subject import TargetRule, compiled, refusal
from nats3.transform import Transforms
from nats3.work.modes import ADDED
from nats3.work.pieces import Piece

_LARGEST_BLOCK = 65_535
"""Bytes: a server refuses a longer header block."""

_OBJECTS = 100
"""Bytes of a message's block and size as objects, and of their places in lists."""

_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One piece in columns, ready to be sent."""

    subjects: Sequence[bytes]
    blocks: Sequence[bytes | None]
    payloads: Sequence[bytes]
    sizes: Sequence[int]
    """Bytes of block and payload of each."""

    @property
    def message_bytes(self) -> int:
        return sum(self.sizes)

    @property
    def added_bytes(self) -> int:
        """What it takes in memory beside the piece: the blocks, and their objects."""
        return sum(map(len, filter(None, self.blocks))) + _OBJECTS * len(self.blocks)


@dataclass(frozen=True, slots=True)
class Takes:
    """What the target takes: bytes of block and payload of one message, and the subjects of `stream`.

    `added` are bytes of the block that the mode needs for lines of its own.
    """

    payload: int
    message: int
    stream: str
    subjects: tuple[str, ...]
    added: int = 0

    @classmethod
    def of(cls, info: StreamInfo, max_payload: int, mode: str) -> Takes:
        size = int(info.config.get("max_msg_size") or -1)
        subjects = tuple(info.config.get("subjects") or ())
        return cls(max_payload, size if size > 0 else max_payload, info.name, subjects, ADDED.get(mode, 0))


class Dresser:
    """Gives archived messages the headers and the subject that the order asks for."""

    def __init__(self, job_id: str, order: LoadOrder, generation: int) -> None:
        self._order = order
        self._policy = HeaderPolicy(order.headers)
        self._id = message_id_prefix(job_id, generation).encode()
        self._about = b"Nats3-Stream: %b\r\nNats3-Job: %b\r\n" % (order.read_stream.encode(), job_id.encode())
        self._subject = order.write_subject.encode() if order.write_subject is not None else None
        self._transforms = Transforms([(each.src, each.dest) for each in order.subject_transforms])

    def dress(self, piece: Piece, limits: Takes) -> Outgoing:
        """The whole piece, or Blocked when the target would refuse one of its messages."""
        batch = piece.batch
        subjects = self.subjects_of(batch.subjects)
        require_safe(subjects)
        require_taken(subjects, limits)
        blocks = [
            replayed(header, self._policy, self._lines(life, seq, time_ns), key_value=subject.startswith(b"$KV."))
            for header, life, seq, time_ns, subject in zip(
                batch.headers, piece.lives, batch.seqs, batch.times, subjects, strict=True
            )
        ]
        sizes = [len(block or b"") + len(payload) for block, payload in zip(blocks, batch.payloads, strict=True)]
        require_fits(batch.seqs, blocks, sizes, limits)
        return Outgoing(subjects, blocks, batch.payloads, sizes)

    def subjects_of(self, archived: Sequence[bytes]) -> Sequence[bytes]:
        """Where messages of these archived subjects are published. Raises Blocked where the order says no."""
        if self._subject is not None:
            return [self._subject] * len(archived)
        if not self._order.subject_transforms:
            return archived
        renamed = self._transforms.apply_all(archived)
        if self._order.unmatched_subjects == "refuse" and None in renamed:
            unmatched = archived[renamed.index(None)]
            reason = f"unmatched_subjects: no transform of the order matches the archived subject {unmatched!r}"
            raise Blocked("subject_refused", f"{reason}: change the job to unmatched_subjects: pass")
        return [new or old for new, old in zip(renamed, archived, strict=True)]

    def _lines(self, life: str, seq: int, time_ns: int) -> bytes:
        return b"Nats-Msg-Id: %b%b:%d\r\n%bNats3-Sequence: %d\r\nNats3-Time: %b.%09dZ\r\n" % (
            self._id,
            life.encode(),
            seq,
            self._about,
            seq,
            _to_the_second(time_ns // _SECOND),
            time_ns % _SECOND,
        )


@lru_cache(maxsize=1024)
def _to_the_second(seconds: int) -> bytes:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()


def require_safe(subjects: Sequence[bytes]) -> None:
    """An archived subject is input from outside: one that could do more than carry a message is never published."""
    for subject in set(subjects):
        why = refusal(subject, TargetRule(key_value=True))
        if why is not None:
            reason = f"archived subject {subject!r} {why}: order the load with a write_subject or a transform"
            raise Blocked("subject_refused", reason)


def require_taken(subjects: Sequence[bytes], takes: Takes) -> None:
    """Nothing of a chunk is published when the target does not take the subject of one of its messages."""
    known = compiled(takes.subjects)
    for subject in dict.fromkeys(subjects):
        if not known.matches(subject):
            reason = f"the target stream {takes.stream} does not take subject {subject!r}"
            raise Blocked("subject_refused", f"{reason}: add it to its subjects ({', '.join(takes.subjects)})")


def require_fits(seqs: Sequence[int], blocks: Sequence[bytes | None], sizes: Sequence[int], limits: Takes) -> None:
    """Nothing of a chunk is published when one of its messages would be refused for its size."""
    if not seqs:
        return
    largest = max(range(len(sizes)), key=sizes.__getitem__)
    most = min(limits.payload, limits.message)
    if sizes[largest] + limits.added > most:
        size = _told(sizes[largest], limits.added)
        reason = f"the message of seq {seqs[largest]} has {size} bytes with its headers, the target takes {most}"
        raise Blocked("message_too_large", f"{reason}: raise max_payload of the server or max_msg_size of the stream")
    longest = max(range(len(blocks)), key=lambda at: len(blocks[at] or b""))
    if len(blocks[longest] or b"") + limits.added > _LARGEST_BLOCK:
        reason = f"the header block of seq {seqs[longest]} is longer than {_LARGEST_BLOCK} bytes with the added lines"
        raise Blocked("headers_too_large", f"{reason}: order the load with headers: none")


def _told(size: int, added: int) -> str:
    return f"{size} and, for its mode, up to {added} more" if added else str(size)
