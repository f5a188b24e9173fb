"""What no program in Python could pass: the wire without the work beside it, and the same bytes without the wire."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from hashlib import sha256

import zstandard

from nats3.chunk import columns
from nats3.jetstream import api
from nats3.jetstream.connection import Connection
from nats3.jetstream.publisher import WindowPublisher
from nats3.jetstream.settings import NatsSettings
from nats3.jetstream.source import PullSource
from nats3.jetstream.streams import ConsumerSpec, consumer_config
from nats3.message import Batch
from tests.bench.figures import Figure, middle
from tests.bench.house import LARGE, House
from tests.bench.rows import Size
from tests.bench.traffic import batch, fill

_KIB = 1024
_WINDOW = (20_000, 20 << 20)
"""Messages and bytes that a store job has asked for beforehand."""


async def limits(house: House, size: Size) -> list[Figure]:
    stream, count = "limit", 2 * size.messages
    await fill(house.stack.nats_url, house.js, stream, count, _KIB)
    read: list[float] = []
    written: list[float] = []
    async with Connection.open(NatsSettings(house.stack.nats_url), 5) as connection:
        for turn in range(size.runs):
            read.append(count / await _read(connection, stream, f"c{turn}", count))
            written.append(count / await _write(connection, count))
    await house.js.delete_stream(stream)
    return [
        middle("limit: reader that throws away, 1 KiB", read, "msg/s", said="our frames and the server alone; AckAll"),
        middle("limit: publisher that fills a memory stream", written, "msg/s", said="window of 4000; as they are"),
        *_bytes(size),
    ]


async def _read(connection: Connection, stream: str, consumer: str, count: int) -> float:
    """Seconds to receive all and acknowledge every 10,000."""
    spec = ConsumerSpec(stream, consumer, "", 1, "all", 600, 600)
    body = {"stream_name": stream, "config": consumer_config(spec), "action": "create"}
    await api.ask(connection, f"CONSUMER.CREATE.{stream}.{consumer}", body)
    source = PullSource(connection.link(), "$JS.API", stream, consumer)
    began, seen, settled = time.perf_counter(), 0, 0
    while seen < count:
        source.ask(*_WINDOW)
        seqs = (await source.receive()).batch.seqs
        seen += len(seqs)
        if seqs and seen - settled >= LARGE:
            await source.ack_up_to(seqs[-1])
            settled = seen
    took = time.perf_counter() - began
    await source.close()
    await api.ask(connection, f"CONSUMER.DELETE.{stream}.{consumer}")
    return took


async def _write(connection: Connection, count: int) -> float:
    """Seconds until all is stored in memory."""
    config = {"name": "sink", "subjects": ["sink.>"], "storage": "memory"}
    await api.ask(connection, "STREAM.CREATE.sink", config)
    said = batch("sink", min(count, LARGE), _KIB)
    publisher = WindowPublisher(connection.link(), "sink")
    began = time.perf_counter()
    for _ in range(count // len(said)):
        await publisher.send(said.subjects, said.headers, said.payloads)
    await publisher.drain()
    took = (time.perf_counter() - began) * count / (count // len(said) * len(said))
    await publisher.close()
    await api.ask(connection, "STREAM.DELETE.sink")
    return took


def _bytes(size: Size) -> Sequence[Figure]:
    """One thread, nothing else; in frames of a thousand messages."""
    said = batch("kib", LARGE, _KIB)
    parts = [said.slice(start, start + 1000) for start in range(0, LARGE, 1000)]
    raws = list(map(columns.to_raw, parts))
    stored = [zstandard.ZstdCompressor(level=1).compress(raw) for raw in raws]
    works: dict[str, Callable[[], object]] = {
        "memcpy": lambda: [bytearray(raw) for raw in raws],
        "sha256 of the raw bytes": lambda: [sha256(raw).digest() for raw in raws],
        "sha256 of the stored bytes": lambda: [sha256(each).digest() for each in stored],
        "zstd level 1": lambda: [zstandard.ZstdCompressor(level=1).compress(raw) for raw in raws],
        "zstd level 3": lambda: [zstandard.ZstdCompressor(level=3).compress(raw) for raw in raws],
        "zstd decompress": lambda: [zstandard.ZstdDecompressor().decompress(each) for each in stored],
        "columns to msgpack": lambda: _columns(parts),
    }
    return [
        Figure(f"limit: {what}", _cpu(work, size.runs) / LARGE * 1e6, "us", said="CPU per message of 1 KiB")
        for what, work in works.items()
    ]


def _columns(parts: Sequence[Batch]) -> list[bytes]:
    return list(map(columns.to_raw, parts))


def _cpu(work: Callable[[], object], runs: int) -> float:
    """CPU seconds of this thread, the least of some runs."""
    took: list[float] = []
    for _ in range(max(3, runs)):
        began = time.thread_time()
        work()
        took.append(time.thread_time() - began)
    return min(took)
