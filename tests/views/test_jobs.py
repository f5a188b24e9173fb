from __future__ import annotations

import json
from dataclasses import replace
from random import Random
from uuid import UUID, uuid4

import psycopg
import pytest

from eventstore import Append, Fence, NewEvent, Position, Rebuild, Version, verify
from nats3.access.scope import Scope
from nats3.api import v1_orders, v2_orders
from nats3.api.v1_orders import job_text
from nats3.api.v2_orders import job_resource
from nats3.errors import Unavailable
from nats3.job.history import run_entity
from nats3.job.loading import (
    ChunkSkipped,
    DisplacedRange,
    LoadCompleted,
    LoadPlanned,
    LoadProgressed,
    MessagesDisplaced,
)
from nats3.job.order import LoadOrder, StoreOrder
from nats3.job.ordering import JobDeleted, JobPaused, JobResumed, JobRetried
from nats3.job.running import RunActivated, RunBlocked, RunFailed, RunPaused
from nats3.job.states import State
from nats3.views.database import Database
from nats3.views.job_queries import JobFilter, Jobs
from nats3.views.job_row import JobRow, fold
from nats3.views.jobs import JobsView
from tests.views.conftest import Desk
from tests.views.samples import (
    LOAD,
    RANGE,
    STORE,
    created,
    flushed,
    opened,
    random_commands,
    random_load_events,
    random_store_events,
)


async def state_of(desk: Desk, job_id: UUID) -> State:
    await desk.settled()
    row = await desk.jobs.get(job_id)
    assert row is not None
    return row.state_now


async def test_a_job_is_created_until_a_node_has_it(desk: Desk) -> None:
    job_id = uuid4()
    await desk.order(job_id, created())
    assert await state_of(desk, job_id) is State.CREATED
    await desk.run(job_id, RunActivated(1, "node-a"))
    assert await state_of(desk, job_id) is State.RUNNING


async def test_a_row_counts_what_was_archived(desk: Desk) -> None:
    job_id = uuid4()
    await desk.order(job_id, created())
    await desk.run(
        job_id, RunActivated(1, "node-a"), opened(), flushed(1, 10), flushed(13, 20, previous_seq=10, gaps=((11, 12),))
    )
    await desk.settled()
    row = await desk.jobs.get(job_id)
    assert row is not None
    assert (row.messages, row.chunks, row.raw_bytes, row.stored_bytes, row.gaps) == (18, 2, 1800, 180, 2)
    assert (row.last_seq, row.lives, row.node, row.order) == (20, 1, "node-a", STORE)


async def test_o9_what_has_ended_stays_ended_whatever_was_wanted_meanwhile(desk: Desk) -> None:
    job_id = uuid4()
    await desk.order(job_id, created(LOAD))
    await desk.run(job_id, RunActivated(1, "node-a"), LoadPlanned((RANGE,), 1, 3, 30, 1, 1))
    await desk.order(job_id, JobPaused())
    await desk.run(job_id, LoadCompleted(30, 0), RunPaused(), RunActivated(2, "node-b"))
    assert await state_of(desk, job_id) is State.COMPLETED


async def test_a_load_that_skipped_chunks_has_not_succeeded(desk: Desk) -> None:
    job_id = uuid4()
    await desk.order(job_id, created(LOAD))
    await desk.run(job_id, ChunkSkipped("k", 1, 2, 2, "corrupt"), LoadCompleted(28, 2))
    assert await state_of(desk, job_id) is State.COMPLETED_WITH_GAPS


async def test_what_stands_out_of_order_in_the_target_is_counted_until_progress_begins_anew(desk: Desk) -> None:
    job_id = uuid4()
    await desk.order(job_id, created(LOAD))
    displaced = MessagesDisplaced((DisplacedRange(0, 1, 3, 3), DisplacedRange(0, 5, 5, 1)), 4, 9)
    await desk.run(job_id, LoadProgressed(0, 6, 6, 0, 9), displaced, LoadProgressed(0, 7, 7, 0, 10), displaced)
    await desk.settled()
    row = await desk.jobs.get(job_id)
    assert row is not None
    assert (row.displaced, row.published) == (8, 7)
    await desk.run(job_id, LoadProgressed(0, 0, 0, 0, 0))
    await desk.settled()
    row = await desk.jobs.get(job_id)
    assert row is not None
    assert row.displaced == 0


