"""What goes into a chunk comes out of it, byte for byte, under both codecs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nats3.chunk.decode import decode, decode_frame, frames_of, header_length, read_header, read_index, tail_length
from nats3.chunk.encode import encode, press, seal
from nats3.chunk.layout import Codec, Origin
from nats3.life import Opening
from nats3.message import Batch, fingerprint
from nats3.selection import Selection

CODECS = list(Codec)
FRAMED = [Codec.BINARY, Codec.JSON]
ORIGIN = Origin(
    "log", "0b9d3f1e-7a51-4c1e-9d65-0d6f2a3b4c5d", "S", ">", None, Opening(1, "u", 1), 0, "u", activation=1, bind=1
)


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    count = draw(st.integers(1, 30))
    column = {"min_size": count, "max_size": count}
    seqs = sorted(draw(st.lists(st.integers(1, 2**63 - 1), unique=True, **column)))
    text = st.text(max_size=40).map(lambda text: text.encode(errors="surrogatepass"))
    block = st.one_of(st.none(), st.binary(max_size=60), text.map(lambda name: b"NATS/1.0\r\n%b: v\r\n\r\n" % name))
    return Batch(
        seqs,
        draw(st.lists(st.integers(0, 2**63 - 1), **column)),
        draw(st.lists(st.one_of(text, st.binary(max_size=40)), **column)),
        draw(st.lists(block, **column)),
        draw(st.lists(st.one_of(text, st.binary(max_size=300)), **column)),
    )


@pytest.mark.parametrize("codec", CODECS)
@given(batch=batches(), frame_bytes=st.integers(1, 2000), level=st.sampled_from([1, 3, 19]))
@settings(max_examples=150, deadline=None)
def test_any_batch_comes_back_as_it_was(codec: Codec, batch: Batch, frame_bytes: int, level: int) -> None:
    encoded = encode(batch, ORIGIN, codec, level, frame_bytes)
    decoded = decode(encoded.body, encoded.sha256)
    assert decoded.batch == batch
    assert decoded.header == encoded.header
    assert decoded.frames == encoded.frames


@pytest.mark.parametrize("codec", CODECS)
def test_a_chunk_with_every_oddity_of_the_wire_comes_back(codec: Codec, batch: Batch, origin: Origin) -> None:
    encoded = encode(batch, origin, codec, frame_bytes=150)
    decoded = decode(encoded.body, encoded.sha256)
    assert (decoded.batch, decoded.header.origin) == (batch, origin)
    assert len(decoded.frames) > 2 or codec not in FRAMED


@pytest.mark.parametrize("codec", CODECS)
def test_the_header_tells_what_the_chunk_holds(codec: Codec, batch: Batch, origin: Origin) -> None:
    header = encode(batch, origin, codec).header
    assert (header.first, header.last, header.count, header.codec) == (5, 20, 6, codec)
    assert (header.first_time, header.last_time) == (min(batch.times), max(batch.times))
    assert header.message_bytes == batch.raw_bytes()
    assert header.last_fingerprint == fingerprint(batch[5])


@pytest.mark.parametrize("codec", FRAMED)
def test_ranged_reads_find_one_message_without_the_rest_of_the_object(
    codec: Codec, batch: Batch, origin: Origin
) -> None:
    body = encode(batch, origin, codec, frame_bytes=150).body
    header = read_header(body[: header_length(body[:16])])
    tail = body[-tail_length(body[-17:]) :]
    (entry,) = frames_of(read_index(tail, len(body)), Selection(first_seq=11, last_seq=11))
    found = decode_frame(body[entry.offset : entry.offset + entry.stored_bytes], entry, header.codec)
    assert b"o" in found.subjects


def test_a_frame_with_too_many_subjects_is_skipped_by_its_filter() -> None:
    count = 5000
    subjects = [b"s.%d" % number for number in range(count)]
    batch = Batch(list(range(1, count + 1)), [1] * count, subjects, [None] * count, [b"x"] * count)
    entries = encode(batch, ORIGIN, frame_bytes=8 << 20).frames
    assert entries[0].subjects is None
    assert frames_of(entries, Selection(subjects=("s.4711",))) == list(entries)
    assert frames_of(entries, Selection(subjects=("s.*",))) == list(entries)
    wrong = sum(bool(frames_of(entries, Selection(subjects=(f"other.{number}",)))) for number in range(1000))
    assert wrong < 50


def test_encoding_twice_gives_the_same_bytes_and_the_same_key(batch: Batch, origin: Origin) -> None:
    assert encode(batch, origin) == encode(batch, origin)


def test_pressing_needs_nothing_of_the_chunk_before(batch: Batch, origin: Origin) -> None:
    pressed = press(batch, frame_bytes=150)
    later = replace(origin, previous_sha256="ee" * 32)
    assert seal(pressed, origin) == encode(batch, origin, frame_bytes=150)
    assert decode(seal(pressed, later).body).header.origin == later


@pytest.mark.parametrize(
    "block",
    [
        b"NATS/1.1\r\nA: 1\r\n\r\n",
        b"NATS/1.0\r\nA: 1234567",
        b"NATS/1.0\r\nA: 1\r\n",
        b"NATS/1.0\nA: 1\r\n\r\n",
        b"NATS/1.0 100 Idle\r\nA: 1\r\n\r\n",
        b"NATS/1.0\r\nA:1\r\n\r\n",
        b"NATS/1.0\r\n: \r\n\r\n",
        b"NATS/1.0\r\nA: b: c\r\nA: \xff\r\n\r\n",
        b"NATS/1.0\r\nA: b\nc\r\n\r\n",
        b"NATS/1.0\r\n\r\n\r\n",
        b"\r\n\r\n",
        b"",
    ],
)
@pytest.mark.parametrize("codec", CODECS)
def test_a_header_block_keeps_every_byte(codec: Codec, block: bytes) -> None:
    batch = Batch([1], [1], [b"s"], [block], [b""])
    assert decode(encode(batch, ORIGIN, codec).body).batch.headers == [block]


def test_a_message_larger_than_a_frame_has_a_frame_of_its_own() -> None:
    batch = Batch([1, 2, 3], [1, 1, 1], [b"s"] * 3, [None] * 3, [b"a", b"b" * 5000, b"c"])
    assert [entry.count for entry in encode(batch, ORIGIN, frame_bytes=1000).frames] == [1, 1, 1]


@pytest.mark.parametrize(
    ("batch", "reason"),
    [
        (Batch(), "needs a message"),
        (Batch([1], [1], [b"s"], [None], []), "one length"),
        (Batch([2, 2], [1, 1], [b"s"] * 2, [None] * 2, [b""] * 2), "rise"),
        (Batch([0], [1], [b"s"], [None], [b""]), "rise from 1"),
        (Batch([1], [-1], [b"s"], [None], [b""]), "nanoseconds"),
    ],
)
def test_a_batch_that_could_not_be_read_back_is_not_written(batch: Batch, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        encode(batch, ORIGIN)


def test_a_message_larger_than_any_reader_takes_is_not_written() -> None:
    batch = Batch([1], [1], [b"s"], [None], [bytes(96 << 20)])
    with pytest.raises(ValueError, match="message 1 would make a frame"):
        encode(batch, ORIGIN)


def test_a_chunk_that_does_not_follow_its_origin_is_not_written(batch: Batch, origin: Origin) -> None:
    with pytest.raises(ValueError, match="does not follow"):
        encode(batch, replace(origin, previous_seq=5))
