"""The event log through Python: appends, projections, a rebuild. Postgres with fsync on, events of 300 bytes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

import psycopg

from eventstore import (
    Append,
    Batcher,
    Connection,
    Fence,
    Listener,
    NewEvent,
    PostgresStore,
    Projector,
    Rebuild,
    Tail,
    Version,
    View,
    migrate,
)
from eventstore.projection import Checkpoint
from nats3.job.history import HISTORY
from nats3.job.storing import ChunkFlushed
from nats3.views.chunks import ChunksView
from tests.bench.figures import Figure, at_least, at_most, latencies, percentile
from tests.bench.house import House
from tests.bench.rows import Size

WRITERS = 64
BATCH = 100
PACE = 1000
_STEP_S = 0.01
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Log:
    """A migrated database of its own, and the two ways in."""

    url: str
    store: PostgresStore
    batcher: Batcher
    wake: asyncio.Event


@asynccontextmanager
async def the_log(house: House) -> AsyncGenerator[Log]:
    name = f"bench_{uuid4().hex[:8]}"
    async with await psycopg.AsyncConnection.connect(house.stack.postgres_url, autocommit=True) as connection:
        await connection.execute(f"CREATE DATABASE {name}".encode())
    url = house.stack.postgres.url_of(name)
    await asyncio.to_thread(migrate.migrate, url)
    store, wake = PostgresStore(url), asyncio.Event()
    try:
        async with Batcher(store, wake=wake) as batcher:
            yield Log(url, store, batcher, wake)
    finally:
        await store.close()


def plain_events(count: int) -> tuple[NewEvent, ...]:
    text = "x" * 285
    return tuple(NewEvent("noted", {"text": text, "n": 1}) for _ in range(count))


async def write(log: Log, calls: int, events: int) -> list[float]:
    """One entity, one append after the other; how long each took."""
    entity, took = f"run/{uuid4()}", []
    for call in range(calls):
        append = Append(entity, Version(call * events), Fence(0), plain_events(events))
        began = time.perf_counter()
        await log.batcher.append(append)
        took.append(time.perf_counter() - began)
    return took


async def append(house: House, size: Size) -> list[Figure]:
    async with the_log(house) as log:
        await write(log, 50, 1)
        alone = await write(log, max(50, size.events // 10), 1)
        each = max(1, size.events // WRITERS)
        began = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            writers = [tasks.create_task(write(log, each, 1)) for _ in range(WRITERS)]
        together = WRITERS * each / (time.perf_counter() - began)
        many = [seconds for writer in writers for seconds in writer.result()]
        batches = await write(log, max(5, size.events // BATCH), BATCH)
    return [
        Figure("append, one after the other", len(alone) / sum(alone), "ev/s", at_least(600), said="1 event a call"),
        *latencies("append, one after the other", alone, (None, at_most(5))),
        Figure(f"append, {WRITERS} actors", together, "ev/s", at_least(8000), said="1 event each, one batcher"),
        *latencies(f"append, {WRITERS} actors", many, (None, at_most(25))),
        Figure(f"append, batches of {BATCH}", len(batches) * BATCH / sum(batches), "ev/s", at_least(15_000)),
        *latencies(f"append, batches of {BATCH}", batches),
    ]


def chunk_said(seq: int) -> NewEvent:
    """A chunk as a store job records it; larger than the 300 bytes of the other rows."""
    return HISTORY.encode(
        ChunkFlushed(
            bucket="bench", key=f"n3v1/kib/life/{seq:020d}.n3c", codec="binary", stream="kib", subject=">",
            consumer=None, prefix="", life="life", ordinal=1, created=1, previous_seq=seq - 1, first=seq, last=seq,
            count=1, first_time=seq, last_time=seq, raw_bytes=1000, stored_bytes=300, sha256=f"{seq:064x}",
            content_sha256=f"{seq:064x}", previous_sha256=f"{seq - 1:064x}", last_fingerprint=f"{seq:064x}",
            sealed_by="count",
        )
    )  # fmt: skip


async def _record(log: Log, entity: str, version: int, count: int) -> int:
    """Append chunks to a run; the last position."""
    events = tuple(chunk_said(version + number + 1) for number in range(count))
    return (await log.batcher.append(Append(entity, Version(version), Fence(0), events))).last


async def projection(house: House, size: Size) -> list[Figure]:
    async with the_log(house) as log:
        lags = await _lags(log, size.events // 4)
        rebuilt, swap, reads = await _rebuild(log, 5 * size.events)
    return [
        *latencies(f"projection lag at {PACE} ev/s", lags, (at_most(15), at_most(100))),
        Figure("rebuild of the chunk index", rebuilt, "ev/s", at_least(20_000), said=f"{5 * size.events} chunks"),
        Figure(
            "swap of the chunk index",
            swap * 1000,
            "ms",
            at_most(50),
            said="one transaction; readers wait for a part of it",
        ),
        Figure("slowest read meanwhile", max(reads) * 1000, "ms", at_most(50), said=f"{len(reads)} reads, 0 failed"),
        Figure("read meanwhile, p99", percentile(reads, 0.99) * 1000, "ms", said="the swap is among them"),
    ]


async def _lags(log: Log, events: int) -> list[float]:
    """From the return of an append to the moment when readers see it, at a steady pace."""
    entity, step, lags = f"run/{uuid4()}", round(PACE * _STEP_S), list[float]()
    async with (
        Tail(log.store, log.wake, Listener(log.url)) as tail,
        Projector(log.url, log.store, tail, [ChunksView()]) as projector,
        asyncio.TaskGroup() as tasks,
    ):
        await projector.wait_for("chunks", await log.store.head(), 10)
        due = time.perf_counter()
        for version in range(0, events, step):
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            due += _STEP_S
            last = await _record(log, entity, version, step)
            tasks.create_task(_seen(projector, last, time.perf_counter(), lags))
    return lags


async def _seen(projector: Projector, position: int, since: float, lags: list[float]) -> None:
    if not await projector.wait_for("chunks", position, 10):  # type: ignore[arg-type]
        raise TimeoutError(f"position {position} was not projected within 10 s")
    lags.append(time.perf_counter() - since)


class _Timed(Rebuild):
    """Says how long the swap took that went through."""

    swap_s = 0.0

    async def _try_to_swap(self, connection: Connection, view: View, at: Checkpoint, actor: str) -> Checkpoint:
        began = time.perf_counter()
        at = await super()._try_to_swap(connection, view, at, actor)
        self.swap_s = time.perf_counter() - began
        return at


async def _rebuild(log: Log, events: int) -> tuple[float, float, Sequence[float]]:
    """Events a second, seconds of the swap, seconds of each read meanwhile."""
    entity, done = f"run/{uuid4()}", asyncio.Event()
    for version in range(0, events, _PAGE):
        await _record(log, entity, version, min(_PAGE, events - version))
    head, rebuild = await log.store.head(), _Timed(log.url, log.store, ChunksView())
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(_read_until(log.url, done))
        began = time.perf_counter()
        await rebuild.run("bench")
        rate = head / (time.perf_counter() - began)
        done.set()
    return rate, rebuild.swap_s, reading.result()


async def _read_until(url: str, done: asyncio.Event) -> list[float]:
    """What a page of a plan costs again and again; a read that fails ends the row."""
    took: list[float] = []
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        while not done.is_set():
            began = time.perf_counter()
            await connection.execute(
                "SELECT key FROM chunks WHERE bucket = 'bench' AND stream = 'kib' AND deletion IS NULL"
                " ORDER BY created, ordinal, first LIMIT 100"
            )
            took.append(time.perf_counter() - began)
            await asyncio.sleep(0.002)
    return took
