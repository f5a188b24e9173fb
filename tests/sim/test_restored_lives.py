"""Random lives of several store jobs around restores of their stream: what any of them archived, a load of all publishes once.

A failing seed replays: LIVES=polls/17 or LIVES=once/17 with `make test ARGS=tests/sim/test_restored_lives.py`.
"""

from __future__ import annotations

import os

import pytest

from nats3.work import pieces
from tests.sim.restored_world import history

COUNT = int(os.environ.get("LIVES_COUNT", "25"))
KINDS = {"once": False, "polls": True}


def lives():
    kind, _, seed = os.environ.get("LIVES", "").partition("/")
    if kind in KINDS:
        return [(kind, range(int(seed), int(seed) + 1))]
    return [(kind, range(COUNT)) for kind in KINDS]


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("kind", "seeds"), lives())
def test_what_any_job_archived_of_a_restored_stream_is_published_once(kind, seeds):
    wrong = {seed: found for seed in seeds if (found := history(seed, polls=KINDS[kind]))}
    assert wrong == {}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_without_the_rule_some_life_goes_wrong(monkeypatch):
    monkeypatch.setattr(
        pieces, "_may_share", lambda one, other: one.job_id != other.job_id and one.created == other.created
    )
    assert any(history(seed, polls=polls) for seed in range(40) for polls in KINDS.values()), "not caught"
