"""Builds everything, in one place, as nested lifetimes: what is built last ends first."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, TypeVar
from uuid import uuid4

from actors import errors as actor_errors
from actors.errors import Kind
from actors.system import ActorSystem, Observer
from eventstore import (
    Batcher,
    Claims,
    Listener,
    LogUnavailable,
    Policy,
    PostgresPartitions,
    PostgresStore,
    Projector,
    Retention,
    SegmentFault,
    Segments,
    Snapshots,
    Tail,
    Upkeep,
)
from eventstore.audit import Audit
from eventstore.migrate import migrate
from eventstore.once import Once
from eventstore.past import Past
from eventstore.relay import Relay
from nats3.api.entrance import Entrance
from nats3.api.v1_orders import job_text
from nats3.config import Config, Misconfigured
from nats3.connections import nats_of, place, s3_of
from nats3.errors import Invalid, Unavailable
from nats3.failpoint import Reach, armed
from nats3.jetstream.connection import Connection
from nats3.jetstream.server import NatsJetStream
from nats3.job.history import HISTORY, ends
from nats3.objects.patient import Patient
from nats3.objects.s3 import S3Store
from nats3.objects.segments import BucketSegments
from nats3.telemetry.listeners import (
    ActorListener,
    LogListener,
    ObjectListener,
    RelayListener,
    RetentionListener,
    SurveyListener,
    WorkListener,
)
from nats3.telemetry.signals import Telemetry
from nats3.views.chunk_queries import Chunks
from nats3.views.chunks import ChunksView
from nats3.views.coverage import CoverageView
from nats3.views.database import Database
from nats3.views.job_queries import Jobs
from nats3.views.jobs import JobsView
from nats3.views.leftover_queries import Leftovers
from nats3.views.leftovers import LeftoversView
from nats3.work.budget import Budget
from nats3.work.catalogue import ViewCatalogue, ViewCondemned, ViewUntidy
from nats3.work.desk import ViewDesk
from nats3.work.index import ViewIndex
from nats3.work.journal import Log as RunLog
from nats3.work.kept import StateKeeper
from nats3.work.lease import NodeLease
from nats3.work.office import Office
from nats3.work.outbox import Mailbox, Outbox, Topics
from nats3.work.outside import Outside
from nats3.work.pulse import Pulse
from nats3.work.reading import ChunkReader
from nats3.work.staff import Workers
from nats3.work.surveyor import Surveyor
from nats3.work.tidy import Tidy
from nats3.work.tools import Habits, InThread, Tools

T = TypeVar("T")

_VIEWS = (JobsView(job_text), ChunksView(), CoverageView(), LeftoversView())
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


@dataclass(frozen=True, slots=True)
class Node:
    """A running node: what the faces are given."""

    config: Config
    telemetry: Telemetry
    log: Log
    outside: Outside
    archive: ChunkReader
    entrance: Entrance
    nats: Connection


@asynccontextmanager
async def running(config: Config, telemetry: Telemetry, *, works: bool = True) -> AsyncGenerator[Node]:
    """A node that works until the block ends; it then settles what it holds, within the office's bound.

    One that does not work holds no lease, runs no job and keeps no view: it answers for others that do.
    """
    async with AsyncExitStack() as lifetimes:
        await _prepare_log(config, telemetry)
        pool = lifetimes.enter_context(ThreadPoolExecutor(max(2, os.cpu_count() or 2), "nats3"))
        s3 = await lifetimes.enter_async_context(S3Store.open(s3_of(config.s3), ObjectListener(telemetry)))
        nats = await lifetimes.enter_async_context(Connection.open(nats_of(config)))
        segments = _segments(config, s3)
        log = await _open_log(config, telemetry, lifetimes, segments, works=works)
        system = await lifetimes.enter_async_context(ActorSystem(classify=kind_of_fault))
        lease = NodeLease(time.monotonic)
        index = ViewIndex(log.store, Chunks(log.database), log.projector.wait_for)
        tools = Tools(
            nats=NatsJetStream(nats),
            objects=lambda heard: Patient(s3, heard),
            bucket_exists=s3.bucket_exists,
            sweep=s3.sweep,
            index=index,
            plans=index,
            in_thread=_in_thread(pool),
            signals=WorkListener(telemetry),
            lease=lease,
            log_id=str(await _insist(log.store.log_id, telemetry)),
            node=config.node_name,
            uuid=lambda: str(uuid4()),
            monotonic=time.monotonic,
            sleep=asyncio.sleep,
            budget=Budget(config.limits.memory),
            condemned=ViewCondemned(Leftovers(log.database)),
            habits=Habits(grace_s=3600.0 * config.s3.sweep_hours or None),
            reach=_failpoints(config, telemetry),
        )
        staff = Workers(log.store, log.batcher, log.snapshots, tools)
        office = _office(log, system, lease, staff, ActorListener(telemetry))
        surveyor = _surveyor(log, tools, SurveyListener(telemetry))
        untidy = ViewUntidy(log.store, Leftovers(log.database), log.projector.wait_for)
        tidy = Tidy(untidy, log.claims, staff, log.tail)
        for each in (log.projector, log.upkeep, office, surveyor, tidy) if works else ():
            await lifetimes.enter_async_context(each)
        if works and segments is not None:
            await lifetimes.enter_async_context(_retention(config, telemetry, log, segments, lifetimes))
        relay = _relay(config, telemetry, log, tools)
        if works and config.events.publish:
            await lifetimes.enter_async_context(relay)
        pulse = Pulse(
            lease,
            lambda: log.tail.position,
            lambda: log.projector.behind() | relay.behind(),
            telemetry,
            time.monotonic,
            asyncio.sleep,
        )
        await lifetimes.enter_async_context(_beside(pulse.run()))
        entrance = Entrance.open(log.store, required=config.server.asks_always, per_second=config.limits.requests)
        seen = await _insist(entrance.look, telemetry)
        await lifetimes.enter_async_context(_beside(entrance.watch(log.tail, seen)))
        outside = Outside(log.store, log.projector.unmade, tools.nats.streams, s3.bucket_exists)
        yield Node(config, telemetry, log, outside, ChunkReader(s3, tools.index, tools.in_thread), entrance, nats)


@asynccontextmanager
async def _beside(work: Coroutine[object, object, None]) -> AsyncGenerator[None]:
    """`work` runs until the block ends."""
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(work)
        yield
        task.cancel()


def _failpoints(config: Config, telemetry: Telemetry) -> Reach:
    if config.failpoints:
        telemetry.failpoints_on([each.place for each in config.failpoints])
    return armed(config.failpoints, telemetry.failpoint_reached)


async def _open_log(
    config: Config, telemetry: Telemetry, lifetimes: AsyncExitStack, segments: Segments | None, *, works: bool
) -> Log:
    """The lease comes first, so that a view that the process before us kept is ours at once."""
    url = config.postgres.url.reveal()
    database = _closed_with(lifetimes, Database(url))
    claims = _closed_with(lifetimes, Claims(url))
    name = f"{config.node_name} at {config.server.addr} in {await asyncio.to_thread(place)}"
    if works:
        await _insist(lambda: claims.succeed(name), telemetry)
        await _insist(lambda: claims.register(name), telemetry)
    store = _closed_with(lifetimes, PostgresStore(url, claims.node, ends=ends, segments=segments))
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
        projector=_closed_with(lifetimes, Projector(url, store, tail, _VIEWS, node=claims.node, segments=segments)),
        upkeep=_closed_with(lifetimes, Upkeep(url, store, tail, _VIEWS, node=claims.node, segments=segments)),
        snapshots=_closed_with(lifetimes, Snapshots(url)),
        audit=_closed_with(lifetimes, Audit(url, segments=segments)),
        past=_closed_with(lifetimes, Past(url, segments)),
        database=database,
        once=_closed_with(lifetimes, Once(url)),
    )


def _office(log: Log, system: ActorSystem, lease: NodeLease, staff: Workers, observer: Observer) -> Office:
    office = Office(
        node=log.name,
        claims=log.claims,
        desk=ViewDesk(log.store, Jobs(log.database), log.projector.wait_for),
        staff=staff,
        system=system,
        tail=log.tail,
        lease=lease,
        monotonic=time.monotonic,
        observer=observer,
        reach=staff.reach,
    )
    system.observer = office
    return office


def _segments(config: Config, s3: S3Store) -> Segments | None:
    told = config.log_retention
    return BucketSegments(s3, told.bucket, told.prefix) if told.bucket else None


def _retention(
    config: Config, telemetry: Telemetry, log: Log, segments: Segments, lifetimes: AsyncExitStack
) -> Retention:
    told = config.log_retention
    keeper = StateKeeper(RunLog(log.store, log.batcher, HISTORY, log.snapshots), log.snapshots)
    return Retention(
        _closed_with(lifetimes, PostgresPartitions(config.postgres.url.reveal())),
        log.store,
        segments,
        Policy(timedelta(days=told.days), told.keep),
        keeper.keep,
        signal=RetentionListener(telemetry),
        actor=config.node_name,
        interval=told.interval,
    )


def _relay(config: Config, telemetry: Telemetry, log: Log, tools: Tools) -> Relay:
    told = config.events
    outbox = Outbox(tools.nats, Mailbox(told.stream, told.subject, told.make_stream), tools.log_id, Topics(log.store))
    url = config.postgres.url.reveal()
    return Relay(url, log.tail, "nats_events", outbox, heard=RelayListener(telemetry), node=log.claims.node)


def _surveyor(log: Log, tools: Tools, listener: SurveyListener) -> Surveyor:
    views = ViewCatalogue(log.store, Chunks(log.database), Leftovers(log.database), log.projector.wait_for)
    objects = tools.objects(listener)
    return Surveyor(log.store, log.batcher, log.snapshots, log.claims, log.tail, tools, views, objects, listener)


class _Closable(Protocol):
    async def close(self) -> None: ...


C = TypeVar("C", bound=_Closable)


def _closed_with(lifetimes: AsyncExitStack, thing: C) -> C:
    lifetimes.push_async_callback(thing.close)
    return thing


async def _prepare_log(config: Config, telemetry: Telemetry) -> None:
    """Bring the log's schema up to date where that is asked for; wait for a Postgres that is not there yet.

    A URL that could change what is recorded works, and is warned of once.
    """
    if config.postgres.migrate:
        url = config.postgres.migrate_url.reveal()
        await _insist(lambda: asyncio.to_thread(migrate, url), telemetry)
    probe = PostgresStore(config.postgres.url.reveal())
    try:
        await _insist(probe.check_schema, telemetry)
        power = await _insist(probe.power, telemetry)
        if power is not None:
            telemetry.too_powerful(power)
        floor = await _insist(probe.floor, telemetry)
        if floor > 1 and config.log_retention.bucket is None:
            fault = f"is not set, but the events below position {floor} were moved into a bucket"
            raise Misconfigured(
                [Invalid("NATS3_LOG_RETENTION_BUCKET", fault, "name the bucket that they were moved to")]
            )
    finally:
        await probe.close()


async def _insist(call: Callable[[], Awaitable[T]], telemetry: Telemetry) -> T:
    """The answer of `call`, however long Postgres is away."""
    attempt = 0
    while True:
        attempt += 1
        try:
            return await call()
        except LogUnavailable as away:
            telemetry.dependency_failed("postgres", "", away.reason, attempt)
        await asyncio.sleep(_RETRY_S)


def kind_of_fault(error: BaseException) -> Kind:
    """What supervision makes of an error. A conflict says that what was decided is out of date: recover and go on."""
    if isinstance(error, (Unavailable, LogUnavailable, SegmentFault, actor_errors.Conflict)):
        return Kind.TRANSIENT
    return actor_errors.classify(error)


def _in_thread(pool: ThreadPoolExecutor) -> InThread:
    async def in_thread(work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(pool, work)

    return in_thread
