"""Random lives of three offices over one log: one writer per run, and every run has one. Without the rule, some life goes wrong."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from actors.testing import run_seeded
from nats3.work.claiming import Taking
from nats3.work.lease import NodeLease
from nats3.work.load_worker import LoadWorker
from nats3.work.run import Claimed
from nats3.work.tools import Tools
from tests.sim import load_world
from tests.sim.lease_world import history


async def _keeps_quiet(*_: object) -> None:
    return None


def _always(_: NodeLease) -> bool:
    return True


PLANTED = {
    "what was taken without our hearing is left to nobody": (Taking, "_give_back", _keeps_quiet),
    "a node believes in its lease for ever": (NodeLease, "valid", _always),
}


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_every_run_has_one_writer() -> None:
    assert {seed: found for seed in range(40) if (found := history(seed))} == {}


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("fault", PLANTED)
def test_without_the_rule_some_life_goes_wrong(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    where, name, planted = PLANTED[fault]
    monkeypatch.setattr(where, name, planted)
    assert any(history(seed) for seed in range(100)), "not caught"


class Ended:
    """A lease that ran out before anything was published."""

    def valid(self) -> bool:
        return False


def test_a_load_on_a_node_whose_lease_is_over_publishes_nothing() -> None:
    world = load_world.World(3, "auto")
    kept = world.start

    async def live() -> int:
        world.archive()
        await kept()
        await asyncio.sleep(30)
        await world.nodes[-1].end()
        return len(world.jet.all["T"].messages)

    def worker(claimed: Claimed, journal: object, tools: Tools) -> LoadWorker:
        return LoadWorker(claimed, world.order, journal, replace(tools, lease=Ended()), generation=1, attempt=1)  # type: ignore[arg-type]

    assert run_seeded(1, live) > 0
    world = load_world.World(3, "auto")
    kept = world.start
    world._worker = worker
    assert run_seeded(1, live) == 0
