"""What the API takes to answer, one request after the other over one connection."""

from __future__ import annotations

import time
from uuid import uuid4

from eventstore import Append, Batcher, Fence, PostgresStore, Version
from nats3.job.history import HISTORY, job_entity
from nats3.job.order import StoreOrder
from nats3.job.ordering import JobCreated, JobPaused
from tests.bench.figures import Figure, latencies
from tests.bench.house import House
from tests.bench.rows import Size

_REQUESTS = 300


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
