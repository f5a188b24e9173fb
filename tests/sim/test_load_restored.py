"""Two store jobs around a restore of their stream from a copy: what both archived is published once, whoever of them saw what."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

import pytest

from actors.testing import run_seeded
from nats3.job.storing import LifeContinued, LifeOpened
from nats3.life import Opening
from nats3.objects.memory import MemoryStore
from tests.sim.load_world import CREATED, SOURCES
from tests.sim.test_load_ends import completed, end, target, world_of

ONE, OTHER = SOURCES
COPIED, LOST, LAST = 20, 30, 40
"""The copy was made behind seq 20. Those up to 30 were lost with the stream; after the restore others came, up to 40."""

RESTORED = CREATED + 1_000
FIRST = Opening(1, "first", CREATED)
BRANCH = Opening(2, "branch", RESTORED, "first", COPIED, COPIED, COPIED)
SEEN_RESTORED = Opening(1, "restored", RESTORED)


def _messages(first, last, later=0):
    return [(seq, CREATED + seq + later, b"s.0", None) for seq in range(first, last + 1)]


EVERY, ODD, EVEN = slice(None), slice(0, None, 2), slice(1, None, 2)
COPY, TAIL, NEW = _messages(1, COPIED), _messages(COPIED + 1, LOST), _messages(COPIED + 1, LAST, 10_000)


def _opened(world, job, opening, messages, reason="first"):
    named = replace(opening, uuid=f"{opening.uuid}-{job[:1]}", parent=opening.parent and f"{opening.parent}-{job[:1]}")
    world.record(job, [LifeOpened(named, reason)])
    world.record(job, world.chunks(job, messages, named))
    return named


def _went_on(world, job, wanted=EVERY):
    """It had archived no more than the copy held."""
    life = _opened(world, job, FIRST, COPY[wanted])
    world.record(job, [LifeContinued(RESTORED)])
    world.record(job, world.chunks(job, NEW[wanted], life))


def _branched_off(world, job):
    _opened(world, job, FIRST, [*COPY, *TAIL])
    _opened(world, job, BRANCH, NEW, "restored")


def _came_later(world, job, wanted=EVERY):
    """Ordered after the restore, it archived all that was there."""
    _opened(world, job, SEEN_RESTORED, [*COPY[wanted], *NEW[wanted]])


def _loaded(*histories):
    world = world_of()

    async def live():
        for job, history in zip(SOURCES, histories, strict=True):
            history(world, job)
        await world.start()
        await completed(world)
        await end(world)

    run_seeded(1, live)
    return target(world)


@pytest.mark.parametrize("histories", [(_went_on, _came_later), (_came_later, _went_on), (_went_on, _went_on)])
def test_a_stream_that_went_on_is_one_for_a_job_that_only_saw_it_restored(histories):
    assert _loaded(*histories) == list(range(1, LAST + 1))


def test_jobs_that_take_different_messages_of_it_are_published_in_the_order_of_the_stream():
    assert _loaded(partial(_went_on, wanted=ODD), partial(_came_later, wanted=EVEN)) == list(range(1, LAST + 1))


@pytest.mark.parametrize("histories", [(_branched_off, _came_later), (_came_later, _branched_off)])
def test_what_a_branch_has_from_before_is_not_published_again(histories):
    assert _loaded(*histories) == [*range(1, LOST + 1), *range(COPIED + 1, LAST + 1)]


@pytest.mark.parametrize("histories", [(_went_on, _branched_off), (_branched_off, _went_on)])
def test_where_one_job_went_on_and_the_other_branched_off_every_message_comes_once(histories):
    """The messages that were lost were archived by one of them only, and come with those of the same seq."""
    twice = [seq for seq in range(COPIED + 1, LOST + 1) for _ in range(2)]
    assert _loaded(*histories) == [*range(1, COPIED + 1), *twice, *range(LOST + 1, LAST + 1)]


def _polled(first, *later):
    """What a load publishes that was planned when only the first was recorded."""
    world = world_of(poll_interval_s=1.0)

    async def live():
        first(world)
        await world.start()
        for more in later:
            await asyncio.sleep(20)
            more(world)
        await asyncio.sleep(20)
        await end(world)

    run_seeded(1, live)
    return target(world)


HISTORIES = [_went_on, _branched_off, _came_later]


@pytest.mark.parametrize("one", HISTORIES)
@pytest.mark.parametrize("other", HISTORIES)
def test_what_the_other_job_archived_later_is_not_published_again(one, other):
    lost = TAIL if _branched_off in {one, other} else []
    all_of_them = sorted([seq for seq, *_ in (*COPY, *lost, *NEW)])
    assert sorted(_polled(lambda world: one(world, ONE), lambda world: other(world, OTHER))) == all_of_them


def test_a_restore_that_nobody_has_spoken_of_when_a_load_is_planned_doubles_nothing():
    lives = []

    def before(world):
        lives.append(_opened(world, ONE, FIRST, COPY))
        _came_later(world, OTHER)

    def looked_again(world):
        world.record(ONE, [LifeContinued(RESTORED)])
        world.record(ONE, world.chunks(ONE, NEW, *lives))

    assert sorted(_polled(before, looked_again)) == list(range(1, LAST + 1))


def test_one_job_whose_stream_was_rolled_back_has_its_chunks_read_once(monkeypatch):
    """It archived no message twice, so nothing of the branch needs to be compared with what came before."""
    world, read, get = world_of(), [], MemoryStore.get

    async def counted(self, bucket, key, *part):
        read.append(key)
        return await get(self, bucket, key, *part)

    monkeypatch.setattr(MemoryStore, "get", counted)

    async def live():
        _opened(world, ONE, FIRST, [*COPY, *TAIL])
        _opened(world, ONE, replace(BRANCH, created=CREATED), NEW, "rolled_back")
        await world.start()
        await completed(world)
        await end(world)

    run_seeded(1, live)
    assert target(world) == [*range(1, LOST + 1), *range(COPIED + 1, LAST + 1)]
    beside = [key for key in read if "/0001/" in key and f"/{COPIED + 1:020d}-" <= key[key.rindex("/") :]]
    assert len(beside) == len(set(beside)) > 0
