"""What the API takes to answer: one request after the other over one connection, and at a rate beside a store job."""

from __future__ import annotations

import asyncio
import time
from contextlib import closing
from itertools import cycle
from uuid import UUID, uuid4

import psycopg

from eventstore import Append, Batcher, Fence, PostgresStore, Version
from nats3.job.history import HISTORY, job_entity, run_entity
from nats3.job.order import StoreOrder
from nats3.job.ordering import JobCreated, JobPaused
from tests.bench.figures import Figure, at_least, at_most, latencies, ratio
from tests.bench.house import LARGE, House
from tests.bench.plain_http import Asker
from tests.bench.rows import Size
from tests.bench.traffic import fill
from tests.bench.workers import with_workers
from tests.views.samples import flushed, opened

_REQUESTS = 300
_RATE = 50
"""Lists a second that are asked for while a store job runs."""
_LISTS = {
    "the job list of version 1": "/api/v1/store/jobs",
    "a page of 100 jobs": "/api/v2/jobs?limit=100",
    "a page of 100 chunks": "/api/v2/chunks?limit=100&after=50000",
    "a page of 100 events": "/api/v2/events?limit=100&order=desc",
}
_PER_APPEND = 500


async def _make_jobs(house: House, count: int) -> int:
    """Jobs that were paused when they were ordered, so that none of them works; the last position."""
    store, last = PostgresStore(house.stack.postgres_url), 0
    try:
        async with Batcher(store) as batcher:
            for number in range(count):
                order = StoreOrder(f"sleeping-{number}", "none", ">", "bench")
                events = (HISTORY.encode(JobCreated("store", order)), HISTORY.encode(JobPaused("bench")))
                append = Append(job_entity(uuid4()), Version(0), Fence(0), events, "bench")
                last = (await batcher.append(append)).last
    finally:
        await store.close()
    return last


async def listing(house: House, size: Size) -> list[Figure]:
    last = await _make_jobs(house, size.jobs)
    await house.ask("GET", f"/api/v2/jobs?min_position={last}")
    figures: list[Figure] = []
    for what, path in (
        ("a page of 100 jobs", "/api/v2/jobs?limit=100"),
        ("one job list of version 1", "/api/v1/store/jobs"),
    ):
        took: list[float] = []
        for _ in range(min(_REQUESTS, 6 * size.jobs)):
            began = time.perf_counter()
            await house.ask("GET", path)
            took.append(time.perf_counter() - began)
        figures += latencies(f"API, {what} of {size.jobs}", took)
    return figures


async def make_chunks(house: House, count: int) -> int:
    """Recorded chunks of one job, by their events alone; the last position."""
    store, entity, last = PostgresStore(house.stack.postgres_url), run_entity(uuid4()), 0
    job = job_entity(UUID(entity.partition("/")[2]))
    order = JobCreated("store", StoreOrder("archived", "ORDERS", ">", "bench"))
    try:
        async with Batcher(store) as batcher:
            paused = JobPaused("bench")
            await batcher.append(Append(job, Version(0), Fence(0), (HISTORY.encode(order), HISTORY.encode(paused))))
            await batcher.append(Append(entity, Version(0), Fence(0), (HISTORY.encode(opened()),)))
            for first in range(0, count, _PER_APPEND):
                chunks = (flushed(n * 10 + 1, n * 10 + 10) for n in range(first, min(count, first + _PER_APPEND)))
                events = tuple(HISTORY.encode(chunk) for chunk in chunks)
                last = (await batcher.append(Append(entity, Version(first + 1), Fence(0), events))).last
    finally:
        await store.close()
    return last


async def _asked(house: House, ended: asyncio.Event) -> dict[str, list[float]]:
    """Lists at a steady rate, whatever the answers before took: seconds from when each was due."""
    took: dict[str, list[float]] = {what: [] for what in _LISTS}

    async def ask(what: str, due: float) -> None:
        await asker.get(_LISTS[what])
        took[what].append(time.perf_counter() - due)

    with closing(Asker(house.server.port)) as asker:
        async with asyncio.TaskGroup() as tasks:
            due = time.perf_counter()
            for what in cycle(_LISTS):
                if ended.is_set():
                    break
                tasks.create_task(ask(what, due))
                due += 1 / _RATE
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
    return took


async def _store_beside(house: House, stream: str, count: int) -> tuple[float, dict[str, list[float]]]:
    ended = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(_asked(house, ended))
        timed = await house.store(stream, count, LARGE, quiet=True)
        ended.set()
    return timed.rate, asking.result()


async def lists(house: House, size: Size) -> list[Figure]:
    """1,000 jobs and 100,000 chunks, lists asked for 50 times a second while a store job runs; and its rate beside that."""
    stream, count = "listed", 4 * size.messages
    await fill(house.stack.nats_url, house.js, stream, count, 1024)
    last = max(await _make_jobs(house, size.jobs), await make_chunks(house, 100 * size.jobs))
    async with asyncio.timeout(120):
        while (await house.ask("GET", "/api/v2/projections/chunks"))["position"] < last:  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(0.5)
    async with await psycopg.AsyncConnection.connect(house.stack.postgres_url, autocommit=True) as connection:
        await connection.execute("ANALYZE")  # as autovacuum does within a minute of a table that grew
    said = f"{size.jobs} jobs, {100 * size.jobs} chunks"
    figures = await _beside(house, size, stream, f"50 lists/s beside a store, {{}} ({said})")
    async with with_workers(house, 1):
        figures += await _beside(house, size, stream, f"50 lists/s beside a store, --workers 1, {{}} ({said})")
    await house.js.delete_stream(stream)
    return figures


async def _beside(house: House, size: Size, stream: str, called: str) -> list[Figure]:
    """Lists while a store job runs, and its rate beside them and alone. `called` is what a figure is called, with a place for the list."""
    count = 4 * size.messages
    alone: list[float] = []
    beside: list[float] = []
    took: dict[str, list[float]] = {what: [] for what in _LISTS}
    for turn in range(size.runs + size.warm):
        rate = (await house.store(stream, count, LARGE, quiet=True)).rate
        other, seconds = await _store_beside(house, stream, count)
        if turn or not size.warm:
            alone.append(rate)
            beside.append(other)
            for what, values in seconds.items():
                took[what] += values
    return [
        *(
            figure
            for what, values in took.items()
            for figure in latencies(called.format(what), values, (None, at_most(50)))
        ),
        ratio(called.format("the store / a store alone"), beside, alone, at_least(0.9)),
    ]
