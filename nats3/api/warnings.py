"""What a person should know about an order although it is taken."""

from __future__ import annotations

import asyncio

from nats3.api.services import StreamFacts, World
from nats3.job.order import Order, StoreOrder

_PATIENCE = 3.0
_DRAINED = "the job drains it, so what it archives is gone for every other consumer"
_REFUSED = "the job stands still unless it is ordered with drain: true; to leave it as it is, archive a mirror of it"


async def warnings_of(world: World, order: Order) -> list[str]:
    """One sentence each; none when all is as it should be. What the world does not answer in 3 s counts as away."""
    facts: StreamFacts | None = None
    bucket: bool | None = None
    try:
        async with asyncio.timeout(_PATIENCE), asyncio.TaskGroup() as asked:
            stream = (
                asked.create_task(world.stream(order.nats, order.stream)) if isinstance(order, StoreOrder) else None
            )
            found = asked.create_task(world.bucket_exists(order.bucket))
        facts, bucket = stream.result() if stream else None, found.result()
    except TimeoutError:
        pass
    warnings = stream_warnings(order, facts) if isinstance(order, StoreOrder) else []
    if bucket is None:
        warnings.append(f"S3 did not answer whether bucket {order.bucket} exists: the job waits until it does")
    elif not bucket:
        warnings.append(f"bucket {order.bucket} does not exist: the job waits until you create it")
    return warnings


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
