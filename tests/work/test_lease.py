"""A node's own belief in its lease ends before the database's does, whenever the answers come."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nats3.work import lease as leases
from nats3.work.lease import LEASE_S, MARGIN_S, RENEW_S, NodeLease, keep


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 30), st.booleans()), max_size=8), st.floats(0, 30))
def test_it_ends_at_least_a_second_sooner(renewals: list[tuple[float, float, bool]], later: float) -> None:
    """The database grants LEASE_S from when a renewal reaches it, at the soonest when it was begun."""
    clock, granted_until = Clock(), 0.0
    lease = NodeLease(clock)
    for before, takes, answered in renewals:
        clock.now += before
        begun = clock.now
        clock.now += takes
        if answered:
            lease.renewed(begun)
            granted_until = begun + LEASE_S
    clock.now += later
    assert not lease.valid() or clock.now + 1.0 < granted_until


def test_a_lease_that_was_never_renewed_is_none() -> None:
    assert not NodeLease(Clock()).valid()


def test_its_age_is_that_of_the_last_renewal() -> None:
    clock = Clock()
    lease = NodeLease(clock)
    assert lease.age_s() is None
    lease.renewed(2.0)
    clock.now = 5.5
    assert lease.age_s() == 3.5


def test_two_renewals_may_be_lost() -> None:
    assert LEASE_S - MARGIN_S > 2 * RENEW_S


def test_it_is_over_while_the_database_still_grants_it() -> None:
    clock = Clock()
    lease = NodeLease(clock)
    lease.renewed(0.0)
    for now, valid in ((0.0, True), (RENEW_S, True), (LEASE_S - 1.0, False), (LEASE_S, False)):
        clock.now = now
        assert lease.valid() is valid


class Lessee:
    """Grants every renewal but the second, and lets the node's clock jump over its lease before the fourth is answered."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.renewals = 0
        self.enough = asyncio.Event()

    async def register(self, name: str, lease: float = LEASE_S) -> object:
        return (name, lease)

    async def renew(self) -> bool:
        self.renewals += 1
        if self.renewals == 4:
            self.clock.now += LEASE_S
        if self.renewals == 8:
            self.enough.set()
        return self.renewals != 2


async def test_placement_is_woken_by_the_renewals_that_let_the_node_act_again_and_by_no_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(leases, "RENEW_S", 0.001)
    clock, kept = Clock(), list[int]()
    lessee, lease = Lessee(clock), NodeLease(clock)

    async def lost() -> None:
        return

    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        keeping = tasks.create_task(keep(lessee, "node", lease, kept=lambda: kept.append(lessee.renewals), lost=lost))
        await lessee.enough.wait()
        keeping.cancel()
    assert kept == [0, 2, 5]
