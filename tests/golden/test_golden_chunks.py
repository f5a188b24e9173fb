"""Objects of every format version stay readable for ever. A golden file is never written again.

A new version adds a file and a row; where the encoder of today writes other bytes for the same input (another release
of zstd does so too), the format has changed unless `decode` still gives the same messages: then say so in CHANGELOG and
add a file of the new bytes beside the old one.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from nats3.chunk.decode import decode
from nats3.chunk.encode import encode
from nats3.chunk.layout import Codec, Origin
from nats3.life import Opening
from nats3.message import Batch

HERE = Path(__file__).parent
NOON = 1_700_000_000_000_000_001

ORIGIN = Origin(
    log_id="0f0e0d0c-0b0a-4908-8706-050403020100",
    job_id="0b9d3f1e-7a51-4c1e-9d65-0d6f2a3b4c5d",
    stream="GOLDEN",
    subject_filter="golden.>",
    consumer="keeper",
    opening=Opening(
        ordinal=2,
        uuid="6f1c4a7e-3a2b-4f0e-8e55-6f8d2b0c9a11",
        created=1_699_999_999_123_456_789,
        parent="11111111-2222-4333-8444-555555555555",
        upto=3,
        equal=3,
        cursor=4,
        left=((2, "ab" * 32),),
        tip="cd" * 32,
    ),
    previous_seq=4,
    previous_sha256="6f1c4a7e-3a2b-4f0e-8e55-6f8d2b0c9a11",
    activation=17,
    bind=3,
    prefix="archive/golden",
    gaps=((6, 6), (8, 9)),
    date_floor="2023-11-15",
)


def messages() -> Batch:
    """Every oddity of the wire, then 300 subjects in one frame, so that its index entry needs a Bloom filter."""
    batch = Batch(
        [5, 7, 10, 11, 12, 20],
        [NOON, NOON + 5, NOON + 3, NOON + 9, NOON + 9, NOON + 1_000_000_007],
        [b"golden.a", b"golden.a", b"golden.\xff\xfe", b"g", b"golden.a", b"golden.\xc3\xbc"],
        [
            None,
            b"NATS/1.0\r\nTrace: 1\r\nTrace: 2\r\ntrace: 3\r\n\r\n",
            b"garbage",
            b"NATS/1.0 503\r\n\r\n",
            b"NATS/1.0\r\n\r\n",
            b"NATS/1.0\r\nX:\xff\r\n",
        ],
        [b"", b'{"id": 1}', bytes(range(256)), b"\xe2\x80\xa8\x00text", b"\x01" * 40, b"x" * 5000],
    )
    many = range(300)
    batch.extend(
        Batch(
            [21 + number for number in many],
            [NOON + 2_000_000_000 + number for number in many],
            [b"golden.many.%d" % number for number in many],
            [None for _ in many],
            [b"%d" % number for number in many],
        )
    )
    return batch


GOLDEN = [
    (Codec.BINARY, "v1.n3c", "f8857ac07ed67b8445535a9b1e76ec33db8b08f3becdd47d236949d0539bf548"),
    (Codec.JSON, "v1.ndjson.zst", "518c11bd4184c3d33f5759ed293d22b1032820b725722791f1d948d38998efeb"),
]


@pytest.mark.parametrize(("codec", "name", "digest"), GOLDEN)
def test_an_object_of_version_1_is_read_for_ever(codec: Codec, name: str, digest: str) -> None:
    body = (HERE / name).read_bytes()
    assert sha256(body).hexdigest() == digest
    decoded = decode(body, digest)
    assert decoded.batch == messages()
    assert (decoded.header.codec, decoded.header.version) == (codec, 1)
    assert decoded.header.origin == ORIGIN
    assert [entry.subjects is None for entry in decoded.frames] == [False, True]


@pytest.mark.parametrize(("codec", "name", "digest"), GOLDEN)
def test_the_encoder_of_today_writes_the_same_bytes(codec: Codec, name: str, digest: str) -> None:
    encoded = encode(messages(), ORIGIN, codec, level=3, frame_bytes=6000)
    assert encoded.sha256 == digest
    assert encoded.body == (HERE / name).read_bytes()
    assert encoded.key == (
        "archive/golden/n3v1/GOLDEN/1699999999123456789/0002/0b9d3f1e/2023-11-15/"
        f"00000000000000000005-00000000000000000320-306-{digest[:16]}-17-3.{name.removeprefix('v1.')}"
    )
