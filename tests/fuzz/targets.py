"""What is fuzzed: each target takes any bytes and raises nothing but a bug. Seeds bring it past the first check."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import zstandard

from nats3.chunk import columns, jsonl, skippable
from nats3.chunk.decode import decode, decode_frame, read_header, read_index
from nats3.chunk.encode import encode
from nats3.chunk.layout import Codec, DecodeError, FrameEntry, Limits, Origin
from nats3.jetstream.errors import BadFrame
from nats3.jetstream.frames import FrameParser, Frames
from nats3.life import Opening
from nats3.message import Batch

UUID = "00000000-0000-4000-8000-000000000001"
ORIGIN = Origin(UUID, UUID, "S", ">", None, Opening(1, UUID, 1), 0, UUID, 1, 1)
BATCH = Batch(
    [1, 2, 5],
    [7, 8, 7],
    [b"a.b", b"a.\xff", b"a.b"],
    [None, b"NATS/1.0\r\nA: b\r\n\r\n", b"\xffgarbage"],
    [b"", b'{"a":1}', b"\x00" * 9],
)
LIMITS = Limits(max_object=1 << 22, max_raw=1 << 22, max_frame=1 << 20, max_count=10_000)
_CODECS = (Codec.BINARY, Codec.JSON)


@dataclass(frozen=True, slots=True)
class Target:
    """`run` takes one input; `seeds` are inputs worth beginning with."""

    run: Callable[[bytes], None]
    seeds: Sequence[bytes]


# --- chunks


def whole_object(data: bytes) -> None:
    """Any bytes as an object."""
    with suppress(DecodeError):
        decode(data, limits=LIMITS)


def raw_columns(data: bytes) -> None:
    """Any bytes as the content of a frame whose index entry fits: what an attacker can write who knows all digests."""
    if not data:
        return
    codec, raw = _CODECS[data[0] & 1], data[1:]
    frame = zstandard.ZstdCompressor(level=1, write_checksum=True).compress(raw)
    entry = FrameEntry(18, len(frame), len(raw), 3, 1, 5, 7, 8, (b"a.b", b"a.\xff"), None, sha256(frame).digest())
    with suppress(DecodeError):
        batch = decode_frame(frame, entry, codec, LIMITS)
        assert (len(batch), batch.seqs[0], batch.seqs[-1]) == (3, 1, 5)


def zstd_frame(data: bytes) -> None:
    """Any bytes as a zstd frame: bombs, windows, sizes that lie."""
    if len(data) < 4:
        return
    raw_bytes, frame = int.from_bytes(data[:3], "little"), data[3:]
    entry = FrameEntry(18, len(frame), raw_bytes, 3, 1, 5, 7, 8, (b"a.b", b"a.\xff"), None, sha256(frame).digest())
    with suppress(DecodeError):
        decode_frame(frame, entry, Codec.BINARY, LIMITS)


def header_and_index(data: bytes) -> None:
    """Any msgpack as a header or an index whose digest is right."""
    if not data:
        return
    kind = (skippable.HEADER, skippable.INDEX)[data[0] & 1]
    body = data[1:]
    length = skippable.PREFIX.size - skippable.FRAME_HEADER_BYTES + len(body) + skippable.DIGEST_BYTES
    content = skippable.PREFIX.pack(kind.magic, length, kind.tag, 1) + body
    frame = content + sha256(content).digest()
    with suppress(DecodeError):
        read_header(frame)
    with suppress(DecodeError):
        read_index(frame, len(frame))


# --- frames of the wire


class _Host:
    """As much of a nats-py client as its parser talks to; subscription 9 is its own."""

    _max_payload = 4096

    def __init__(self) -> None:
        self._subs = {9: object()}

    def __getattr__(self, name: str) -> Any:
        async def heard(*_: object) -> None:
            return None

        return heard


class _Sink:
    def __init__(self) -> None:
        self.taken: list[tuple[bytes, ...]] = []

    def take(self, frames: Frames) -> None:
        assert len(frames) == len(frames.replies) == len(frames.headers) == len(frames.payloads) > 0
        for subject, reply, header, payload in zip(
            frames.subjects, frames.replies, frames.headers, frames.payloads, strict=True
        ):
            self.taken.append((subject, reply, b"-" if header is None else b"+" + header, payload))

    def lost(self) -> None: ...


def wire(data: bytes) -> None:
    """Any bytes from a server: the same messages whole and in pieces, and no fault but BadFrame."""
    if not data:
        return
    step, stream = data[0] % 7 + 1, data[1:]
    whole, ended = _read([stream])
    cut, ended_too = _read([stream[start : start + step] for start in range(0, len(stream), step)])
    assert ended == ended_too, "a cut of the stream of bytes decides whether it is refused"
    assert ended or whole == cut, "a cut of the stream of bytes changes its messages"


def _read(pieces: Sequence[bytes]) -> tuple[list[tuple[bytes, ...]], bool]:
    parser = FrameParser(_Host(), lambda: None)  # type: ignore[arg-type] - as much of it as is used
    sink = _Sink()
    parser.sinks[b"1"] = sink
    for piece in pieces:
        try:
            _now(parser.parse(piece))
        except BadFrame:
            return sink.taken, True
    return sink.taken, False


def _now(work: Coroutine[Any, Any, None]) -> None:
    """Run what never waits."""
    with suppress(StopIteration):
        work.send(None)
        raise AssertionError("the parser waited")


_BINARY, _JSON = (encode(BATCH, ORIGIN, codec, frame_bytes=20) for codec in _CODECS)
_FRAME = zstandard.ZstdCompressor(level=3, write_checksum=True).compress(columns.to_raw(BATCH))
_LINES = b"MSG a.b 1 $JS.ACK.S.C.1.1.1.7.0 3\r\nabc\r\nHMSG a 1 12 14\r\nNATS/1.0\r\n\r\nxy\r\nPING\r\n-ERR 'x'\r\nMSG a 9 1\r\nx\r\n"

TARGETS: dict[str, Target] = {
    "object": Target(whole_object, [_BINARY.body, _JSON.body]),
    "columns": Target(raw_columns, [b"\0" + columns.to_raw(BATCH), b"\1" + jsonl.to_raw(BATCH)]),
    "zstd": Target(zstd_frame, [len(columns.to_raw(BATCH)).to_bytes(3, "little") + _FRAME]),
    "header": Target(header_and_index, [b"\0" + _BINARY.body[16:600]]),
    "wire": Target(wire, [bytes([step]) + _LINES for step in (0, 2, 6)]),
}
