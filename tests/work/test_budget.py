"""One budget for all jobs: nobody is starved, nobody takes more than there is."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nats3.work.budget import Account, Budget

MIB = 1 << 20


def test_one_job_alone_has_at_most_a_half():
    account = Budget(100).account("a")
    assert (account.take(80), account.held, account.take(1)) == (50, 50, 0)


def test_what_was_given_back_can_be_taken_again():
    account = Budget(100).account("a")
    account.take(50)
    account.give(20)
    assert account.take(30) == 20


def test_less_than_the_least_is_nothing():
    budget = Budget(100)
    budget.account("a").take(50)
    budget.account("b").hold(40)
    assert budget.account("c").take(20, least=11) == 0
    assert budget.account("d").take(20, least=10) == 10


async def waits(account: Account, size: int) -> None:
    """Ask, and be told at once that there is nothing."""
    with suppress(TimeoutError):
        async with asyncio.timeout(0):
            await account.obtain(size)


def holding(budget: Budget, name: str, open_bytes: int, under_way: int, flushed: list[str]) -> Account:
    account = budget.account(name, lambda: flushed.append(name))
    account.hold(open_bytes + under_way)
    account.open_bytes = open_bytes
    return account


async def test_when_somebody_is_short_the_largest_open_chunk_is_flushed():
    flushed: list[str] = []
    budget = Budget(100)
    for name, size in (("small", 20), ("large", 45), ("other", 34)):
        holding(budget, name, size, 0, flushed)
    await waits(budget.account("hungry"), 10)
    assert flushed == ["large"]


async def test_nothing_is_flushed_while_enough_is_on_its_way_to_the_bucket():
    flushed: list[str] = []
    budget = Budget(100)
    holding(budget, "a", 45, 0, flushed)
    other = holding(budget, "b", 10, 45, flushed)
    async with asyncio.TaskGroup() as tasks:
        hungry = tasks.create_task(waits_long(budget.account("hungry"), 40))
        await asyncio.sleep(0)
        assert flushed == []
        other.give(30)  # not enough for the hungry, and little is on its way now
        assert flushed == ["a"]
        hungry.cancel()


async def waits_long(account: Account, size: int) -> None:
    await account.obtain(size)


async def test_who_has_only_an_open_chunk_and_wants_more_than_a_job_may_have_lets_it_go():
    flushed: list[str] = []
    budget = Budget(100)
    account = holding(budget, "a", 20, 0, flushed)
    await waits(account, 40)
    assert flushed == ["a"]
    account.hold(5)  # something is on its way: that comes back first
    await waits(account, 40)
    assert flushed == ["a"]


async def test_who_waits_is_served_in_turn_once_memory_comes_back():
    budget = Budget(100)
    first, second = budget.account("a"), budget.account("b")
    first.take(50)
    second.take(50)
    served: list[str] = []

    async def wait(name: str, size: int) -> None:
        with budget.account(name) as account:
            await account.obtain(size)
            served.append(name)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(wait("c", 30))
        tasks.create_task(wait("d", 10))
        await asyncio.sleep(0)
        second.give(20)  # enough for d, but c came first
        await asyncio.sleep(0)
        assert served == []
        second.give(10)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        second.give(20)
    assert served == ["c", "d"]


async def test_while_others_wait_nobody_takes_more_than_his_share():
    budget = Budget(100)
    hog, modest, waiting = (budget.account(name) for name in "abc")
    hog.hold(50)
    modest.hold(1)
    async with asyncio.TaskGroup() as tasks:
        turn = tasks.create_task(waiting.obtain(50))
        await asyncio.sleep(0)
        assert hog.take(5) == 0
        assert modest.take(5) == 5
        hog.give(20)
    assert turn.result() == 50


async def test_a_wait_that_is_cancelled_keeps_nothing():
    budget = Budget(100)
    hog, other = budget.account("a"), budget.account("b")
    hog.hold(100)
    with suppress(TimeoutError):
        async with asyncio.timeout(0):
            await other.obtain(10)
    hog.give(100)
    assert (other.held, budget.held, hog.take(50)) == (0, 0, 50)


async def test_a_wait_that_is_cancelled_in_the_moment_it_is_served_keeps_nothing():
    budget = Budget(100)
    hog, other = budget.account("a"), budget.account("b")
    hog.hold(100)
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(other.obtain(10))
        await asyncio.sleep(0)
        hog.give(100)
        waiting.cancel()
    assert (other.held, budget.held) == (0, 0)


async def test_more_than_one_job_may_have_waits_until_it_has_nothing_else():
    budget = Budget(100)
    account = budget.account("a")
    account.take(10)
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(account.obtain(70))
        await asyncio.sleep(0)
        assert not waiting.done()
        account.give(10)
    assert waiting.result() == 50


def test_a_closed_account_holds_nothing():
    budget = Budget(100)
    with budget.account("a") as account:
        account.take(50)
    assert (budget.held, budget.share) == (0, 50)


@pytest.mark.parametrize("jobs", [1, 2, 100])
def test_the_share_of_a_job_is_what_all_can_have_at_once(jobs):
    budget = Budget(256 * MIB)
    accounts = [budget.account(str(number)) for number in range(jobs)]
    assert all(account.take(budget.share, budget.share) for account in accounts)


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["take", "give"]), st.integers(1, 60)), max_size=60))
def test_whatever_jobs_do_they_never_take_more_than_there_is(steps):
    budget = Budget(100)
    accounts = [budget.account(str(number)) for number in range(5)]
    for who, what, size in steps:
        account = accounts[who]
        if what == "take":
            account.take(size)
        else:
            account.give(min(size, account.held))
        assert budget.held == sum(each.held for each in accounts) <= 100
        assert all(0 <= each.held <= 50 for each in accounts)
