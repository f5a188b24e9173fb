"""Opens the event log for a node: its schema, its lease, and all that writes and reads it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Protocol, TypeVar

from eventstore import (
    Batcher,
    Claims,
    Listener,
    LogUnavailable,
    PostgresStore,
    Projector,
    Segments,
    Snapshots,
    Tail,
    Upkeep,
)
from eventstore.audit import Audit
from eventstore.migrate import migrate
from eventstore.once import Once
from eventstore.past import Past
from nats3.api.v1_orders import job_text
from nats3.api.v2_orders import job_resource
from nats3.config import Config, Misconfigured
from nats3.connections import place
from nats3.errors import Invalid
from nats3.job.history import ends
from nats3.telemetry.listeners import LogListener
from nats3.telemetry.signals import Telemetry
from nats3.views.chunks import ChunksView
from nats3.views.coverage import CoverageView
from nats3.views.database import Database
from nats3.views.jobs import JobsView
from nats3.views.leftovers import LeftoversView

T = TypeVar("T")

_VIEWS = (JobsView(job_text, job_resource), ChunksView(), CoverageView(), LeftoversView())
_RETRY_S = 1.0


@dataclass(frozen=True, slots=True)
class Log:
    """The event log and what is read of it. `name` is that under which this node holds its lease."""

    name: str
    claims: Claims
    store: PostgresStore
    batcher: Batcher
    tail: Tail
    projector: Projector
    upkeep: Upkeep
    snapshots: Snapshots
    audit: Audit
    past: Past
    database: Database
    once: Once


async def prepare_log(config: Config, telemetry: Telemetry) -> None:
    """Bring the log's schema up to date where that is asked for; wait for a Postgres that is not there yet.

    A URL that could change what is recorded works, and is warned of once.
    """
    if config.postgres.migrate:
        url = config.postgres.migrate_url.reveal()
        await insist(lambda: asyncio.to_thread(migrate, url), telemetry)
    probe = PostgresStore(config.postgres.url.reveal())
    try:
        await insist(probe.check_schema, telemetry)
        power = await insist(probe.power, telemetry)
        if power is not None:
            telemetry.too_powerful(power)
        floor = await insist(probe.floor, telemetry)
        if floor > 1 and config.log_retention.bucket is None:
            fault = f"is not set, but the events below position {floor} were moved into a bucket"
            raise Misconfigured(
                [Invalid("NATS3_LOG_RETENTION_BUCKET", fault, "name the bucket that they were moved to")]
            )
    finally:
        await probe.close()


async def open_log(
    config: Config, telemetry: Telemetry, lifetimes: AsyncExitStack, segments: Segments | None, *, works: bool
) -> Log:
    """The lease comes first, so that a view that the process before us kept is ours at once."""
    url = config.postgres.url.reveal()
    database = closed_with(lifetimes, Database(url))
    claims = closed_with(lifetimes, Claims(url))
    name = f"{config.node_name} at {config.server.addr} in {await asyncio.to_thread(place)}"
    if works:
        await insist(lambda: claims.succeed(name), telemetry)
        await insist(lambda: claims.register(name), telemetry)
    store = closed_with(lifetimes, PostgresStore(url, claims.node, ends=ends, segments=segments))
    wake = asyncio.Event()
    signal = LogListener(telemetry)
    batcher = await lifetimes.enter_async_context(Batcher(store, wake=wake, signal=signal))
    tail = await lifetimes.enter_async_context(Tail(store, wake, Listener(url), signal=signal))
    return Log(
        name=name,
        claims=claims,
        store=store,
        batcher=batcher,
        tail=tail,
        projector=closed_with(
            lifetimes,
            Projector(
                url, store, tail, _VIEWS, node=claims.node, segments=segments, stalled=telemetry.projection_stalled
            ),
        ),
        upkeep=closed_with(lifetimes, Upkeep(url, store, tail, _VIEWS, node=claims.node, segments=segments)),
        snapshots=closed_with(lifetimes, Snapshots(url)),
        audit=closed_with(lifetimes, Audit(url, segments=segments)),
        past=closed_with(lifetimes, Past(url, segments)),
        database=database,
        once=closed_with(lifetimes, Once(url)),
    )


class _Closable(Protocol):
    async def close(self) -> None: ...


C = TypeVar("C", bound=_Closable)


def closed_with(lifetimes: AsyncExitStack, thing: C) -> C:
    lifetimes.push_async_callback(thing.close)
    return thing


async def insist(call: Callable[[], Awaitable[T]], telemetry: Telemetry) -> T:
    """The answer of `call`, however long Postgres is away."""
    attempt = 0
    while True:
        attempt += 1
        try:
            found = await call()
        except LogUnavailable as away:
            telemetry.dependency_failed("postgres", "", away.reason, attempt)
        else:
            if attempt > 1:
                telemetry.dependency_back("postgres", "")
            return found
        await asyncio.sleep(_RETRY_S)
