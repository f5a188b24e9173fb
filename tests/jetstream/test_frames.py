"""The frames reader: the same messages at any cut, named errors for hostile bytes, builders that it can read."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nats3.jetstream.atomic import numbered
from nats3.jetstream.errors import BadFrame
from nats3.jetstream.frames import (
    HEADROOM,
    MAX_LINE,
    FrameParser,
    Frames,
    batch_frames,
    publish_frame,
    publish_frames,
)

MAX_PAYLOAD = 4096


class Host:
    """As much of a nats-py client as its parser talks to. Sid 9 is a subscription of nats-py's own."""

    def __init__(self) -> None:
        self._max_payload = MAX_PAYLOAD
        self._subs = {9: object()}
        self.told: list[Any] = []
        self.faults: list[Exception] = []

    async def _process_ping(self) -> None:
        self.told.append("PING")

    async def _process_pong(self) -> None:
        self.told.append("PONG")

    async def _process_info(self, info: dict[str, Any]) -> None:
        self.told.append(info)

    async def _process_err(self, text: str) -> None:
        self.told.append(text)

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, payload: bytes, header: bytes | None) -> None:
        self.told.append((sid, bytes(subject), bytes(reply), header, payload))

    async def _error_cb(self, fault: Exception) -> None:
        self.faults.append(fault)


class Column:
    def __init__(self) -> None:
        self.taken: list[tuple[bytes, bytes, bytes | None, bytes]] = []
        self.ended = 0

    def take(self, frames: Frames) -> None:
        assert len(frames) > 0
        columns = (frames.subjects, frames.replies, frames.headers, frames.payloads)
        self.taken += zip(*columns, strict=True)

    def lost(self) -> None:
        self.ended += 1


def reader() -> tuple[FrameParser, Host, dict[bytes, Column]]:
    host = Host()
    parser = FrameParser(host, lambda: None)  # type: ignore[arg-type]
    sinks = {b"1": Column(), b"22": Column()}
    parser.sinks.update(sinks)
    return parser, host, sinks


def read(pieces: list[bytes]) -> tuple[list[Any], list[Any], list[Any]]:
    parser, host, sinks = reader()

    async def feed() -> None:
        for piece in pieces:
            await parser.parse(piece)

    asyncio.run(feed())
    return host.told, sinks[b"1"].taken, sinks[b"22"].taken


def wire(sid: bytes, subject: bytes, reply: bytes, header: bytes | None, payload: bytes) -> bytes:
    place = b" ".join([subject, sid, reply] if reply else [subject, sid])
    if header is None:
        return b"MSG %b %d\r\n%b\r\n" % (place, len(payload), payload)
    return b"HMSG %b %d %d\r\n%b%b\r\n" % (place, len(header), len(header) + len(payload), header, payload)


subject_bytes = st.binary(min_size=1, max_size=12).map(
    lambda raw: b"s" + bytes(byte for byte in raw if byte not in b" \t\r\n")
)
frame = st.builds(
    wire,
    st.sampled_from([b"1", b"22", b"777"]),
    subject_bytes,
    st.sampled_from([b"", b"$JS.ACK.S.C.1.1.1.1.0"]),
    st.none() | st.sampled_from([b"NATS/1.0\r\n\r\n", b"NATS/1.0 404\r\n\r\n", b"\xff\r\nMSG", b"garbage", b""]),
    st.binary(max_size=60) | st.sampled_from([b"\r\nMSG a 1 5\r\n", b"PING\r\n"]),
)
control = st.sampled_from(
    [
        b"PING\r\n",
        b"PONG\r\n",
        b"+OK\r\n",
        b'INFO {"a":1} \r\n',
        b"-ERR 'Permissions Violation'\r\n",
        b"MSG own.sub 9 2\r\nhi\r\n",
        b"HMSG own.sub 9 inbox 12 14\r\nNATS/1.0\r\n\r\nhi\r\n",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(frame | control, max_size=12), st.data())
def test_any_cut_of_the_bytes_gives_the_same_messages(frames: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=20)))
    bounds = [0, *cuts, len(whole)]
    pieces = [whole[start:stop] for start, stop in pairwise(bounds)]
    assert read(pieces) == read([whole])
    assert read([bytes([byte]) for byte in whole]) == read([whole])


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(subject_bytes, st.none() | st.binary(max_size=30), st.binary(max_size=50)), min_size=1, max_size=8
    )
)
def test_what_is_on_the_wire_arrives_byte_for_byte(messages: list[tuple[bytes, bytes | None, bytes]]) -> None:
    _, taken, _ = read([b"".join(wire(b"1", subject, b"r", block, payload) for subject, block, payload in messages)])
    assert taken == [(subject, b"r", block, payload) for subject, block, payload in messages]


