"""The sample of the rows that runs with all other tests; `make faults` plays the rest. The checker itself is tested here too."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from tests.faults import matrix
from tests.faults.play import play
from tests.faults.registry import ROWS, Row
from tests.faults.servers import Servers

SEED = int(os.environ["FAULTS_SEED"])
SAMPLE = [each for each in ROWS.values() if each.sample]


class Runs(Protocol):
    """The thread that owns the session's servers (tests/conftest.py)."""

    def run(self, work: object) -> object: ...


@pytest.fixture(scope="module")
def servers(keeper: Runs, session_directory: Path) -> Iterator[Servers]:
    """NATS, Postgres and S3 that rows may kill: not those that other tests use."""
    made = Servers.below(session_directory / "faults")
    keeper.run(made.start())
    yield made
    keeper.run(made.stop())


@pytest.mark.slow
@pytest.mark.timeout(150)  # a row says itself how long it may take; the longest of the sample is below this
@pytest.mark.parametrize("each", SAMPLE, ids=lambda each: each.name)
def test_row(each: Row, keeper: Runs, servers: Servers, server_directory: Path) -> None:
    print(f"seed {SEED} (again with FAULTS_SEED={SEED})")
    keeper.run(play(each, servers, server_directory, SEED))


def test_every_line_of_the_matrix_is_played_or_says_why_not() -> None:
    played = {number for each in ROWS.values() for number in each.covers} | set(matrix.JUDGED_BY)
    assert set(matrix.MATRIX) == {f"F{n:02}" for n in range(1, 73)}
    assert played | set(matrix.NOT_YET) == set(matrix.MATRIX)
    assert played & set(matrix.NOT_YET) == set(), "played, and yet it says why it is not"


def test_the_tests_that_judge_a_line_are_there() -> None:
    root = Path(__file__).parents[2]
    assert [name for names in matrix.JUDGED_BY.values() for name in names if not (root / name).exists()] == []
