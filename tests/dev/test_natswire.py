"""The demo's own NATS client: frames whole however they arrive, odd messages untouched."""

from __future__ import annotations

import uuid
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nats3.dev.natswire import Frame, Frames, NatsRefused, Said, Wire

ODD = [
    Said(b"S.plain", None, b"no header"),
    Said(b"S.empty", None, b""),
    Said(b"S.header", b"NATS/1.0\r\nA: 1\r\nA: 2\r\n\r\n", b"twice the same name"),
    Said(b"S.lines", b"NATS/1.0\r\n\r\n", b"\r\nMSG S.lines 1 0\r\n\r\n"),
    Said(b"S.status", b"NATS/1.0\r\nStatus: 404\r\n\r\n", b"not a status"),
    Said(b"S.bytes", b"NATS/1.0\r\nX: \xff\xfe\r\n\r\n", bytes(range(256))),
    Said("S.größe".encode("latin-1"), None, b"a subject that is no UTF-8"),
]


def as_delivered(said: Said) -> bytes:
    if said.header is None:
        return b"MSG %b 1 reply %d\r\n%b\r\n" % (said.subject, len(said.payload), said.payload)
    size = len(said.header)
    return b"HMSG %b 1 reply %d %d\r\n%b%b\r\n" % (
        said.subject, size, size + len(said.payload), said.header, said.payload,
    )  # fmt: skip


@given(cuts=st.sets(st.integers(0, 800)))
def test_frames_come_out_whole_wherever_the_bytes_were_cut(cuts: set[int]) -> None:
    data = b"INFO {}\r\n" + b"PING\r\n".join(map(as_delivered, ODD)) + b"PONG\r\n"
    frames, bounds = Frames(), sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    items = [item for start, end in pairwise(bounds) for item in frames.feed(data[start:end])]
    assert [item.said for item in items if isinstance(item, Frame)] == ODD
    assert [item for item in items if isinstance(item, bytes)] == [b"INFO {}", *[b"PING"] * (len(ODD) - 1), b"PONG"]


@pytest.fixture
def stream() -> str:
    return f"WIRE{uuid.uuid4().hex}"


async def test_what_was_published_is_read_back_to_the_byte_and_in_order(nats_url: str, stream: str) -> None:
    messages = [said._replace(subject=stream.encode() + said.subject) for said in ODD * 1000]
    async with await Wire.open(nats_url) as wire:
        await wire.api(f"STREAM.CREATE.{stream}", {"name": stream, "subjects": [f"{stream}S.>"]})
        acknowledged = [count async for count in wire.publish(messages)]
        assert acknowledged[-1] == len(messages)
        assert [said async for said in wire.read(stream)] == messages
        await wire.api(f"STREAM.DELETE.{stream}")


async def test_a_message_that_no_stream_takes_is_refused(nats_url: str) -> None:
    async with await Wire.open(nats_url) as wire:
        with pytest.raises(NatsRefused):
            assert not [count async for count in wire.publish([Said(b"nobody.listens", None, b"")])]


async def test_a_stream_that_is_not_there_is_refused_with_the_servers_code(nats_url: str, stream: str) -> None:
    async with await Wire.open(nats_url) as wire:
        with pytest.raises(NatsRefused) as caught:
            await wire.api(f"STREAM.INFO.{stream}")
    assert caught.value.code == 10059
