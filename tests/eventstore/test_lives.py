from __future__ import annotations

import pytest

from tests.eventstore.lives import play

LIVES = 1200
SHARES = 4


@pytest.mark.parametrize("share", range(SHARES))
def test_no_random_life_breaks_the_log(share: int) -> None:
    events = [play(seed) for seed in range(share, LIVES, SHARES)]
    # The lives are worth something: most of them wrote.
    assert sum(count > 1 for count in events) > len(events) / 2


def test_a_seed_tells_the_same_life_every_time() -> None:
    assert [play(seed) for seed in range(40)] == [play(seed) for seed in range(40)]
