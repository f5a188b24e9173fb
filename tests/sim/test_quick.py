"""A process that only lives histories takes short cuts. Each history in it is the one that it is without them."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from tests.sim.kinds import ROUND, kind_of, wrong
from tests.sim.quick import hasten


def _told(number: int) -> tuple[list[str], list[str]]:
    lines: list[str] = []
    found = wrong(kind_of(number), number, lambda *said: lines.extend(said))
    return found, lines


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_hastened_process_lives_the_same_histories():
    numbers = range(3 * ROUND)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=hasten) as pool:
        hastened = list(pool.map(_told, numbers))
    assert hastened == [_told(number) for number in numbers]
    assert sum(len(lines) for _, lines in hastened) > 10 * len(numbers)
