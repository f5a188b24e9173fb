"""The real application over a real log and real views, asked in-process; the world outside is what a test says it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from uuid import UUID

import httpx2
import pytest

from eventstore import (
    Append,
    Batcher,
    Claims,
    Fence,
    Past,
    Position,
    PostgresStore,
    Projector,
    Tail,
    Upkeep,
    Version,
    migrate,
    walk,
)
from eventstore.audit import Audit
from eventstore.once import Once
from nats3.api.app import build
from nats3.api.entrance import Entrance
from nats3.api.rates import Rate, Rates
from nats3.api.services import Services, Trace
from nats3.api.v1_orders import job_text
from nats3.api.v2_orders import job_resource
from nats3.api.world import StreamFacts
from nats3.errors import Unavailable
from nats3.jetstream.streams import StreamInfo
from nats3.job.history import HISTORY, run_entity
from nats3.objects.memory import MemoryStore
from nats3.subject import matches
from nats3.views.chunk_queries import Chunks
from nats3.views.chunks import ChunksView
from nats3.views.coverage import CoverageView
from nats3.views.coverage_queries import Coverage
from nats3.views.database import Database
from nats3.views.job_queries import Jobs
from nats3.views.jobs import JobsView
from nats3.views.leftovers import LeftoversView
from nats3.work.abreast import Abreast
from nats3.work.counting import LoadCounter
from nats3.work.index import ViewIndex
from nats3.work.reading import ChunkReader


@dataclass
class Outside:
    """World and readiness as a test has set them."""

    streams: dict[str, StreamFacts] = field(default_factory=dict)
    buckets: set[str] = field(default_factory=set)
    answers: bool = True
    faults: dict[str, str | None] = field(default_factory=lambda: {"nats": None, "postgres": None, "s3": None})

    nats_names: frozenset[str] = frozenset({"main", "hub"})
    s3_names: frozenset[str] = frozenset({"main", "cold"})

    async def stream(self, connection: str, name: str) -> StreamFacts | None:
        return self.streams.get(name, StreamFacts(exists=False)) if self.answers else None

    async def is_taken(self, connection: str, subject: str) -> bool | None:
        taken = any(subject == ">" or matches(f"{name}.>", subject.encode()) for name in self.streams)
        return taken or subject == "destination" if self.answers else None

    async def bucket_exists(self, place: str) -> bool | None:
        return place in self.buckets if self.answers else None

    async def every_stream(self, connection: str) -> list[StreamInfo]:
        if not self.answers:
            raise Unavailable("nats", "it is away")
        return [
            StreamInfo(
                name, 1_700_000_000 * 10**9, facts.retention or "limits", 1, 3, 3, 0, {"subjects": [f"{name}.>"]}
            )
            for name, facts in self.streams.items()
        ]

    async def check(self) -> Mapping[str, str | None]:
        return self.faults


@dataclass
class Told:
    """What the application told about its requests."""

    requests: list[tuple[str, str, int]] = field(default_factory=list)
    actors: list[str] = field(default_factory=list)
    crashes: list[Exception] = field(default_factory=list)

    def answered(self, method: str, route: str, status: int, seconds: float, trace: Trace) -> None:
        self.requests.append((method, route, status))
        self.actors.append(trace.actor)

    def crashed(self, request_id: UUID, error: Exception, actor: str) -> None:
        self.crashes.append(error)


@dataclass
class Clock:
    """The wall clock by which tokens expire, as a test has set it."""

    now: datetime = datetime(2026, 11, 23, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Api:
    """A client and what stands behind it."""

    client: httpx2.AsyncClient
    services: Services
    outside: Outside
    told: Told
    store: PostgresStore
    batcher: Batcher
    objects: MemoryStore
    clock: Clock

    async def run(self, job_id: str, *events: object) -> int:
        """Say what the job's run would have said, and wait until all views show it."""
        last = await self.say(job_id, *events)
        for name in ("jobs", "chunks", "coverage"):
            assert await self.services.projections.wait_for(name, Position(last), 10)
        return last

    async def say(self, job_id: str, *events: object) -> int:
        """The same without waiting."""
        entity = run_entity(UUID(job_id))
        version = Version(len(await self.store.read(entity, Version(0), 100_000)))
        new = tuple(HISTORY.encode(event) for event in events)
        return (await self.batcher.append(Append(entity, version, Fence(0), new))).last


@pytest.fixture
async def api(postgres_url: str) -> AsyncIterator[Api]:
    await asyncio.to_thread(migrate.migrate, postgres_url)
    async with running(postgres_url) as api:
        yield api
        assert api.told.crashes == []


class running:  # noqa: N801 - reads as a verb
    """The application on a database; leaving it ends all it began."""

    def __init__(self, url: str, *, required: bool = False) -> None:
        self._url = url
        self._required = required
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Api:
        stack = self._stack
        store, database, claims = PostgresStore(self._url), Database(self._url), Claims(self._url)
        stack.push_async_callback(store.close)
        stack.push_async_callback(database.close)
        stack.push_async_callback(claims.close)
        past = Past(self._url)
        stack.push_async_callback(past.close)
        audit = Audit(self._url)
        stack.push_async_callback(audit.close)
        wake = asyncio.Event()
        tail = await stack.enter_async_context(Tail(store, wake))
        views = (JobsView(job_text, job_resource), ChunksView(), CoverageView(), LeftoversView())
        projector = await stack.enter_async_context(Projector(self._url, store, tail, views))
        upkeep = await stack.enter_async_context(Upkeep(self._url, store, tail, views, node=claims.node))
        batcher = await stack.enter_async_context(Batcher(store, wake=wake))
        for view in views:
            assert await projector.wait_for(view.name, await store.head(), 10)
        objects = MemoryStore("archive")
        clock = Clock()
        entrance = Entrance(
            store,
            required=self._required,
            now=clock,
            rates=Rates(Rate(0, 0), monotonic),
            refusals=Rates(Rate(0, 0), monotonic),
        )
        seen = await entrance.look()
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        stack.callback(tasks.create_task(entrance.watch(tail, seen)).cancel)
        repeats = Once(self._url)
        stack.push_async_callback(repeats.close)
        outside, told = Outside({"jobs": StreamFacts(exists=True, retention="limits")}, {"bucket-1"}), Told()
        index = ViewIndex(store, Chunks(database), Coverage(database), Abreast(store, projector.wait_for))
        services = Services(
            log=store,
            writer=batcher,
            projections=projector,
            upkeep=upkeep,
            tail=tail,
            jobs=Jobs(database),
            chunks=Chunks(database),
            coverage=Coverage(database),
            audit=audit,
            walk=lambda: walk(self._url, 2),
            past=past,
            readiness=outside,
            world=outside,
            once=repeats,
            archive=ChunkReader(objects, index, asyncio.to_thread),
            counter=LoadCounter(objects, index, index, asyncio.to_thread, monotonic),
            exposition=lambda accept: (b"# nothing\n", "text/plain; version=0.0.4; charset=utf-8"),
            nodes=claims.nodes,
            reporter=told,
            entrance=entrance,
        )
        transport = httpx2.ASGITransport(build(services), raise_app_exceptions=False)
        client = await stack.enter_async_context(httpx2.AsyncClient(transport=transport, base_url="http://localhost"))
        return Api(client, services, outside, told, store, batcher, objects, clock)

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()
