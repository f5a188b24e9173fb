"""What a person should know about an order although it is taken."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar, assert_never

from eventstore import LogUnavailable
from nats3.api.pages import PATIENCE
from nats3.api.reach import published
from nats3.api.services import Services
from nats3.api.world import StreamFacts, World
from nats3.errors import Unavailable
from nats3.job.order import LoadOrder, Order, StoreOrder
from nats3.subject import overlap
from nats3.views.chunk_queries import Scope

T = TypeVar("T")

_PATIENCE = 3.0
_DRAINED = "the job drains it, so what it archives is gone for every other consumer"
_REFUSED = "the job stands still unless it is ordered with drain: true; to leave it as it is, archive a mirror of it"


async def warnings_of(services: Services, order: Order) -> list[str]:
    """One sentence each; none when all is as it should be. What is not answered in 3 s counts as away."""
    match order:
        case StoreOrder():
            return await _of_store(services.world, order)
        case LoadOrder():
            return await _of_load(services, order)
        case _:
            assert_never(order)


async def _of_store(world: World, order: StoreOrder) -> list[str]:
    async with asyncio.TaskGroup() as asked:
        stream = asked.create_task(_answer(world.stream(order.nats, order.stream)))
        bucket = asked.create_task(_answer(world.bucket_exists(order.bucket)))
    waits = "the job waits until you create it"
    return [*stream_warnings(order, stream.result()), *_bucket_warnings(order, bucket.result(), waits)]


async def _of_load(services: Services, order: LoadOrder) -> list[str]:
    """A load looks at its target and its bucket once it has something to publish, and waits for neither before."""
    world, subjects = services.world, published(order)
    async with asyncio.TaskGroup() as asked:
        archived = asked.create_task(_answer(_is_archived(services, order)))
        takers = [asked.create_task(_answer(world.is_taken(order.nats, subject))) for subject in subjects]
        bucket = asked.create_task(_answer(world.bucket_exists(order.bucket)))
    target = _target_warnings(subjects, [taken.result() for taken in takers])
    if archived.result() is not False:
        waits = "the job waits until it is back with its chunks"
        return [*target, *_bucket_warnings(order, bucket.result(), waits)]
    fault = f"nothing archived of stream {order.read_stream} in bucket {order.bucket} matches"
    if order.poll_interval_s is None:
        return [f"{fault}: the job will publish nothing"]
    return [f"{fault}: the job will publish nothing until something does", *target]


async def _answer(asked: Awaitable[T | None]) -> T | None:
    """None when nobody answers in time."""
    try:
        async with asyncio.timeout(_PATIENCE):
            return await asked
    except (TimeoutError, Unavailable, LogUnavailable):
        return None


async def _is_archived(services: Services, order: LoadOrder) -> bool | None:
    """False where the index knows of nothing that the load could select; None while the index is behind the log."""
    head = await services.log.head()
    if not await services.projections.wait_for("chunks", head, PATIENCE):
        return None
    kept = await services.chunks.filters(Scope.of(order, head))
    return any(overlap(wanted, each) for wanted in order.filters for each in kept)


def stream_warnings(order: StoreOrder, facts: StreamFacts | None) -> list[str]:
    if facts is None:
        return [f"NATS did not answer whether stream {order.stream} exists: the job waits until it does"]
    if not facts.exists:
        return [f"stream {order.stream} does not exist: the job waits until you create it"]
    if facts.retention != "workqueue":
        return []
    if order.drain:
        return [f"stream {order.stream} is a work queue: {_DRAINED}"]
    return [f"stream {order.stream} is a work queue: {_REFUSED}"]


def _target_warnings(subjects: tuple[str, ...], taken: list[bool | None]) -> list[str]:
    """Where no stream takes any of it; of several subjects only the messages can tell which will be needed."""
    told = ", ".join(subjects)
    if any(taken):
        return []
    if None in taken:
        return [f"NATS did not answer whether a stream takes {told}: the job waits until it does"]
    return [f"no stream takes {told}: the job waits until one does"]


def _bucket_warnings(order: Order, exists: bool | None, waits: str) -> list[str]:  # noqa: FBT001 - an answer of the world
    if exists is None:
        return [f"S3 did not answer whether bucket {order.bucket} exists: the job waits until it does"]
    return [] if exists else [f"bucket {order.bucket} does not exist: {waits}"]
