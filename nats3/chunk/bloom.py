"""Which subjects a frame holds, in bounded space: all of them, or a Bloom filter of them."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from struct import Struct

MAX_SUBJECTS = 256
MAX_SUBJECT_BYTES = 8192
MIN_BYTES, MAX_BYTES = 512, 16384
BITS_PER_SUBJECT = 10

_WORDS = Struct("<4I")


def summary(subjects: Iterable[bytes]) -> tuple[tuple[bytes, ...] | None, bytes | None]:
    """The distinct subjects in the order they came, or (None, filter) when they are too many or too long."""
    distinct = tuple(dict.fromkeys(subjects))
    if len(distinct) <= MAX_SUBJECTS and sum(map(len, distinct)) <= MAX_SUBJECT_BYTES:
        return distinct, None
    return None, bloom(distinct)


def bloom(subjects: tuple[bytes, ...]) -> bytes:
    bits = bytearray(_size(len(subjects)))
    mask = len(bits) * 8 - 1
    for subject in subjects:
        for word in _WORDS.unpack_from(sha256(subject).digest()):
            bits[(word & mask) >> 3] |= 1 << (word & 7)
    return bytes(bits)


def may_hold(bits: bytes, subject: bytes) -> bool:
    """False only when the subject is certainly not there. `bits` has a power of two as length."""
    mask = len(bits) * 8 - 1
    words = _WORDS.unpack_from(sha256(subject).digest())
    return all(bits[(word & mask) >> 3] >> (word & 7) & 1 for word in words)


def is_filter(bits: bytes) -> bool:
    """Whether these bytes have the length of a filter."""
    return MIN_BYTES <= len(bits) <= MAX_BYTES and not len(bits) & (len(bits) - 1)


def _size(count: int) -> int:
    """Bytes, a power of two with at least ten bits for each subject up to the ceiling."""
    wanted = count * BITS_PER_SUBJECT // 8
    return min(MAX_BYTES, max(MIN_BYTES, 1 << max(wanted - 1, 1).bit_length()))
