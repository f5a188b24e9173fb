"""Sample chunks."""

from __future__ import annotations

import pytest

from nats3.chunk.layout import Origin
from nats3.life import Opening
from nats3.message import Batch

JOB = "0b9d3f1e-7a51-4c1e-9d65-0d6f2a3b4c5d"


@pytest.fixture
def origin() -> Origin:
    opening = Opening(
        ordinal=2,
        uuid="6f1c4a7e-3a2b-4f0e-8e55-6f8d2b0c9a11",
        created=1_700_000_000_123_456_789,
        parent="11111111-2222-4333-8444-555555555555",
        upto=3,
        equal=3,
        cursor=4,
        left=((2, "ab" * 32),),
        tip="cd" * 32,
    )
    return Origin(
        log_id="log-1",
        job_id=JOB,
        stream="ORDERS",
        subject_filter="orders.>",
        consumer=None,
        opening=opening,
        previous_seq=4,
        previous_sha256=opening.uuid,
        activation=17,
        bind=3,
        prefix="a/b",
        gaps=((6, 6), (8, 9)),
    )


@pytest.fixture
def batch() -> Batch:
    """Six messages with every oddity that the wire allows."""
    day = 1_700_000_000_000_000_001
    return Batch(
        [5, 7, 10, 11, 12, 20],
        [day, day + 5, day + 3, day + 9, day + 9, day + 1_000_000_007],
        [b"orders.new", b"orders.new", b"orders.\xff\xfe", b"o", b"orders.new", "orders.\u00fc".encode()],
        [
            None,
            b"NATS/1.0\r\nTrace: 1\r\nTrace: 2\r\n\r\n",
            b"garbage",
            b"NATS/1.0 503\r\n\r\n",
            b"NATS/1.0\r\n\r\n",
            b"NATS/1.0\r\nX:\xff\r\n",
        ],
        [b"", b'{"id": 1}', bytes(range(256)), "\u2028\x00text".encode(), b"\x01" * 40, b"x" * 100],
    )