@pytest.mark.parametrize(
    "hostile",
    [
        b"MSG a 1 -5\r\n",
        b"MSG a 1 1_0\r\n0123456789\r\n",
        b"MSG a 1 " + b"9" * 5000 + b"\r\n",
        b"MSG a 1 %d\r\n" % (2 * MAX_PAYLOAD + HEADROOM + 1),
        b"MSG a 1 r too many 5\r\n",
        b"MSG a 1\r\n",
        b"MSG  1 5\r\nhello\r\n" + b"x" * 64,
        b"MSGa 1 5\r\nhello\r\n",
        b"MSG a one 5\r\nhello\r\n",
        b"MSG a 1 5\r\nhelloXX",
        b"HMSG a 1 20 10\r\n0123456789\r\n",
        b"HMSG a 1 x 10\r\n0123456789\r\n",
        b"HELLO\r\n",
        b"\x00\x01\x02\r\n",
        b"INFO {no json\r\n",
        b"I" * 5000 + b"\r\n",
        b"M" * (MAX_LINE + 1),
    ],
)
def test_hostile_bytes_are_a_named_error_and_not_a_wait(hostile: bytes) -> None:
    with pytest.raises(BadFrame):
        read([hostile, b"x" * 8192])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=40) | frame | control, max_size=6))
def test_any_bytes_are_messages_or_a_named_error_and_never_held_without_bound(pieces: list[bytes]) -> None:
    parser, _, _ = reader()

    async def feed() -> None:
        for piece in pieces:
            await parser.parse(piece)

    try:
        asyncio.run(feed())
    except BadFrame:
        return
    assert parser._held <= 2 * MAX_PAYLOAD + HEADROOM + MAX_LINE


async def test_a_sink_that_fails_ends_the_connection_instead_of_the_read_loop() -> None:
    parser, _, sinks = reader()
    sinks[b"1"].take = lambda frames: 1 / 0  # type: ignore[method-assign]
    with pytest.raises(BadFrame):
        await parser.parse(wire(b"1", b"a", b"", None, b""))


async def test_bytes_of_a_lost_connection_are_never_joined_to_the_next_one() -> None:
    parser, _, sinks = reader()
    frame = wire(b"1", b"a", b"", None, b"hello")
    await parser.parse(frame[:9])
    parser.reset()
    await parser.parse(frame)
    assert sinks[b"1"].taken == [(b"a", b"", None, b"hello")]


async def test_what_follows_the_loss_in_the_same_read_is_dropped() -> None:
    parser, host, sinks = reader()

    async def lose(text: str) -> None:
        parser.reset()

    host._process_err = lose  # type: ignore[method-assign]
    frame = wire(b"1", b"a", b"", None, b"hello")
    await parser.parse(frame + b"-ERR 'Stale Connection'\r\n" + frame + frame[:9])
    await parser.parse(frame)
    assert len(sinks[b"1"].taken) == 2


def test_built_frames_say_their_sizes() -> None:
    assert publish_frame(b"a", b"hi") == b"PUB a  2\r\nhi\r\n"
    assert publish_frame(b"a", b"hi", b"r", b"NATS/1.0\r\n\r\n") == b"HPUB a r 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"


COLUMNS = st.lists(
    st.tuples(st.just(b"a.b"), st.none() | st.binary(min_size=4).map(b"NATS/1.0\r\n".__add__), st.binary())
)


@given(COLUMNS, st.integers(0, 20_000))
def test_frames_that_are_built_together_are_those_that_are_built_one_by_one(
    messages: list[tuple[bytes, bytes | None, bytes]], first: int
) -> None:
    subjects, blocks, payloads = zip(*messages, strict=True) if messages else ((), (), ())
    one_by_one = [
        publish_frame(subject, payload, b"inbox.%d" % number, block)
        for number, (subject, block, payload) in enumerate(messages, first)
    ]
    assert publish_frames(subjects, blocks, payloads, b"inbox.", first) == b"".join(one_by_one)
    filled = [block or b"NATS/1.0\r\n\r\n" for block in blocks]
    in_batch = [
        publish_frame(subject, payload, b"", numbered(block, b"id", number)).replace(b"a.b  ", b"a.b ", 1)
        for number, (subject, block, payload) in enumerate(zip(subjects, filled, payloads, strict=True), first)
    ]
    assert batch_frames(subjects, filled, payloads, b"id", first) == b"".join(in_batch)
