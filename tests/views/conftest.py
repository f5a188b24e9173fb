"""A log in a database of its own, its views kept up by a real projector."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from uuid import UUID

import pytest

from eventstore import Append, Batcher, Fence, PostgresStore, Projector, Tail, Version, migrate
from nats3.api.v1_orders import job_text
from nats3.api.v2_orders import job_resource
from nats3.job.history import HISTORY, job_entity, run_entity
from nats3.views.chunk_queries import Chunks
from nats3.views.chunks import ChunksView
from nats3.views.coverage import CoverageView
from nats3.views.coverage_queries import Coverage
from nats3.views.database import Database
from nats3.views.job_queries import Jobs
from nats3.views.jobs import JobsView
from nats3.views.leftovers import LeftoversView

VIEWS = (JobsView(job_text, job_resource), ChunksView(), CoverageView(), LeftoversView())


@dataclass
class Desk:
    """Writes events and reads views. The run's events are written without a claim: fences are eventstore's matter."""

    store: PostgresStore
    batcher: Batcher
    projector: Projector
    jobs: Jobs
    chunks: Chunks
    coverage: Coverage

    async def say(self, entity_id: str, *events: object, actor: str = "") -> int:
        """Append behind whatever is there; the last position."""
        version = Version(len(await self.store.read(entity_id, Version(0), 100_000)))
        new = tuple(HISTORY.encode(event) for event in events)
        return (await self.batcher.append(Append(entity_id, version, Fence(0), new, actor))).last

    async def order(self, job_id: UUID, *events: object) -> int:
        return await self.say(job_entity(job_id), *events)

    async def run(self, job_id: UUID, *events: object) -> int:
        return await self.say(run_entity(job_id), *events)

    async def settled(self) -> None:
        head = await self.store.head()
        for view in VIEWS:
            assert await self.projector.wait_for(view.name, head, 10), f"{view.name} is behind"


@pytest.fixture
async def desk(postgres_url: str) -> AsyncIterator[Desk]:
    await asyncio.to_thread(migrate.migrate, postgres_url)
    store = PostgresStore(postgres_url)
    database = Database(postgres_url)
    wake = asyncio.Event()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(store.close)
        stack.push_async_callback(database.close)
        tail = await stack.enter_async_context(Tail(store, wake))
        projector = await stack.enter_async_context(Projector(postgres_url, store, tail, VIEWS))
        batcher = await stack.enter_async_context(Batcher(store, wake=wake))
        yield Desk(store, batcher, projector, Jobs(database), Chunks(database), Coverage(database))
