"""A sample of the kills, another one each time, and the tables that say that none is left out."""

from __future__ import annotations

import os
import random

import pytest

from nats3.failpoint import PLACES
from tests.faults import kills
from tests.faults.scenes import SCENES

SHARE = 0.03
SEED = int(os.environ["KILLS_SEED"])


def test_every_failpoint_is_played_with_every_action() -> None:
    played = {(strike.place, strike.action) for _, strikes in kills.planned(random.Random(1), 1) for strike in strikes}
    assert played == {(place, action) for place in PLACES for action in kills.ACTIONS}


def test_a_whole_run_has_a_thousand_strikes_and_more() -> None:
    assert sum(len(strikes) for _, strikes in kills.planned(random.Random(1), kills.ROUNDS)) >= 1000


def test_a_sample_is_its_share_of_a_whole_run_over_several_scenes() -> None:
    drawn = kills.sample(random.Random(2), SHARE)
    whole = sum(len(strikes) for _, strikes in kills.planned(random.Random(2), kills.ROUNDS))
    assert SHARE * whole - 4 <= sum(len(strikes) for _, strikes in drawn) <= SHARE * whole + 4
    assert len({name for name, _ in drawn}) == 4
    assert {name for name, _ in drawn} <= set(SCENES)


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_nothing_is_lost_or_doubled_over_a_sample_of_kills() -> None:
    """On servers of its own, which no other test shares."""
    print(f"seed {SEED} (again with KILLS_SEED={SEED})")
    tally = await kills.run(kills.sample(random.Random(SEED), SHARE), SEED, print)
    print(kills.told(tally))
    assert tally.failures == []
    assert tally.total > 0
