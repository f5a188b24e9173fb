"""The `$JS.ACK.` reply subject of a delivery: the only true source of its sequences and its time."""

from __future__ import annotations

from typing import NamedTuple

_V1_TOKENS = 9
_V2_LEAST_TOKENS = 11
_MARK = [b"$JS", b"ACK"]


class Delivery(NamedTuple):
    """What the reply subject of one delivery says.

    `head` is all of it before `delivered`, so that an acknowledgement can be built for any delivery of the consumer.
    """

    seq: int
    delivered: int
    dseq: int
    time_ns: int
    pending: int
    stream: bytes
    consumer: bytes
    head: bytes


def parse(reply: bytes) -> Delivery | None:
    """What `reply` says, by its count of tokens: 9 is version 1, 11 or more is version 2; None when it is neither.

    Version 2 has a domain and an account hash before the stream and may grow at its end, so places count from the front.
    """
    tokens = reply.split(b".")
    if tokens[:2] != _MARK:
        return None
    if len(tokens) == _V1_TOKENS:
        start = 4
    elif len(tokens) >= _V2_LEAST_TOKENS:
        start = 6
    else:
        return None
    numbers = tokens[start : start + 5]
    if not all(number.isdigit() for number in numbers):
        return None
    delivered, seq, dseq, time_ns, pending = map(int, numbers)
    head = b".".join(tokens[:start]) + b"."
    return Delivery(seq, delivered, dseq, time_ns, pending, tokens[start - 2], tokens[start - 1], head)