async def test_only_jobs_that_are_wanted_and_have_not_ended_are_runnable(desk: Desk) -> None:
    active, paused, deleted, done, failed, blocked = (uuid4() for _ in range(6))
    for job_id in (active, paused, deleted, failed, blocked):
        await desk.order(job_id, created())
    await desk.order(done, created(LOAD))
    await desk.order(paused, JobPaused())
    await desk.order(deleted, JobDeleted())
    await desk.run(done, LoadCompleted(1, 0))
    await desk.run(failed, RunFailed("a bug", ""))
    await desk.run(blocked, RunBlocked("bucket_missing", "make it"))
    await desk.settled()
    assert [job.job_id for job in await desk.jobs.runnable()] == [active, blocked]

    await desk.order(done, JobRetried(restart=True))
    await desk.order(failed, JobResumed())
    await desk.settled()
    runnable = {job.job_id: job for job in await desk.jobs.runnable()}
    assert set(runnable) == {active, blocked, done, failed}
    assert (runnable[done].attempts, runnable[done].generation, runnable[done].order) == (2, 2, LOAD)
    assert (runnable[failed].resumed, runnable[failed].kind) == (1, "store")


async def test_an_event_of_an_older_version_is_folded_as_today_and_stays_as_it_was_written(desk: Desk) -> None:
    old, new = uuid4(), uuid4()
    for job_id in (old, new):
        await desk.order(job_id, created())
    written = NewEvent("run_failed", {"reason": "KeyError('x')"}, 1)
    await desk.batcher.append(Append(run_entity(old), Version(0), Fence(0), (written,)))
    await desk.run(new, RunFailed("KeyError('x')", "KeyError"))
    await desk.settled()
    errors = [(await desk.jobs.get(job_id)).last_error for job_id in (old, new)]
    assert errors == ["KeyError('x')", "KeyError('x')"]
    await Rebuild(desk.store.url, desk.store, JobsView(job_text, job_resource)).run()
    assert [(await desk.jobs.get(job_id)).last_error for job_id in (old, new)] == errors
    rows = [(await desk.store.read(run_entity(job_id), Version(0), 1))[0] for job_id in (old, new)]
    assert [(row.schema_version, row.data) for row in rows] == [
        (1, {"reason": "KeyError('x')"}),
        (2, {"reason": "KeyError('x')", "fault": "KeyError"}),
    ]
    assert (await verify(desk.store.url)).broken is None


async def test_pages_go_on_where_the_last_one_ended_newest_first(desk: Desk) -> None:
    ids = [uuid4() for _ in range(7)]
    for job_id in ids:
        await desk.order(job_id, created())
    await desk.settled()
    first = await desk.jobs.page(JobFilter(), 3)
    second = await desk.jobs.page(JobFilter(), 3, first[-1].created_position)
    last = await desk.jobs.page(JobFilter(), 3, second[-1].created_position)
    assert [row.job_id for row in (*first, *second, *last)] == ids[::-1]


async def test_filters_join_and_a_deleted_job_is_not_there_for_anyone(desk: Desk) -> None:
    one, two, gone = uuid4(), uuid4(), uuid4()
    await desk.order(one, created(StoreOrder("a", "S", ">", "bucket-1")))
    await desk.order(two, created(LoadOrder("a", "bucket-2", "S")))
    await desk.order(gone, created(StoreOrder("a", "S", ">", "bucket-1")), JobDeleted())
    await desk.settled()

    async def found(**wanted: object) -> list[UUID]:
        return [row.job_id for row in await desk.jobs.all(JobFilter(**wanted))]  # type: ignore[arg-type]

    assert await found(stream="S") == [two, one]
    assert await found(kind="store", name="a") == [one]
    assert await found(bucket="bucket-2", states=frozenset({State.CREATED})) == [two]
    assert await found(states=frozenset({State.PAUSED})) == []
    assert [row.job_id for row in await desk.jobs.named("a")] == [two, one]
    assert await desk.jobs.get(gone) is None


