from __future__ import annotations

import json
from random import Random
from uuid import uuid4

import pytest

from eventstore import Position
from nats3.api.v2_chunks import chunk_body
from nats3.job.history import HISTORY
from nats3.job.loading import ChunkDeleted, ChunkDeleteRequested
from nats3.job.storing import ChunkFlushed, GapObserved, LifeContinued
from nats3.views.chunk_queries import ChunkFilter, Scope, plan_key
from nats3.views.chunks import ChunkRow, values_of
from nats3.views.coverage import gaps_of, life_of
from tests.views.conftest import Desk
from tests.views.samples import CREATED, created, flushed, opened, random_store_events

FOR_EVER = 1 << 60


def scope(**other: object) -> Scope:
    return Scope(**{"bucket": "archive", "stream": "ORDERS", "position": FOR_EVER, **other})  # type: ignore[arg-type]


async def planned(desk: Desk, **other: object) -> list[tuple[int, int]]:
    await desk.settled()
    return [(row.first, row.last) for row in await desk.chunks.planned(scope(**other))]


async def test_a_plan_holds_what_overlaps_its_bounds(desk: Desk) -> None:
    job_id = uuid4()
    await desk.order(job_id, created())
    at = await desk.run(job_id, opened(), flushed(1, 10), flushed(11, 20))
    await desk.run(job_id, flushed(21, 30, prefix="cold", consumer="mine"))
    assert await planned(desk) == [(1, 10), (11, 20), (21, 30)]
    assert await planned(desk, position=at) == [(1, 10), (11, 20)]
    assert await planned(desk, above=at) == [(21, 30)]
    assert await planned(desk, prefix="") == [(1, 10), (11, 20)]
    assert await planned(desk, prefix="cold", consumer="mine") == [(21, 30)]
    assert await planned(desk, from_seq=10, to_seq=11) == [(1, 10), (11, 20)]
    assert await planned(desk, from_time=CREATED + 20_000) == [(11, 20), (21, 30)]
    assert await planned(desk, to_time=CREATED + 11_000) == [(1, 10)]
    assert await planned(desk, bucket="other") == []


async def test_o15_a_plan_is_in_the_order_of_lives_and_seqs_and_pages_keep_it(desk: Desk) -> None:
    early, late = uuid4(), uuid4()
    for job_id in (late, early):
        await desk.order(job_id, created())
    await desk.run(late, flushed(1, 5, life="b", created=CREATED + 9), flushed(6, 9, life="b", created=CREATED + 9))
    await desk.run(early, *(flushed(n, n, life="a") for n in range(1, 8)))
    await desk.run(early, flushed(1, 3, life="c", ordinal=2, created=CREATED + 10))
    await desk.settled()
    whole = await desk.chunks.planned(scope())
    assert [row.life for row in whole] == ["a"] * 7 + ["b"] * 2 + ["c"]
    pages, after = [], None
    while page := await desk.chunks.planned(scope(), 3, after):
        pages += page
        after = plan_key(page[-1])
    assert pages == whole
    assert [row async for row in desk.chunks.all_planned(scope(), page=4)] == whole
    sums = [(r.life, r.first, r.last, r.chunks, r.messages) for r in await desk.chunks.summary(scope())]
    assert sums == [("a", 1, 7, 7, 7), ("b", 1, 9, 2, 9), ("c", 1, 3, 1, 3)]


async def test_a_chunk_that_is_to_be_deleted_is_planned_no_more_but_still_referred_to(desk: Desk) -> None:
    job_id, load = uuid4(), uuid4()
    await desk.order(job_id, created())
    first, second = flushed(1, 10), flushed(11, 20)
    await desk.run(job_id, opened(), first, second)
    await desk.run(load, ChunkDeleteRequested("archive", first.key))
    assert await planned(desk) == [(11, 20)]
    await desk.run(load, ChunkDeleted("archive", first.key), ChunkDeleteRequested("archive", second.key))
    assert await planned(desk) == []
    rows = await desk.chunks.page(ChunkFilter(job_id=job_id, deleted=None))
    assert [row.deletion for row in rows] == ["done", "requested"]
    third = flushed(21, 30)
    await desk.run(job_id, third)
    await desk.run(load, ChunkDeleteRequested("archive", third.key), ChunkDeleted("archive", third.key))
    await desk.settled()
    rows = await desk.chunks.page(ChunkFilter(job_id=job_id, deleted=None))
    assert [row.deletion for row in rows] == ["done", "requested", "done"], "both in one page of the log"
    assert await desk.chunks.recorded("archive", [first.key, second.key, "unknown"]) == {first.key, second.key}
    assert await desk.chunks.recorded("elsewhere", [first.key]) == set()


