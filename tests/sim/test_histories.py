"""Thousands of short histories: the seed is printed, and one that goes wrong replays by the line beside it."""

from __future__ import annotations

import os

import pytest

from tests.faults.simulate import replay, simulate, told
from tests.sim.kinds import KINDS, wrong

COUNT = int(os.environ.get("HISTORIES", "5000"))
SEED = int(os.environ["HISTORIES_SEED"])


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_nothing_goes_wrong_in_five_thousand_histories() -> None:
    print(f"seed {SEED} (again with HISTORIES_SEED={SEED})")
    done = simulate(COUNT, SEED, print)
    print(told(done))
    assert done.total == COUNT
    assert set(done.counts) == set(KINDS)
    assert done.wrong == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_history_replays_line_by_line(kind: str) -> None:
    lines: list[str] = []
    assert replay(f"{kind}/8", lines.append) == []
    assert lines[-1] == f"{kind}/8: nothing is wrong"


def test_what_a_history_raises_is_wrong() -> None:
    assert wrong("no such kind", 1)[0].startswith("KeyError")
