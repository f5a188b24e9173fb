"""An object is a plain zstd file: any zstd tool gives the messages back without knowing of nats3."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from itertools import accumulate
from pathlib import Path
from struct import unpack

import msgpack
import pytest
import zstandard

from nats3.chunk.encode import encode
from nats3.chunk.layout import Codec, Origin
from nats3.message import Batch


def unzstd(body: bytes) -> bytes:
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(body), read_across_frames=True) as reader:
        return reader.read()


def test_the_binary_codec_decompresses_into_a_sequence_of_maps(batch: Batch, origin: Origin) -> None:
    unpacker = msgpack.Unpacker(raw=False)
    unpacker.feed(unzstd(encode(batch, origin, frame_bytes=150).body))
    frames = list(unpacker)
    assert len(frames) > 2
    assert [payload for frame in frames for payload in frame["payloads"]] == batch.payloads
    assert [seq for frame in frames for seq in accumulate(frame["seqs"])] == batch.seqs


def test_the_json_codec_decompresses_into_lines(batch: Batch, origin: Origin) -> None:
    lines = [json.loads(line) for line in unzstd(encode(batch, origin, Codec.JSON, frame_bytes=150).body).splitlines()]
    assert [line["seq"] for line in lines] == batch.seqs
    assert [line["time"] for line in lines] == batch.times
    assert lines[1]["headers"] == [["Trace", "1"], ["Trace", "2"]]
    assert lines[1]["data"] == '{"id": 1}'
    assert "headers" not in lines[0]
    assert lines[4]["headers"] == []


def test_the_seek_table_is_that_of_the_seekable_format(batch: Batch, origin: Origin) -> None:
    body = encode(batch, origin, frame_bytes=150).body
    count, flags, magic = unpack("<IBI", body[-9:])
    assert (flags, magic) == (0, 0x8F92EAB1)
    table = body[-9 - 8 * count - 8 :]
    assert unpack("<II", table[:8]) == (0x184D2A5E, len(table) - 8)
    at = 0
    for place in range(count):
        stored, raw = unpack("<II", table[8 + 8 * place : 16 + 8 * place])
        assert len(unzstd(body[at : at + stored])) == raw
        at += stored
    assert at + len(table) == len(body)


@pytest.mark.skipif(shutil.which("zstd") is None, reason="there is no zstd program on this machine")
@pytest.mark.parametrize("codec", [Codec.BINARY, Codec.JSON])
def test_the_zstd_program_decompresses_an_object(codec: Codec, batch: Batch, origin: Origin, tmp_path: Path) -> None:
    path = tmp_path / "chunk.zst"
    body = encode(batch, origin, codec, frame_bytes=150).body
    path.write_bytes(body)
    done = subprocess.run(["zstd", "-dc", path], check=True, capture_output=True)
    assert done.stdout == unzstd(body)