@pytest.mark.parametrize("seed", range(4))
async def test_the_table_is_the_fold_of_the_log(desk: Desk, seed: int) -> None:
    chance = Random(seed)
    ids = [uuid4() for _ in range(4)]
    for job_id in ids[:2]:
        await desk.order(job_id, created(STORE))
    for job_id in ids[2:]:
        await desk.order(job_id, created(LOAD))
    histories = [random_store_events(chance, 30) for _ in range(2)] + [random_load_events(chance, 30) for _ in range(2)]
    for job_id, history in zip(ids, histories, strict=True):
        for start in range(0, len(history), 7):
            await desk.run(job_id, *history[start : start + 7])
            await desk.order(job_id, *random_commands(chance, chance.randrange(1, 3)))
    await desk.settled()

    rows: dict[str, JobRow | None] = {}
    for event in await desk.store.read_log(Position(0), 10_000):
        job = event.entity_id.partition("/")[2]
        rows[job] = fold(rows.get(job), event)
    deleted = {job for job, row in rows.items() if row is not None and row.wanted == "deleted"}
    for job, row in rows.items():
        assert await desk.jobs.get(UUID(job)) == (None if job in deleted else row)


async def test_a_database_that_is_away_is_said_to_be_away() -> None:
    jobs = Jobs(Database("postgresql://nobody@127.0.0.1:1/none"))
    with pytest.raises(Unavailable):
        await jobs.get(uuid4())


async def test_a_view_that_an_older_program_made_is_away_until_it_is_made_anew(desk: Desk, postgres_url: str) -> None:
    await desk.settled()
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as connection:
        await connection.execute("DROP VIEW jobs; ALTER TABLE jobs__v5 DROP COLUMN answer")
        await connection.execute("CREATE VIEW jobs AS SELECT * FROM jobs__v5")
    with pytest.raises(Unavailable):
        await desk.jobs.answers(JobFilter())


async def test_a_view_that_was_not_made_yet_is_away_and_not_empty(postgres_url: str) -> None:
    database = Database(postgres_url)
    with pytest.raises(Unavailable):
        await Jobs(database).all(JobFilter())
    await database.close()


async def test_a_list_that_the_view_keeps_written_out_says_of_each_job_what_is_said_of_it_alone(desk: Desk) -> None:
    ids = [uuid4() for _ in range(5)]
    for number, job_id in enumerate(ids):
        await desk.order(job_id, created(replace(STORE, name=f'"{number}" ü')), *([JobPaused()] if number % 2 else []))
    await desk.run(ids[0], *random_store_events(Random(7), 30))
    await desk.settled()
    for wanted in (
        JobFilter(),
        JobFilter(kind="store", name='"1" ü', stream="ORDERS", bucket="archive"),
        JobFilter(states=frozenset({State.PAUSED})),
        JobFilter(states=frozenset()),
        JobFilter(kind="load"),
    ):
        rows = await desk.jobs.page(wanted)
        said = [await desk.jobs.resources(wanted), await desk.jobs.answers(wanted)]
        assert [json.loads(f"[{each.text}]") for each in said] == [
            [json.loads(json.dumps(v2_orders.job_body(row))) for row in rows],
            [json.loads(json.dumps(v1_orders.job_body(row))) for row in rows],
        ]
        assert {each.last for each in said} == {None}
    first = await desk.jobs.resources(JobFilter(), 2)
    assert (await desk.jobs.resources(JobFilter(), 100, first.last)).text.count('"commands"') == 3


async def test_a_scope_sees_no_job_of_others_in_a_list_however_often_it_is_asked(desk: Desk) -> None:
    for name in ("mine", "theirs"):
        await desk.order(uuid4(), created(replace(STORE, name=name)))
    await desk.settled()
    narrow = desk.jobs.within(Scope(jobs=("mi*",)))
    for jobs, names in ((desk.jobs, {"mine", "theirs"}), (narrow, {"mine"})) * 2:
        said = json.loads(f"[{(await jobs.resources(JobFilter())).text}]")
        assert {each["name"] for each in said} == names
