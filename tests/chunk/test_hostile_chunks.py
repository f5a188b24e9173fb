"""A chunk is input from outside: whatever its bytes are, DecodeError is all that comes out, and memory stays flat."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from struct import pack as pack_struct
from typing import Any

import msgpack
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from nats3.chunk import columns, head, index, skippable
from nats3.chunk.decode import decode, decode_frame, header_length, read_header, read_index, tail_length
from nats3.chunk.encode import encode
from nats3.chunk.layout import Codec, DecodeError, FrameEntry, Limits, Origin
from nats3.message import Batch

CODECS = list(Codec)
MIB = 1 << 20


def sample(batch: Batch, origin: Origin, codec: Codec) -> bytes:
    return encode(batch, origin, codec, frame_bytes=400).body


@pytest.mark.parametrize("codec", CODECS)
def test_every_single_bit_flip_is_detected(codec: Codec, batch: Batch, origin: Origin) -> None:
    body = sample(batch, origin, codec)
    assert decode(body).batch == batch
    flipped = bytearray(body)
    for bit in range(len(body) * 8):
        flipped[bit >> 3] ^= 1 << (bit & 7)
        with pytest.raises(DecodeError):
            decode(bytes(flipped))
        flipped[bit >> 3] ^= 1 << (bit & 7)


@pytest.mark.parametrize("codec", CODECS)
def test_every_truncation_and_every_byte_too_many_is_detected(codec: Codec, batch: Batch, origin: Origin) -> None:
    body = sample(batch, origin, codec)
    for length in range(len(body)):
        with pytest.raises(DecodeError):
            decode(body[:length])
    for more in (b"\0", body[-1:], body):
        with pytest.raises(DecodeError):
            decode(body + more)
        with pytest.raises(DecodeError):
            decode(more + body)


def test_another_object_than_the_recorded_one_is_refused(batch: Batch, origin: Origin) -> None:
    encoded = encode(batch, origin)
    other = encode(batch, replace(origin, activation=99))
    with pytest.raises(DecodeError, match="SHA-256 of the object"):
        decode(other.body, encoded.sha256)


@given(body=st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_noise_is_no_chunk(body: bytes) -> None:
    for read in (decode, read_header, tail_length, lambda noise: read_index(noise, len(noise))):
        with pytest.raises(DecodeError):
            read(body)


def forged(raw: bytes, make_frame: Callable[[bytes], bytes], **changes: Any) -> tuple[bytes, FrameEntry]:
    """A frame whose entry is consistent with it but for the changes, as an attacker would write it."""
    frame = make_frame(raw)
    entry = FrameEntry(18, len(frame), len(raw), 1, 1, 1, 1, 1, (b"s",), None, sha256(frame).digest())
    return frame, replace(entry, **changes)


def plain(raw: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(raw)


SKIPPABLE = b"\x53\x2a\x4d\x18\x04\0\0\0abcd"
ONE = columns.to_raw(Batch([1], [1], [b"s"], [None], [b"x"]))


def test_a_forged_frame_is_read_when_nothing_is_wrong_with_it() -> None:
    assert len(decode_frame(*forged(ONE, plain))) == 1


def streamed(raw: bytes, **parameters: Any) -> bytes:
    options = zstandard.ZstdCompressionParameters.from_level(3, write_checksum=True, **parameters)
    return zstandard.ZstdCompressor(compression_params=options).compress(raw)


def unsized(raw: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True, write_content_size=False).compress(raw)


def unchecked(raw: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=False).compress(raw)


def with_dictionary(raw: bytes) -> bytes:
    dictionary = zstandard.ZstdCompressionDict(raw * 4, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    frame = bytearray(zstandard.ZstdCompressor(write_checksum=True, dict_data=dictionary).compress(raw))
    frame[4] |= 1
    return bytes(frame)


def window_log_31(raw: bytes) -> bytes:
    """A frame by hand: no single segment, window descriptor for 2 GiB, one raw block."""
    block = pack_struct("<I", (len(raw) << 3) | 1)[:3] + raw
    return b"\x28\xb5\x2f\xfd" + bytes([0x84, 21 << 3]) + pack_struct("<I", len(raw)) + block + b"\0\0\0\0"


@pytest.mark.parametrize(
    ("make_frame", "reason"),
    [
        (unsized, "does not declare"),
        (unchecked, "checksum"),
        (with_dictionary, "dictionary"),
        (window_log_31, "window of 2147483648"),
        pytest.param(lambda raw: plain(raw) + plain(raw), "does not decompress", id="two frames"),
        pytest.param(lambda raw: plain(raw)[:-1], "does not decompress", id="cut at its end"),
        pytest.param(lambda raw: plain(raw)[:5], "does not declare", id="cut in its header"),
        pytest.param(lambda raw: SKIPPABLE + plain(raw), "no zstd frame", id="behind a skippable frame"),
        pytest.param(lambda raw: plain(plain(raw)), "does not declare", id="nested"),
        pytest.param(lambda _: b"\x28", "no zstd frame", id="one byte"),
    ],
)
def test_a_frame_of_another_making_is_refused(make_frame: Callable[[bytes], bytes], reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        decode_frame(*forged(ONE, make_frame))


def test_a_frame_within_a_frame_is_no_map_of_columns() -> None:
    with pytest.raises(DecodeError):
        decode_frame(*forged(plain(ONE), plain))


def test_a_declared_size_beyond_the_limit_is_refused_before_it_is_allocated() -> None:
    frame, entry = forged(bytes(MIB), plain)
    with pytest.raises(DecodeError, match="larger than this reader takes"):
        decode_frame(frame, entry, limits=Limits(max_frame=MIB - 1))


def test_a_frame_that_lies_about_its_size_is_refused() -> None:
    frame = bytearray(plain(bytes(MIB)))
    assert frame[4] >> 6 == 2
    frame[6:10] = pack_struct("<I", 1000)
    entry = replace(forged(b"", plain)[1], stored_bytes=len(frame), raw_bytes=1000, sha256=sha256(frame).digest())
    with pytest.raises(DecodeError):
        decode_frame(bytes(frame), entry)


def a_column_changed(**changes: Any) -> bytes:
    fields = msgpack.unpackb(ONE, raw=False)
    return msgpack.packb(fields | changes)


@pytest.mark.parametrize(
    "raw",
    [
        a_column_changed(seqs=[1.0]),
        a_column_changed(seqs=[True]),
        a_column_changed(seqs=["1"]),
        a_column_changed(seqs=[[1]]),
        a_column_changed(seqs=[2**63]),
        a_column_changed(seqs=[-1]),
        a_column_changed(seqs=[]),
        a_column_changed(seqs=[1, 1]),
        a_column_changed(seqs=None),
        a_column_changed(seqs={}),
        a_column_changed(times=[None]),
        a_column_changed(ids=[-1]),
        a_column_changed(ids=[1]),
        a_column_changed(ids=[0.0]),
        a_column_changed(subjects=[]),
        a_column_changed(subjects=["s"]),
        a_column_changed(subjects=[b"other"]),
        a_column_changed(subjects=[b"s", b"unused"]),
        a_column_changed(headers=["text"]),
        a_column_changed(headers=[0]),
        a_column_changed(payloads=["text"]),
        a_column_changed(payloads=[None]),
        a_column_changed(payloads=[msgpack.ExtType(1, b"x")]),
        a_column_changed(payloads=[msgpack.Timestamp(1, 1)]),
        a_column_changed(more=[]),
        ONE.replace(b"\xa3ids", b"\xa3idz"),
        msgpack.packb(
            {7 if name == "ids" else name: column for name, column in msgpack.unpackb(ONE, raw=False).items()}
        ),
        msgpack.packb(dict(reversed(msgpack.unpackb(ONE, raw=False).items()))),
        msgpack.packb([1, 2, 3]),
        msgpack.packb({1: 2}),
        b"\x87" + ONE[1:] + b"\xa4seqs\x91\x02",
        b"\x86" + ONE[1:] + b"\xa4seqs\x91\x02",
        msgpack.packb({}) * 100,
        b"\x91" * 5000,
        b"\xdd\xff\xff\xff\xff" * 10,
        b"\xc6\xff\xff\xff\xff" + b"x" * 50,
        b"\xdf\xff\xff\xff\xff" + b"x" * 50,
        b"\x00" * 200,
        b"",
    ],
)
def test_columns_that_do_not_fit_are_refused(raw: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_frame(*forged(raw, plain))


@pytest.mark.parametrize(
    "changes",
    [
        {"count": 2},
        {"count": 10_000_000},
        {"first": 2, "last": 2},
        {"last": 2},
        {"least_time": 0},
        {"greatest_time": 2},
        {"subjects": (b"t",)},
        {"subjects": (b"s", b"t")},
        {"subjects": None, "bloom": bytes(512)},
        {"raw_bytes": len(ONE) + 1},
        {"stored_bytes": 1},
        {"sha256": bytes(32)},
    ],
)
def test_a_frame_that_is_not_as_the_index_says_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(DecodeError):
        decode_frame(*forged(ONE, plain, **changes))


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b"[]",
        b"null",
        b'{"seq":1,"time":1,"subject":"s","data":"x","more":1}',
        b'{"seq":1.0,"time":1,"subject":"s","data":"x"}',
        b'{"seq":true,"time":1,"subject":"s","data":"x"}',
        b'{"seq":1,"time":1,"subject":"s","data_b64":"!"}',
        b'{"seq":1,"time":1,"subject":"s","data_b64":null}',
        b'{"seq":1,"time":1,"subject":"s","data":"\\ud800"}',
        b'{"seq":1,"time":1,"subject":"s","data":"x","data_b64":"eA=="}',
        b'{"seq":1,"time":1,"subject":"s","data":"x","headers":[["a"]]}',
        b'{"seq":1,"time":1,"subject":"s","data":"x","headers":[["a","b","c"]]}',
        b'{"seq":1,"time":1,"subject":"s","data":"x","headers":["ab"]}',
        b'{"seq":1,"time":1,"subject":"s","data":"x","headers":[],"header_block_b64":""}',
        b'{"seq":' + b"9" * 5000 + b',"time":1,"subject":"s","data":"x"}',
        b"[" * 100_000,
        b'{"seq":1,"time":1,"subject":"s","data":"x"}\n',
        b"\xff" * 60,
    ],
)
def test_lines_that_do_not_fit_are_refused(line: bytes) -> None:
    frame, entry = forged(line + b"\n", plain)
    with pytest.raises(DecodeError):
        decode_frame(frame, entry, Codec.JSON)


def memory_taken(read: Callable[[], object]) -> int:
    """Bytes by which resident memory rose at most while `read` was refused. Linux resets its high-water mark on demand."""
    Path("/proc/self/clear_refs").write_text("5")
    before = high_water()
    with pytest.raises(DecodeError):
        read()
    return high_water() - before


def high_water() -> int:
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def zeros(count: int) -> bytes:
    """A frame of `count` zeros, whose content size takes four bytes from position 6."""
    options = zstandard.ZstdCompressionParameters.from_level(3, write_checksum=True, window_log=20)
    compressor = zstandard.ZstdCompressor(compression_params=options).compressobj(size=count)
    frame = b"".join(compressor.compress(bytes(MIB)) for _ in range(count // MIB)) + compressor.flush()
    assert frame[6:10] == pack_struct("<I", count)
    return frame


def bomb(origin: Origin, template: Batch, frame: bytes, declared: int) -> bytes:
    """A whole object whose every digest that can be checked without decompressing is right."""
    honest = encode(template, origin)
    start = head.to_bytes(replace(honest.header, raw_bytes=declared))
    frame = frame[:6] + pack_struct("<I", declared) + frame[10:]
    (entry,) = honest.frames
    digest = sha256(frame).digest()
    entry = replace(entry, offset=len(start), stored_bytes=len(frame), raw_bytes=declared, sha256=digest)
    return start + frame + index.to_bytes(len(start), [entry])


def test_a_gigabyte_of_zeros_in_32_kilobytes_costs_no_memory(batch: Batch, origin: Origin) -> None:
    frame = zeros(1 << 30)
    assert len(frame) < 34_000
    assert memory_taken(lambda: decode(bomb(origin, batch, frame, 1 << 30))) < MIB
    assert memory_taken(lambda: decode(bomb(origin, batch, frame, 1000))) < 4 * MIB
    assert memory_taken(lambda: decode(bomb(origin, batch, frame, 20 * MIB))) < 24 * MIB


def test_arrays_within_arrays_that_claim_to_be_long_cost_no_memory() -> None:
    count = 300_000
    raw = b"\xdd" + count.to_bytes(4, "big")
    raw = b"\x86\xa4seqs" + raw * 900 + b"\0" * (count * 6)
    frame, entry = forged(raw, plain, count=count, last=count)
    assert memory_taken(lambda: decode_frame(frame, entry)) < 16 * MIB


def test_a_column_longer_than_the_index_says_is_not_built() -> None:
    length = 4 * MIB
    raw = b"\x86\xa4seqs\xdd" + length.to_bytes(4, "big") + b"\x01" * length
    frame, entry = forged(raw, plain)
    assert memory_taken(lambda: decode_frame(frame, entry)) < 16 * MIB


def test_more_messages_than_the_reader_takes_are_refused(batch: Batch, origin: Origin) -> None:
    body = encode(batch, origin, frame_bytes=150).body
    for limits in (Limits(max_count=5), Limits(max_object=len(body) - 1), Limits(max_raw=500), Limits(max_frame=100)):
        with pytest.raises(DecodeError):
            decode(body, limits=limits)


def rewritten(batch: Batch, origin: Origin, /, **changes: Any) -> bytes:
    """An object whose header was changed and whose every digest is right again."""
    honest = encode(batch, origin)
    (entry,) = honest.frames
    start = head.to_bytes(replace(honest.header, **changes))
    frame = honest.body[entry.offset : entry.offset + entry.stored_bytes]
    return start + frame + index.to_bytes(len(start), [replace(entry, offset=len(start))])


@pytest.mark.parametrize(
    "changes",
    [
        {"first": 4},
        {"first": 6},
        {"last": 21},
        {"count": 5},
        {"first_time": 0},
        {"last_time": 1 << 62},
        {"raw_bytes": 1},
        {"message_bytes": 1},
        {"content_sha256": "00" * 32},
        {"content_sha256": "AB" * 32},
        {"last_fingerprint": "00" * 32},
        {"codec": Codec.JSON},
    ],
)
def test_a_header_that_does_not_describe_its_messages_is_refused(
    changes: dict[str, Any], batch: Batch, origin: Origin
) -> None:
    assert decode(rewritten(batch, origin)).batch == batch
    with pytest.raises(DecodeError):
        decode(rewritten(batch, origin, **changes))


@pytest.mark.parametrize("gaps", [((6, 7),), ((6, 6), (6, 6)), ((8, 6),), ((21, 22),), ((3, 4),)])
def test_gaps_that_contradict_the_messages_are_refused(
    gaps: tuple[tuple[int, int], ...], batch: Batch, origin: Origin
) -> None:
    with pytest.raises(DecodeError):
        decode(rewritten(batch, origin, origin=replace(origin, gaps=gaps)))


def test_a_window_above_8_mib_is_refused_also_in_a_single_segment() -> None:
    frame, entry = forged(bytes(9 * MIB), lambda raw: streamed(raw, window_log=24))
    with pytest.raises(DecodeError, match="window"):
        decode_frame(frame, entry)


def resealed(frame: bytes, at: int, value: bytes) -> bytes:
    """A header or index with other bytes and the right digest of them."""
    changed = frame[:at] + value + frame[at + len(value) : -32]
    return changed + sha256(changed).digest()


@pytest.mark.parametrize(
    ("at", "value", "reason"),
    [
        (0, b"\x54", "no header"),
        (8, b"NATS3IX", "no header"),
        (15, b"\x02", "version 2"),
        (16, b"\x81", "msgpack"),
    ],
)
def test_a_header_of_another_kind_or_version_is_refused(
    at: int, value: bytes, reason: str, batch: Batch, origin: Origin
) -> None:
    body = encode(batch, origin).body
    header = body[: header_length(body)]
    assert read_header(resealed(header, 0, b"")) == read_header(header)
    with pytest.raises(DecodeError, match=reason):
        read_header(resealed(header, at, value))


def test_a_header_that_says_a_thing_twice_is_refused(batch: Batch, origin: Origin) -> None:
    header = head.to_bytes(encode(batch, origin).header)
    twice = header.replace(b"\xa4bind", b"\xa5count", 1).replace(b"\x03\xa6prefix", b"\x06\xa6prefix")
    twice = header[:4] + pack_struct("<I", len(twice) - 8) + twice[8:]
    with pytest.raises(DecodeError, match="twice"):
        read_header(resealed(twice, 0, b""))


@pytest.mark.parametrize(
    "changes",
    [{"first": 4}, {"first": 21}, {"count": 17}, {"count": 0}, {"first_time": (1 << 63) - 1}, {"raw_bytes": 0}],
)
def test_a_header_that_contradicts_itself_is_refused_by_itself(
    changes: dict[str, Any], batch: Batch, origin: Origin
) -> None:
    header = encode(batch, origin).header
    with pytest.raises(DecodeError):
        read_header(head.to_bytes(replace(header, **changes)))


@pytest.mark.parametrize("length", [0, 40, 16 * MIB - 7, 2**32 - 1])
def test_a_header_that_claims_an_impossible_length_is_refused_by_its_first_bytes(length: int) -> None:
    with pytest.raises(DecodeError, match=f"says it has {length} bytes"):
        header_length(pack_struct("<II7sB", 0x184D2A53, length, b"NATS3CH", 1))


@pytest.mark.parametrize(
    "end",
    [
        pack_struct("<IIIBI", 100, 0, 3, 0x80, 0x8F92EAB1),
        pack_struct("<IIIBI", 100, 1, 3, 0, 0x8F92EAB1),
        pack_struct("<IIIBI", 100, 0, 2, 0, 0x8F92EAB1),
        pack_struct("<IIIBI", 100, 0, 2**32 - 1, 0, 0x8F92EAB1),
        pack_struct("<IIIBI", 64 * MIB + 1, 0, 3, 0, 0x8F92EAB1),
        pack_struct("<IIIBI", 100, 0, 3, 0, 0x8F92EAB2),
    ],
)
def test_an_end_that_is_none_of_a_chunk_is_refused_before_its_tail_is_fetched(end: bytes) -> None:
    with pytest.raises(DecodeError):
        tail_length(end)


@pytest.mark.parametrize("member", ["more", "codec", "first", "life", "gaps", "content_sha256"])
def test_a_header_with_a_member_too_many_or_too_few_or_of_another_type_is_refused(
    member: str, batch: Batch, origin: Origin
) -> None:
    body = encode(batch, origin).body
    fields = skippable.from_frame(skippable.HEADER, body)
    assert read_header(skippable.to_frame(skippable.HEADER, fields)) == read_header(body)
    for other in (None, True, 1.5, "x", -1, [1], {}):
        with pytest.raises(DecodeError):
            read_header(skippable.to_frame(skippable.HEADER, fields | {member: other}))
    fields.pop(member, None)
    if member != "more":
        with pytest.raises(DecodeError):
            read_header(skippable.to_frame(skippable.HEADER, fields))


@pytest.mark.parametrize(
    "entry",
    [
        {"offset": 1},
        {"stored_bytes": 0},
        {"raw_bytes": 0},
        {"count": 0},
        {"count": 100},
        {"first": 0},
        {"first": 21},
        {"least_time": 1 << 62},
        {"sha256": b"short"},
        {"subjects": None, "bloom": bytes(511)},
        {"subjects": None},
        {"bloom": bytes(512)},
    ],
)
def test_an_index_that_contradicts_itself_is_refused(entry: dict[str, Any], batch: Batch, origin: Origin) -> None:
    encoded = encode(batch, origin)
    (honest,) = encoded.frames
    end = honest.offset + honest.stored_bytes
    tail = index.to_bytes(honest.offset, [honest])
    assert read_index(tail, end + len(tail)) == (honest,)
    forged_tail = index.to_bytes(honest.offset, [replace(honest, **entry)])
    with pytest.raises(DecodeError):
        read_index(forged_tail, end + len(forged_tail))


def test_seqs_that_do_not_rise_within_a_frame_are_refused() -> None:
    two = columns.to_raw(Batch([1, 1, 3], [1] * 3, [b"s"] * 3, [None] * 3, [b""] * 3))
    with pytest.raises(DecodeError, match="do not rise"):
        decode_frame(*forged(two, plain, count=3, last=3))


def test_a_subject_that_the_dictionary_holds_twice_is_refused() -> None:
    two = msgpack.unpackb(columns.to_raw(Batch([1, 2], [1] * 2, [b"s", b"t"], [None] * 2, [b""] * 2)), raw=False)
    raw = msgpack.packb(two | {"subjects": [b"s", b"s"]})
    with pytest.raises(DecodeError, match="dictionary"):
        decode_frame(*forged(raw, plain, count=2, last=2))


def test_bytes_between_the_header_and_the_first_frame_are_refused(batch: Batch, origin: Origin) -> None:
    honest = encode(batch, origin)
    (entry,) = honest.frames
    start = honest.body[: entry.offset] + SKIPPABLE
    frame = honest.body[entry.offset : entry.offset + entry.stored_bytes]
    with pytest.raises(DecodeError, match="does not follow the header"):
        decode(start + frame + index.to_bytes(len(start), [replace(entry, offset=len(start))]))


def test_frames_whose_seqs_do_not_rise_are_refused(batch: Batch, origin: Origin) -> None:
    encoded = encode(batch, origin, frame_bytes=150)
    entries = [replace(entry, first=5, last=5, count=1) for entry in encoded.frames]
    tail = index.to_bytes(entries[0].offset, entries)
    end = entries[-1].offset + entries[-1].stored_bytes
    with pytest.raises(DecodeError, match="do not rise"):
        read_index(tail, end + len(tail))


def test_a_bit_in_the_middle_of_columns_never_brings_out_another_error() -> None:
    """What random damage does to msgpack is only ever a DecodeError, also when every digest was made right again."""
    for bit in range(len(ONE) * 8):
        raw = bytearray(ONE)
        raw[bit >> 3] ^= 1 << (bit & 7)
        with contextlib.suppress(DecodeError):
            decode_frame(*forged(bytes(raw), plain))