async def test_covering_finds_the_chunk_that_settled_a_seq(desk: Desk) -> None:
    job_id = uuid4()
    await desk.order(job_id, created())
    await desk.run(job_id, opened(), flushed(1, 10), flushed(15, 20, previous_seq=12))
    await desk.settled()
    found = [await desk.chunks.covering(job_id, "life-1", seq) for seq in (1, 10, 11, 13, 20, 21)]
    assert [row and row.last for row in found] == [10, 10, None, 20, 20, None]
    assert await desk.chunks.covering(job_id, "life-2", 1) is None


async def test_a_chunk_that_overlaps_another_stops_the_view_instead_of_entering_it(desk: Desk) -> None:
    job_id = uuid4()
    await desk.order(job_id, created())
    await desk.run(job_id, opened(), flushed(1, 10), flushed(1, 11))
    head = await desk.store.head()
    assert not await desk.projector.wait_for("chunks", head, 0.5)
    (status,) = [row for row in await desk.projector.status() if row.name == "chunks"]
    assert (status.status, status.error and status.error["position"]) == ("stalled", head)


@pytest.mark.parametrize("seed", range(4))
async def test_chunks_lives_and_gaps_are_the_fold_of_the_log(desk: Desk, seed: int) -> None:
    chance = Random(seed)
    job_id = uuid4()
    await desk.order(job_id, created())
    history = random_store_events(chance, 60)
    for start in range(0, len(history), 9):
        await desk.run(job_id, *history[start : start + 9])
    await desk.settled()
    log = await desk.store.read_log(Position(0), 10_000)
    said = [(event, HISTORY.decode(event)) for event in log]
    assert await desk.chunks.page(ChunkFilter(), 1000) == [
        ChunkRow(*values_of(e, s)) for e, s in said if isinstance(s, ChunkFlushed)
    ]
    assert await desk.coverage.gaps(job_id) == [gap for event, what in said for gap in gaps_of(event, what)]
    lives, also = [], {}
    for event, what in said:
        if isinstance(what, LifeContinued):
            also.setdefault(lives[-1].life, []).append(what.created)
        elif type(what).__name__ == "LifeOpened":
            lives.append(life_of(event, what))
    found = await desk.coverage.lives(job_id)
    assert [(row.life, row.created) for row in found] == [
        (row.life, (*row.created, *also.get(row.life, ()))) for row in lives
    ]


async def test_coverage_joins_chunks_that_follow_each_other(desk: Desk) -> None:
    job_id, load = uuid4(), uuid4()
    await desk.order(job_id, created())
    last = flushed(31, 40)
    await desk.run(
        job_id,
        opened(),
        flushed(1, 10),
        flushed(11, 20),
        GapObserved("life-1", 21, 25, "expired"),
        flushed(26, 30),
        last,
    )
    await desk.settled()
    runs = [(run.first, run.last, run.chunks, run.messages) for run in await desk.coverage.archived(job_id)]
    assert runs == [(1, 20, 2, 20), (26, 40, 2, 15)]
    await desk.run(load, ChunkDeleteRequested("archive", last.key))
    await desk.settled()
    assert [(run.first, run.last) for run in await desk.coverage.archived(job_id)] == [(1, 20), (26, 30)]


async def test_a_list_that_postgres_writes_out_says_of_each_chunk_what_is_said_of_it_alone(desk: Desk) -> None:
    job_id, other = uuid4(), uuid4()
    for each in (job_id, other):
        await desk.order(each, created())
    odd = flushed(1, 9, gaps=((2, 3), (5, 5)), consumer='a "quoted" ü', first_time=CREATED + 7, last_time=-1_999)
    kept = flushed(10, 20, first_time=0, last_time=999_999_999_999_999_001)
    await desk.run(job_id, opened(), odd, kept, ChunkDeleteRequested("archive", odd.key))
    await desk.run(other, opened(), flushed(1, 5, prefix="other"))
    await desk.settled()
    for wanted in (
        ChunkFilter(),
        ChunkFilter(deleted=None),
        ChunkFilter(deleted=True),
        ChunkFilter(job_id=job_id, bucket="archive", stream="ORDERS", deleted=None),
        ChunkFilter(bucket="elsewhere"),
    ):
        said = json.loads(f"[{(await desk.chunks.resources(wanted)).text}]")
        assert said == [json.loads(json.dumps(chunk_body(row))) for row in await desk.chunks.page(wanted)]
    whole = await desk.chunks.page(ChunkFilter(deleted=None))
    first = await desk.chunks.resources(ChunkFilter(deleted=None), 2)
    rest = await desk.chunks.resources(ChunkFilter(deleted=None), 2, first.last or 0)
    assert (first.last, rest.last) == (whole[1].position, None)
    assert [each["id"] for each in json.loads(f"[{first.text},{rest.text}]")] == [row.position for row in whole]
