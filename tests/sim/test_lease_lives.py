"""Random lives of three offices over one log: one writer per run, and every run has one. Without the rule, some life goes wrong."""

from __future__ import annotations

import pytest

from nats3.work.claiming import Taking
from nats3.work.lease import NodeLease
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
