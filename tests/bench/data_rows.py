"""Store and load, beside stock nats-py doing the same in the plain way. A B A B, after a turn that does not count."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from nats3.chunk.encode import encode
from nats3.chunk.layout import Origin
from nats3.life import Opening
from nats3.work.effort import LEAST, MOST
from tests.bench.figures import Figure, at_least, at_most, middle, ratio
from tests.bench.house import LARGE, SMALL, TARGET_SUBJECT, House, Timed
from tests.bench.rows import Size
from tests.bench.traffic import batch as made
from tests.bench.traffic import fetch_and_discard, fill, publish_plainly

T = TypeVar("T")

KIB = 1024
_PLAINLY = 20_000
_IDLE_S = 12.0
_MEMORY_MIB = 256


async def _timed_fetch(house: House, stream: str, count: int) -> float:
    began = time.perf_counter()
    await fetch_and_discard(house.js, stream, count)
    return count / (time.perf_counter() - began)


async def _timed_publish(house: House, count: int, size: int) -> float:
    """Of fewer messages than ours where there are many: the loop is slow, and as slow at its end as at its beginning."""
    count = min(count, _PLAINLY)
    await house.empty_target()
    began = time.perf_counter()
    await publish_plainly(house.js, TARGET_SUBJECT, count, size)
    return count / (time.perf_counter() - began)


async def _timed_load(house: House, stored: Timed, stream: str, mode: str) -> Timed:
    await house.empty_target()
    return await house.load(stored, stream, mode)


def _per_million(timed: Sequence[Timed]) -> list[float]:
    return [each.cpu_s / each.messages * 1e6 for each in timed]


def _rates(timed: Sequence[Timed]) -> list[float]:
    return [each.rate for each in timed]


async def _store_turns(
    house: House, size: Size, stream: str, count: int, chunks: Sequence[int]
) -> tuple[list[float], dict[int, list[Timed]]]:
    """The plain loop, then one job for each chunk size, and again."""
    plain: list[float] = []
    ours: dict[int, list[Timed]] = {chunk: [] for chunk in chunks}
    for turn in range(size.runs + size.warm):
        rate = await _timed_fetch(house, stream, count)
        timed = {chunk: await house.store(stream, count, chunk, quiet=True) for chunk in chunks}
        if turn or not size.warm:
            plain.append(rate)
            for chunk, each in timed.items():
                ours[chunk].append(each)
    return plain, ours


async def store(house: House, size: Size) -> list[Figure]:
    stream, count = "kib", size.messages
    await fill(house.stack.nats_url, house.js, stream, count, KIB)
    plain, ours = await _store_turns(house, size, stream, count, (LARGE, SMALL))
    large, small = ours[LARGE], ours[SMALL]
    await house.js.delete_stream(stream)
    said = f"{count} messages, {large[0].chunks} chunks of at most 10000 messages or 20 MB, binary, level auto"
    return [
        middle("fetch(5000) loop, 1 KiB", plain, "msg/s", said="stock nats-py: AckAll, metadata read, thrown away"),
        middle("store 1 KiB", _rates(large), "msg/s", said=said),
        ratio("store 1 KiB / fetch loop", _rates(large), plain, at_least(3.0)),
        middle(
            "store 1 KiB, chunks of 1000",
            _rates(small),
            "msg/s",
            said=f"{small[0].chunks} chunks of at most 1000 messages or 1 MB",
        ),
        ratio("store 1 KiB, chunks of 1000 / fetch loop", _rates(small), plain, at_least(2.0)),
        middle("CPU per million stored", _per_million(large), "s", at_most(12), "user and system of nats3 alone"),
        middle("CPU per million stored, chunks of 1000", _per_million(small), "s"),
    ]


async def store_small(house: House, size: Size) -> list[Figure]:
    stream, count = "tiny", 2 * size.messages
    await fill(house.stack.nats_url, house.js, stream, count, 128)
    plain, ours = await _store_turns(house, size, stream, count, (LARGE,))
    await house.js.delete_stream(stream)
    timed = ours[LARGE]
    return [
        middle("fetch(5000) loop, 128 B", plain, "msg/s", said=f"{count} messages"),
        middle("store 128 B", _rates(timed), "msg/s", said=f"{timed[0].chunks} chunks"),
        ratio("store 128 B / fetch loop", _rates(timed), plain, at_least(4.0)),
        middle("CPU per million stored, 128 B", _per_million(timed), "s"),
    ]


async def load(house: House, size: Size) -> list[Figure]:
    stream, count = "kib2", size.messages
    await fill(house.stack.nats_url, house.js, stream, count, KIB)
    stored = await house.store(stream, count, LARGE)
    plain: list[float] = []
    ours: dict[str, list[Timed]] = {"dedupe": [], "exclusive": [], "atomic": []}
    for turn in range(size.runs + size.warm):
        rate = await _timed_publish(house, count, KIB)
        timed = {mode: await _timed_load(house, stored, stream, mode) for mode in ours}
        if turn or not size.warm:
            plain.append(rate)
            for mode, each in timed.items():
                ours[mode].append(each)
    await house.js.delete_stream(stream)
    dedupe, exclusive, atomic = ours["dedupe"], ours["exclusive"], ours["atomic"]
    return [
        middle(
            "publish_async loop, 1 KiB",
            plain,
            "msg/s",
            said=f"stock nats-py, one header; {min(count, _PLAINLY)} messages",
        ),
        middle("load 1 KiB, dedupe", _rates(dedupe), "msg/s", said="the same with Nats-Msg-Id and three more headers"),
        ratio("load 1 KiB, dedupe / publish_async loop", _rates(dedupe), plain, at_least(4.0)),
        middle("load 1 KiB, exclusive", _rates(exclusive), "msg/s", said="each demands its place in the target"),
        ratio("load 1 KiB, exclusive / publish_async loop", _rates(exclusive), plain, at_least(4.0)),
        middle("load 1 KiB, atomic", _rates(atomic), "msg/s", said="batches of 999 and a marker, one in flight"),
        ratio("load 1 KiB, atomic / publish_async loop", _rates(atomic), plain, at_least(3.0)),
        middle("CPU per million loaded", _per_million(dedupe), "s", at_most(12), "dedupe; nats3 alone"),
    ]


async def requests(house: House, size: Size) -> list[Figure]:
    """Counted while nobody asks the API anything; what an idle node says anyway is taken off."""
    stream, count = "counted", size.messages
    await fill(house.stack.nats_url, house.js, stream, count, KIB)
    await house.empty_target()
    async with house.statements() as statements:
        await asyncio.sleep(_IDLE_S)
        idle = statements() / _IDLE_S
        asked, before, began = await house.requests(), statements(), time.perf_counter()
        stored = await house.store(stream, count, SMALL, quiet=True)
        said = statements() - before - idle * (time.perf_counter() - began)
        stored_asked = await house.requests() - asked
        asked, before, began = await house.requests(), statements(), time.perf_counter()
        await house.load(stored, stream)
        loaded = statements() - before - idle * (time.perf_counter() - began)
        loaded_asked = await house.requests() - asked
    await house.js.delete_stream(stream)
    chunks = stored.chunks
    how = f"a whole job of {chunks} chunks of 1000 or 1 MB, its beginning and end included"
    return [
        Figure("S3 requests per chunk stored", stored_asked / chunks, "", said=how),
        Figure("S3 requests per chunk loaded", loaded_asked / chunks, "", said=how),
        Figure("Postgres statements per chunk stored", said / chunks, "", said="BEGIN and COMMIT count"),
        Figure("Postgres statements per chunk loaded", loaded / chunks, "", said="BEGIN and COMMIT count"),
        Figure("Postgres statements of an idle node", idle, "/s", at_most(2)),
    ]


async def compressed(house: House, size: Size) -> list[Figure]:
    """The encoder alone, in this process, one thread."""
    del house
    batch = made("kib", LARGE, KIB)
    raw = b"".join([*batch.subjects, *(block or b"" for block in batch.headers), *batch.payloads])
    origin = Origin(log_id=_ID, job_id=_ID, stream="b", subject_filter=">", consumer=None, **_OF_ORIGIN)
    zipped, theirs = _least_cpu(lambda: gzip.compress(raw, 6), size.runs)
    figures = [Figure("raw / gzip -6 bytes", len(raw) / len(zipped), "x", said="the same bytes without any structure")]
    for level in _LEVELS:
        chunk, ours = _least_cpu(partial(encode, batch, origin, level=level), size.runs)
        held, quick = (at_most(1.0), at_most(0.25)) if level == LEAST else (None, None)
        said = f"a chunk of {LARGE} messages of 1 KiB{', where a busy job of level auto is' if held else ''}"
        figures += [
            Figure(f"raw / stored bytes, level {level}", len(raw) / len(chunk.body), "x", said=said),
            Figure(f"stored / gzip -6 bytes, level {level}", len(chunk.body) / len(zipped), "x", held),
            Figure(f"time to encode / gzip -6, level {level}", ours / theirs, "x", quick, said="CPU of one thread"),
            Figure(f"encode one message, level {level}", ours / LARGE * 1e6, "us", said="columns, zstd, hashes"),
        ]
    return figures


def _least_cpu(work: Callable[[], T], runs: int) -> tuple[T, float]:
    """What it makes, and the CPU seconds that it takes of this thread when nothing disturbs it."""
    took: list[float] = []
    for _ in range(max(3, runs)):
        began = time.thread_time()
        made_of_it = work()
        took.append(time.thread_time() - began)
    return made_of_it, min(took)


_LEVELS = (LEAST, 3, MOST)
"""Where `auto` begins and stays while there is much to do, what orders had before it, and where it ends in an idle job."""

_ID = "00000000-0000-4000-8000-000000000001"
_OF_ORIGIN = {
    "opening": Opening(1, _ID, 1),
    "previous_seq": 0,
    "previous_sha256": _ID,
    "activation": 1,
    "bind": 1,
    "prefix": "",
    "date_floor": "",
}


async def memory(house: House, size: Size) -> list[Figure]:
    """Resident memory of a fresh `nats3 serve` above what it had before the first job."""
    figures: list[Figure] = []
    for count in sorted({2 * size.messages, size.long} - {0}):
        figures += await _memory(house, f"long{count}", count)
    return figures


async def _memory(house: House, stream: str, count: int) -> list[Figure]:
    await house.empty_target()
    await fill(house.stack.nats_url, house.js, stream, count, KIB)
    await house.again()
    await asyncio.sleep(1)
    watched = house.nats3
    idle = watched.resident_mib()
    watched.forget_peak()
    stored = await house.store(stream, count, LARGE)
    while_storing = watched.peak_mib() - idle
    watched.forget_peak()
    loaded = await house.load(stored, stream)
    while_loading = watched.peak_mib() - idle
    await house.js.delete_stream(stream)
    await house.empty_target()
    limit = at_most(_MEMORY_MIB)
    return [
        Figure(f"memory above idle, store {count}", while_storing, "MiB", limit, said=f"idle {idle:.0f} MiB"),
        Figure(f"memory above idle, load {count}", while_loading, "MiB", limit, said="dedupe, after the store"),
        Figure(f"store 1 KiB, {count} messages", stored.rate, "msg/s", said="one run"),
        Figure(f"load 1 KiB, {count} messages", loaded.rate, "msg/s", said="one run, dedupe"),
    ]
