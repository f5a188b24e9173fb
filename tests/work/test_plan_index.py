"""What loads ask of the index of chunks: the fake of the simulations and the view promise the same."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

import pytest

from nats3.errors import Unavailable
from nats3.job.loading import ChunkDeleted, ChunkDeleteRequested, PlannedRange
from nats3.job.order import LoadOrder
from nats3.job.storing import ChunkFlushed, LifeContinued, LifeOpened
from nats3.life import Opening
from nats3.work.abreast import Abreast
from nats3.work.index import ViewIndex
from nats3.work.lineage import SeenLife
from nats3.work.memory import MemoryIndex
from tests.views.conftest import Desk, desk
from tests.views.samples import CREATED, flushed

__all__ = ["desk"]

ORDER = LoadOrder("again", "archive", "ORDERS")
JOB, OTHER, LOAD = (UUID(int=n) for n in (1, 2, 3))


@dataclass
class Scene:
    """An index, and how something is said in the log before it."""

    index: ViewIndex | MemoryIndex
    say: Callable[..., Awaitable[int]]


@pytest.fixture
async def memory() -> Scene:
    told: list[tuple[str, list[object]]] = []

    async def say(job_id: UUID, *events: object) -> int:
        told.append((str(job_id), list(events)))
        return sum(len(each) for _, each in told)

    return Scene(MemoryIndex(lambda: told), say)


@pytest.fixture
async def view(desk: Desk) -> Scene:
    return Scene(
        ViewIndex(desk.store, desk.chunks, desk.coverage, Abreast(desk.store, desk.projector.wait_for)), desk.run
    )


@pytest.fixture(params=["memory", pytest.param("view")])
def scene(request: pytest.FixtureRequest) -> Scene:
    return request.getfixturevalue(request.param)


def planned(last: int = 99) -> PlannedRange:
    return PlannedRange(0, str(JOB), "life-1", CREATED + 1, 1, last)


async def page(scene: Scene, position: int, after: int = 0, limit: int = 10) -> list[tuple[int, int, bool]]:
    await scene.index.fresh()
    rows = await scene.index.page(ORDER, planned(), position, after, limit)
    return [(row.flushed.first, row.flushed.last, row.deleted) for row in rows]


async def test_what_is_archived_comes_as_a_sum_per_job_and_life(scene: Scene) -> None:
    await scene.say(JOB, flushed(1, 10), flushed(11, 20))
    at = await scene.say(OTHER, flushed(1, 5, life="life-2", created=CREATED + 2, key="other"))
    await scene.say(JOB, flushed(21, 30), flushed(31, 40, stream="ELSE"))
    now = await scene.index.fresh()
    told = [(a.job_id, a.first, a.last, a.chunks, a.messages) for a in await scene.index.archived(ORDER, 0, now)]
    assert told == [(str(JOB), 1, 30, 3, 30), (str(OTHER), 1, 5, 1, 5)]
    assert [(a.first, a.last) for a in await scene.index.archived(ORDER, at, now)] == [(21, 30)]
    assert [(a.first, a.last) for a in await scene.index.archived(ORDER, 0, at)] == [(1, 20), (1, 5)]


async def test_a_page_holds_what_was_recorded_when_it_was_planned(scene: Scene) -> None:
    at = await scene.say(JOB, *(flushed(n * 10 + 1, n * 10 + 10) for n in range(3)))
    await scene.say(JOB, flushed(31, 40))
    assert await page(scene, at) == [(1, 10, False), (11, 20, False), (21, 30, False)]
    assert await page(scene, at, after=10, limit=1) == [(11, 20, False)]
    assert await page(scene, at, after=30) == []


async def test_a_chunk_that_was_deleted_after_it_was_planned_still_comes_and_is_remembered(scene: Scene) -> None:
    first, second = flushed(1, 10), flushed(11, 20)
    at = await scene.say(JOB, first, second)
    later = await scene.say(LOAD, ChunkDeleteRequested("archive", first.key, b"held"))
    await scene.say(LOAD, ChunkDeleted("archive", first.key))
    await scene.say(uuid4(), ChunkDeleteRequested("archive", first.key, b"somebody else, later"))
    assert await page(scene, at) == [(1, 10, True), (11, 20, False)]
    assert await page(scene, later) == [(11, 20, False)], "planned after it was gone"
    (gone, there) = await scene.index.page(ORDER, planned(), at, 0, 10)
    assert gone.deletion_position == later
    assert (await scene.index.held(gone), await scene.index.held(there)) == (b"held", b"")
    covering = await scene.index.covering(str(JOB), "life-1", 5)
    assert covering is not None
    assert (covering.flushed, covering.deleted) == (first, True)
    assert [(a.first, a.last) for a in await scene.index.archived(ORDER, 0, await scene.index.fresh())] == [(11, 20)]


async def test_lives_come_with_every_creation_time_under_which_they_went_on(scene: Scene) -> None:
    first, second = Opening(1, "life-1", CREATED), Opening(2, "life-2", CREATED + 9, "life-1", 5, 5, 5)
    await scene.say(JOB, LifeOpened(first, "first"), LifeContinued(CREATED + 1), LifeContinued(CREATED + 2))
    await scene.say(JOB, LifeOpened(second, "restored"))
    await scene.say(OTHER, LifeOpened(replace(first, uuid="life-3"), "first"))
    assert await scene.index.lives({str(JOB)}) == [
        SeenLife(str(JOB), "life-1", (CREATED, CREATED + 1, CREATED + 2)),
        SeenLife(str(JOB), "life-2", (CREATED + 9,)),
    ]
    assert len(await scene.index.lives({str(JOB), str(OTHER)})) == 3


async def test_lives_are_not_told_before_their_view_holds_what_the_log_holds(desk: Desk) -> None:
    async def never(view: str, position: int, patience_s: float) -> bool:
        del position, patience_s
        return view != "coverage"

    index = ViewIndex(desk.store, desk.chunks, desk.coverage, Abreast(desk.store, never))
    await index.fresh()
    with pytest.raises(Unavailable, match="coverage"):
        await index.lives({str(JOB)})


async def test_every_recorded_key_is_known_also_of_deleted_chunks(scene: Scene) -> None:
    first: ChunkFlushed = flushed(1, 10)
    await scene.say(JOB, first, flushed(11, 20))
    await scene.say(LOAD, ChunkDeleteRequested("archive", first.key, b""))
    await scene.index.fresh()
    assert await scene.index.recorded("archive", [first.key, "unknown"]) == {first.key}
    assert await scene.index.recorded("elsewhere", [first.key]) == set()
