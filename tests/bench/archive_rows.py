"""How soon: the first message out of a large archive, one message by its seq, and from a publish to the bucket."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from random import Random
from typing import Any

from nats.aio.msg import Msg

from tests.bench.api_rows import make_chunks
from tests.bench.figures import Figure, at_most, latencies, percentile
from tests.bench.house import BUCKET, SMALL, TARGET_SUBJECT, House, Timed
from tests.bench.rows import Size
from tests.bench.traffic import fill

_TURNS = 10
_READS = 100
_PACE_S = 0.1
_WITHIN_MS = 100
_DURABLE_MS = 1300


async def large(house: House, size: Size) -> list[Figure]:
    """An archive of many small messages, in an index that holds another hundred thousand chunks."""
    stream, count = "large", size.long or size.messages
    await fill(house.stack.nats_url, house.js, stream, count, 128)
    stored = await house.store(stream, count, SMALL)
    await house.js.delete_stream(stream)
    others = await _others(house, size)
    chance = Random(5)
    first = [await _replayed(house, stored, stream) for _ in range(_TURNS)]
    places = [chance.randint(1, count) for _ in range(_TURNS)]
    one = [await _replayed(house, stored, stream, from_seq=seq, to_seq=seq) for seq in places]
    read = await _read_by_seq(house, stored, [chance.randint(1, count) for _ in range(_READS)])
    said = f"of {count} messages in {stored.chunks} chunks; {others} chunks in the index"
    return [
        *_soon("first replayed message of all", first, f"from the order to the target's subscriber; {said}"),
        *_soon("one message by seq, replayed", one, "the same with from_seq = to_seq"),
        *latencies("one message by seq, read over HTTP from its chunk", read, (None, at_most(_WITHIN_MS))),
    ]


async def _others(house: House, size: Size) -> int:
    """Chunks of another job, by their events alone; how many the index then holds."""
    count = 100 * size.jobs
    last = await make_chunks(house, count)
    async with asyncio.timeout(120):
        while (await house.ask("GET", "/api/v2/projections/chunks"))["position"] < last:  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(0.2)
    return count + len(await _chunks(house, last))


async def _chunks(house: House, below: int) -> list[dict[str, Any]]:
    """The chunks that this row stored."""
    return [each async for each in house.items("/api/v2/chunks?stream=large&limit=1000") if each["id"] <= below]


async def _replayed(house: House, stored: Timed, stream: str, **selection: int) -> float:
    """Seconds from ordering a load to its first message at a subscriber of the target's subject."""
    await house.empty_target()
    arrived = asyncio.Event()

    async def hear(_: Msg) -> None:
        arrived.set()

    heard = await house.client.subscribe(TARGET_SUBJECT, cb=hear)
    await house.client.flush()
    order = {"kind": "load", "bucket": BUCKET, "prefix": stored.prefix, "read_stream": stream, "limit": _TURNS}
    began = time.perf_counter()
    job = await house.ask("POST", "/api/v2/jobs", {**order, "write_subject": TARGET_SUBJECT, **selection})
    async with asyncio.timeout(60):
        await arrived.wait()
    took = time.perf_counter() - began
    await heard.unsubscribe()
    await house.until(lambda: house.is_completed(job["id"]))
    return took


async def _read_by_seq(house: House, stored: Timed, seqs: list[int]) -> list[float]:
    """Seconds that one message out of its chunk takes; which chunk holds it is looked up before."""
    chunks = [each async for each in house.items("/api/v2/chunks?stream=large&limit=1000")]
    mine = [each for each in chunks if each["key"].startswith(stored.prefix + "/")]
    took: list[float] = []
    for seq in seqs:
        chunk = next(each for each in mine if each["first"] <= seq <= each["last"])
        began = time.perf_counter()
        answer = await house.ask("GET", f"/api/v2/chunks/{chunk['id']}/messages?seq={seq}")
        took.append(time.perf_counter() - began)
        assert [each["seq"] for each in answer["items"]] == [seq]
    return took


def _soon(name: str, seconds: list[float], said: str) -> list[Figure]:
    median, worst = (percentile(seconds, share) * 1000 for share in (0.5, 1.0))
    return [
        Figure(
            f"{name}, p50",
            median,
            "ms",
            at_most(_WITHIN_MS),
            (min(seconds) * 1000, worst),
            f"n = {len(seconds)}; {said}",
        )
    ]


async def durable(house: House, size: Size) -> list[Figure]:
    """Ten messages a second into a job with `max_age` 1 s: from each publish until its chunk is in the log."""
    stream = "slow"
    await house.js.add_stream(name=stream, subjects=["slow.>"])
    limits = {"max_bytes": 20_000_000, "max_count": 10_000, "max_age": "1s"}
    order = {"kind": "store", "stream": stream, "bucket": BUCKET, "prefix": "slow", "limits": limits}
    job = (await house.ask("POST", "/api/v2/jobs", order))["id"]
    await house.until(lambda: house.has_consumer(stream))
    published: list[float] = []
    for number in range(20 * size.runs):
        published.append(time.time_ns() / 1e9)
        await house.js.publish("slow.x", b'{"id":%d}' % number)
        await asyncio.sleep(_PACE_S)
    await house.until(lambda: _holds(house, job, len(published)))
    took = [
        datetime.fromisoformat(event["recorded_at"]).timestamp() - published[seq - 1]
        for event in await house.flushed(job)
        for seq in range(event["data"]["first"], event["data"]["last"] + 1)
    ]
    await house.ask("DELETE", f"/api/v2/jobs/{job}")
    await house.js.delete_stream(stream)
    said = f"{len(took)} messages, max_age 1 s; the log's time of the event that follows the proven PUT"
    return [
        Figure("publish to durable at 10 msg/s, p50", percentile(took, 0.5) * 1000, "ms", said=said),
        Figure("publish to durable at 10 msg/s, p99", percentile(took, 0.99) * 1000, "ms", at_most(_DURABLE_MS)),
    ]


async def _holds(house: House, job: str, count: int) -> bool:
    return (await house.ask("GET", f"/api/v2/jobs/{job}"))["progress"]["messages"] >= count
