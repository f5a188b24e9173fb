"""What a view writes waits for the disk; what writes nothing does not."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from eventstore import Append, Fence, Position, PostgresStore, Version, View, migrate, projection
from eventstore.connection import connect
from nats3.job.history import HISTORY, job_entity, run_entity
from nats3.job.storing import ObjectsCondemned
from tests.views.conftest import VIEWS
from tests.views.samples import created, flushed, opened

JOBS, CHUNKS, COVERAGE, LEFTOVERS = VIEWS


@pytest.mark.parametrize(
    ("view", "event", "waits"),
    [
        (JOBS, flushed(1, 9), True),
        (CHUNKS, flushed(1, 9), True),
        (COVERAGE, flushed(1, 9, gaps=((3, 4),)), True),
        (COVERAGE, opened(), True),
        (COVERAGE, flushed(1, 9), False),
        (LEFTOVERS, ObjectsCondemned("archive", ("k",), "unlinked"), True),
    ],
)
async def test_what_a_view_writes_waits_for_the_disk(
    postgres_url: str, view: View, event: object, *, waits: bool
) -> None:
    await asyncio.to_thread(migrate.migrate, postgres_url)
    store, job_id = PostgresStore(postgres_url), uuid4()
    for entity, said in ((job_entity(job_id), created()), (run_entity(job_id), event)):
        await store.append([Append(entity, Version(0), Fence(0), (HISTORY.encode(said),))])
    wanted = [event for event in await store.read_log(Position(0), 10) if event.type in view.types]
    async with await connect(postgres_url, "test", projection.SETTINGS) as connection, connection.transaction():
        await view.create(connection)
        await view.apply(connection, wanted)
        cursor = await connection.execute("SHOW synchronous_commit")
        assert await cursor.fetchone() == ("on" if waits else "off",)
    await store.close()
