from __future__ import annotations

import pytest

from tests.actors.lives import ENTITY, play

LIVES = 2000
SHARES = 4


@pytest.mark.parametrize("share", range(SHARES))
def test_whatever_happens_the_log_has_no_hole_no_double_and_no_write_of_an_old_owner(share: int) -> None:
    worlds = [play(seed) for seed in range(share, LIVES, SHARES)]
    # The lives are worth something: work was done, and owners changed while it was.
    assert sum(len(world.acknowledged) for world in worlds) > len(worlds)
    assert sum(len(set(world.log.fences(ENTITY))) > 1 for world in worlds) > len(worlds) / 3


def test_a_seed_tells_the_same_life_every_time() -> None:
    one, other = play(7), play(7)
    assert one.log.events(ENTITY) == other.log.events(ENTITY)
    assert one.log.fences(ENTITY) == other.log.fences(ENTITY)
    assert one.acknowledged == other.acknowledged
