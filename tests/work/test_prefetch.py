"""Loads read ahead within the memory budget, and never wait for what would not come."""

from __future__ import annotations

import asyncio

import pytest

from nats3.work.budget import Account, Budget
from nats3.work.prefetch import Prefetch


async def started(waiting: asyncio.Task[None]) -> None:
    for _ in range(3):
        await asyncio.sleep(0)
    assert not waiting.done()


async def test_a_load_reads_ahead_as_far_as_its_share_goes_and_on_once_it_has_published() -> None:
    budget = Budget(1000)
    with Prefetch(budget, "load", rests=False) as prefetch:
        await prefetch.room_for(200)
        prefetch.hold(200)
        await prefetch.room_for(200)
        prefetch.hold(250)
        assert budget.held == 450
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(prefetch.room_for(200))
            await started(waiting)
            prefetch.give()
        prefetch.hold(10)
        assert budget.held == 260
    assert budget.held == 0


async def test_a_load_that_holds_nothing_reads_whatever_others_hold() -> None:
    budget = Budget(1000)
    other = budget.account("store")
    other.hold(1000)
    with Prefetch(budget, "load", rests=False) as prefetch:
        async with asyncio.timeout(1):
            await prefetch.room_for(900)
        prefetch.hold(900)
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(prefetch.room_for(900))
            await started(waiting)
            prefetch.give()


@pytest.mark.parametrize("rests", [True, False])
async def test_who_is_short_counts_on_what_a_load_holds_unless_a_pace_makes_it_stay(
    rests: bool,  # noqa: FBT001 - pytest names it
) -> None:
    budget = Budget(1000)
    flushed: list[Account] = []
    with Prefetch(budget, "load", rests=rests) as prefetch:
        prefetch.hold(600)
        store = budget.account("store", lambda: flushed.append(store))
        store.hold(350)
        store.open_bytes = 350
        short = budget.queue(budget.account("another"), 100)
        assert bool(flushed) is rests
        short.cancel()
