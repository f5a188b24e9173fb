"""A few seconds of what `python -m tests.fuzz` does for longer."""

from __future__ import annotations

import pytest

from tests.fuzz.__main__ import MISSING, NAMES, apart, available
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_no_seed_finds_a_bug(name: str) -> None:
    for seed in TARGETS[name].seeds:
        TARGETS[name].run(seed)


def test_every_target_is_named() -> None:
    assert tuple(TARGETS) == NAMES


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.skipif(not available(), reason=MISSING)
@pytest.mark.parametrize("name", NAMES)
def test_nothing_but_named_errors_comes_out_of_bytes_from_outside(name: str) -> None:
    withstood, said = apart(name, 1)
    assert withstood, said[-3000:]
