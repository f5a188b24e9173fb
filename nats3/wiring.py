"""Builds everything, in one place, as nested lifetimes: what is built last ends first."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar
from uuid import uuid4

from actors import errors as actor_errors
from actors.errors import Kind
from actors.system import ActorSystem, Observer
from eventstore import (
    LogUnavailable,
    Policy,
    PostgresPartitions,
    Retention,
    SegmentFault,
    Segments,
)
from eventstore.relay import Relay
from nats3.api.entrance import Entrance
from nats3.config import Config
from nats3.connections import Connected, connected
from nats3.errors import Unavailable
from nats3.failpoint import Reach, armed
from nats3.jetstream.connection import Connection
from nats3.job.history import HISTORY
from nats3.log import Log, closed_with, insist, open_log, prepare_log
from nats3.objects.outage import Outages
from nats3.objects.patient import Patient
from nats3.objects.places import Places
from nats3.objects.segments import BucketSegments
from nats3.telemetry.listeners import (
    ActorListener,
    RelayListener,
    RetentionListener,
    SurveyListener,
    WorkListener,
)
from nats3.telemetry.signals import Telemetry
from nats3.views.chunk_queries import Chunks
from nats3.views.coverage_queries import Coverage
from nats3.views.job_queries import Jobs
from nats3.views.leftover_queries import Leftovers
from nats3.work.abreast import Abreast
from nats3.work.budget import Budget
from nats3.work.catalogue import ViewCatalogue, ViewCondemned, ViewUntidy
from nats3.work.causes import LatestCommand, NoCauses
from nats3.work.counting import LoadCounter
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
from nats3.work.surveyor import ATTEMPTS, Surveyor
from nats3.work.tidy import Tidy
from nats3.work.tools import Habits, InThread, Tools

T = TypeVar("T")

_RETRY_S = 1.0


@dataclass(frozen=True, slots=True)
class Node:
    """A running node: what the faces are given."""

    config: Config
    telemetry: Telemetry
    log: Log
    outside: Outside
    archive: ChunkReader
    counter: LoadCounter
    entrance: Entrance
    nats: Connection


@asynccontextmanager
async def running(config: Config, telemetry: Telemetry, *, works: bool = True) -> AsyncGenerator[Node]:
    """A node that works until the block ends; it then settles what it holds, within the office's bound.

    One that does not work holds no lease, runs no job and keeps no view: it answers for others that do.
    """
    async with AsyncExitStack() as lifetimes:
        telemetry.depends_on("postgres")
        telemetry.depends_on("s3")
        await prepare_log(config, telemetry)
        pool = lifetimes.enter_context(ThreadPoolExecutor(max(2, os.cpu_count() or 2), "nats3"))
        reached = await lifetimes.enter_async_context(connected(config, telemetry))
        segments = _segments(config, reached.s3)
        log = await open_log(config, telemetry, lifetimes, segments, works=works)
        lease = NodeLease(time.monotonic)
        tools = await _tools(config, telemetry, log, reached, pool=pool, lease=lease)
        relay = _relay(config, telemetry, log, tools)
        if works:
            causes = LatestCommand(log.store, telemetry.spans.ordered) if telemetry.traces.on else NoCauses()
            runs = RunLog(log.store, log.batcher, HISTORY, log.snapshots, causes)
            staff = Workers(runs, tools, reached.jetstreams)
            await _work(lifetimes, telemetry, log, staff, tools, lease)
            if segments is not None:
                await lifetimes.enter_async_context(_retention(config, telemetry, log, segments, lifetimes))
            if config.events.publish:
                await lifetimes.enter_async_context(relay)
        await lifetimes.enter_async_context(_pulse(log, relay, lease, telemetry))
        entrance = await _entrance(config, telemetry, log, lifetimes)
        outside = _outside(log, reached)
        reader = ChunkReader(reached.s3, tools.index, tools.in_thread)
        counter = LoadCounter(reached.s3, tools.index, tools.plans, tools.in_thread, time.monotonic)
        yield Node(config, telemetry, log, outside, reader, counter, entrance, reached.nats)


def _outside(log: Log, reached: Connected) -> Outside:
    s3 = reached.s3
    return Outside(log.store, log.projector.unmade, reached.jetstreams.streams, s3.bucket_exists, reached.s3_names)


async def _tools(
    config: Config,
    telemetry: Telemetry,
    log: Log,
    reached: Connected,
    *,
    pool: ThreadPoolExecutor,
    lease: NodeLease,
) -> Tools:
    """What workers and surveys work with."""
    s3 = reached.s3
    index = ViewIndex(log.store, Chunks(log.database), Coverage(log.database), _abreast(log))
    outages = Outages(s3)
    return Tools(
        nats=reached.jetstreams.main,
        objects=lambda heard: Patient(s3, heard, outages=outages),
        bucket_exists=s3.bucket_exists,
        sweep=s3.sweep,
        index=index,
        plans=index,
        in_thread=_in_thread(pool),
        signals=WorkListener(telemetry),
        lease=lease,
        log_id=str(await insist(log.store.log_id, telemetry)),
        node=config.node_name,
        uuid=lambda: str(uuid4()),
        monotonic=time.monotonic,
        sleep=asyncio.sleep,
        budget=Budget(config.limits.memory),
        condemned=ViewCondemned(Leftovers(log.database)),
        habits=Habits(grace_s=3600.0 * config.s3.sweep_hours or None),
        reach=_failpoints(config, telemetry),
    )


async def _work(
    lifetimes: AsyncExitStack, telemetry: Telemetry, log: Log, staff: Workers, tools: Tools, lease: NodeLease
) -> None:
    """Keep views, run jobs, walk surveys, tidy up; what runs jobs ends before the views do."""
    system = await lifetimes.enter_async_context(ActorSystem(classify=kind_of_fault))
    untidy = ViewUntidy(_abreast(log), Leftovers(log.database))
    for each in (
        log.projector,
        log.upkeep,
        _office(log, system, lease, staff, ActorListener(telemetry)),
        _surveyor(log, tools, SurveyListener(telemetry)),
        Tidy(untidy, log.claims, staff, log.tail),
    ):
        await lifetimes.enter_async_context(each)


async def _entrance(config: Config, telemetry: Telemetry, log: Log, lifetimes: AsyncExitStack) -> Entrance:
    """Who comes in, by the tokens in the log; it hears of new and revoked ones until the node ends."""
    entrance = Entrance.open(log.store, required=config.server.asks_always, per_second=config.limits.requests)
    seen = await insist(entrance.look, telemetry)
    await lifetimes.enter_async_context(_beside(entrance.watch(log.tail, seen)))
    return entrance


def _pulse(log: Log, relay: Relay, lease: NodeLease, telemetry: Telemetry) -> Pulse:
    return Pulse(
        lease,
        lambda: log.tail.position,
        lambda: log.projector.behind() | relay.behind(),
        telemetry,
        time.monotonic,
        asyncio.sleep,
    )


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


def _abreast(log: Log) -> Abreast:
    return Abreast(log.store, log.projector.wait_for)


def _office(log: Log, system: ActorSystem, lease: NodeLease, staff: Workers, observer: Observer) -> Office:
    office = Office(
        node=log.name,
        claims=log.claims,
        desk=ViewDesk(_abreast(log), Jobs(log.database)),
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


def _segments(config: Config, s3: Places) -> Segments | None:
    told = config.log_retention
    return BucketSegments(s3, told.bucket, told.prefix) if told.bucket else None


def _retention(
    config: Config, telemetry: Telemetry, log: Log, segments: Segments, lifetimes: AsyncExitStack
) -> Retention:
    told = config.log_retention
    keeper = StateKeeper(RunLog(log.store, log.batcher, HISTORY, log.snapshots), log.snapshots)
    return Retention(
        closed_with(lifetimes, PostgresPartitions(config.postgres.url.reveal())),
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
    views = ViewCatalogue(_abreast(log), Chunks(log.database), Leftovers(log.database))
    objects = tools.objects(listener).at_most(ATTEMPTS)
    return Surveyor(log.store, log.batcher, log.snapshots, log.claims, log.tail, tools, views, objects, listener)


def kind_of_fault(error: BaseException) -> Kind:
    """What supervision makes of an error. A conflict says that what was decided is out of date: recover and go on."""
    if isinstance(error, (Unavailable, LogUnavailable, SegmentFault, actor_errors.Conflict)):
        return Kind.TRANSIENT
    return actor_errors.classify(error)


def _in_thread(pool: ThreadPoolExecutor) -> InThread:
    async def in_thread(work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(pool, work)

    return in_thread
