"""After a random life nothing is left but the bucket: the index that is made of it has every chunk that was recorded, in
the same order, and none twice. And for every rule that makes it so: without the rule, some life is told wrongly.
"""

from __future__ import annotations

import os

import pytest

from nats3.job import rebuilding
from tests.sim.rebuild_world import history

RETENTIONS = ("limits", "interest", "workqueue")
COUNT = int(os.environ.get("LIVES_COUNT", "12"))


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("retention", RETENTIONS)
def test_the_bucket_alone_tells_what_was_recorded(retention):
    wrong = {seed: found for seed in range(COUNT) if (found := history(seed, retention)[0])}
    assert wrong == {}


def _the_first_that_links(linked, ahead, chains):
    return min(linked, key=lambda each: each.rank)


def _who_wrote_last(linked, ahead, chains):
    return max(linked, key=lambda each: each.rank)


def _every_object_in_its_turn(state, window):
    return min(window, key=lambda each: each.first, default=None)


PLANTED = {
    "believe the first of several that link": ("_history", _the_first_that_links),
    "believe who wrote last, whatever was built on": ("_history", _who_wrote_last),
    "ask for no link": ("next_found", _every_object_in_its_turn),
}


FIRST = {"believe who wrote last, whatever was built on": 180}
"""Of rare faults: no life before meets them."""


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", PLANTED)
def test_without_the_rule_some_life_is_told_wrongly(fault, monkeypatch):
    name, planted = PLANTED[fault]
    monkeypatch.setattr(rebuilding, name, planted)
    if name == "next_found":
        monkeypatch.setattr("nats3.work.rebuild.next_found", planted)
    seeds = range(FIRST.get(fault, 0), 400)
    assert any(_goes_wrong(seed, retention) for seed in seeds for retention in RETENTIONS), "not caught"


def _goes_wrong(seed, retention):
    try:
        return bool(history(seed, retention, {"hurt_log": 0.2})[0])
    except Exception:  # noqa: BLE001 - a world that breaks is caught as well
        return True
