"""The test kit tells the truth: what passes on it would pass on real time."""

from __future__ import annotations

import asyncio

import pytest

from actors.clock import Clock, SystemClock
from actors.testing import ManualClock, Stuck, run_seeded, settle


async def test_a_manual_clock_stops_at_every_moment_that_someone_waits_for() -> None:
    clock = ManualClock()
    seen: list[tuple[str, float]] = []

    async def wake_twice(name: str, first: float, second: float) -> None:
        for seconds in (first, second):
            await clock.sleep(seconds)
            seen.append((name, clock.monotonic()))

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(wake_twice("a", 1, 3))
        tasks.create_task(wake_twice("b", 2, 1))
        await clock.advance(10)
    assert seen == [("a", 1), ("b", 2), ("b", 3), ("a", 4)]
    assert clock.monotonic() == 10


async def test_settle_returns_when_every_task_waits() -> None:
    hops: list[int] = []

    async def hop() -> None:
        for n in range(1000):
            await asyncio.sleep(0)
            hops.append(n)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(hop())
        await settle()
        assert len(hops) == 1000


async def story_of_a_deadline(clock: Clock) -> list[str]:
    told: list[str] = []
    for needed, allowed in ((1, 2), (2, 1), (1, 0), (0, 1)):
        try:
            async with clock.timeout(allowed):
                await clock.sleep(needed)
            told.append(f"{needed} within {allowed}")
        except TimeoutError:
            told.append(f"{needed} not within {allowed}")
    return told


def test_deadlines_are_the_same_on_the_manual_clock_and_on_the_clock_of_the_loop() -> None:
    async def on_manual_clock() -> list[str]:
        clock = ManualClock()
        async with asyncio.TaskGroup() as tasks:
            story = tasks.create_task(story_of_a_deadline(clock))
            await clock.advance(10)
        return story.result()

    expected = ["1 within 2", "2 not within 1", "1 not within 0", "0 within 1"]
    assert asyncio.run(on_manual_clock()) == expected
    assert run_seeded(0, lambda: story_of_a_deadline(SystemClock())) == expected


def order_of_tasks(seed: int) -> list[int]:
    order: list[int] = []

    async def note(n: int) -> None:
        await asyncio.sleep(0)
        order.append(n)

    async def story() -> None:
        async with asyncio.TaskGroup() as tasks:
            for n in range(5):
                tasks.create_task(note(n))

    run_seeded(seed, story)
    return order


def test_the_seed_alone_decides_who_runs_next() -> None:
    orders = [order_of_tasks(seed) for seed in range(20)]
    assert orders == [order_of_tasks(seed) for seed in range(20)]
    assert len({tuple(order) for order in orders}) > 10


def test_time_of_the_seeded_loop_jumps_to_what_is_due() -> None:
    async def a_year() -> float:
        await asyncio.sleep(365 * 86400)
        return asyncio.get_running_loop().time()

    assert run_seeded(1, a_year) == 365 * 86400


def test_the_seeded_loop_says_stuck_where_nothing_can_come_any_more() -> None:
    async def wait_for_ever() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Stuck):
        run_seeded(1, wait_for_ever)
