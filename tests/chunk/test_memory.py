"""Encoding and decoding hold what the chunk holds, and one frame beside it."""

from __future__ import annotations

import random
from pathlib import Path

from nats3.chunk.decode import decode
from nats3.chunk.encode import encode
from nats3.chunk.layout import Origin
from nats3.life import Opening
from nats3.message import Batch

MIB = 1 << 20
ORIGIN = Origin("l", "0b9d3f1e-x", "S", ">", None, Opening(1, "u", 1), 0, "u", activation=1, bind=1)


def high_water() -> int:
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def test_a_chunk_of_32_mib_costs_its_object_twice_and_a_few_frames() -> None:
    noise = random.Random(1).randbytes(32 * MIB)
    count = 32 * 1024
    payloads = [noise[at : at + 1024] for at in range(0, 32 * MIB, 1024)]
    batch = Batch(
        list(range(1, count + 1)), [1] * count, [b"s.%d" % (at % 50) for at in range(count)], [None] * count, payloads
    )
    encoded = encode(batch, ORIGIN, level=1)
    del encoded
    Path("/proc/self/clear_refs").write_text("5")
    before = high_water()
    encoded = encode(batch, ORIGIN, level=1)
    assert high_water() - before < 2 * len(encoded.body) + 16 * MIB
    Path("/proc/self/clear_refs").write_text("5")
    before = high_water()
    decoded = decode(encoded.body, encoded.sha256)
    assert high_water() - before < encoded.header.raw_bytes + 16 * MIB
    assert decoded.batch.payloads == payloads
