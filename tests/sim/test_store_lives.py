"""Random lives of a store job: the real worker in a world of faults. Every published message is archived once, or its
absence is on record. And for every rule that keeps it so: without the rule, some life goes wrong.

A failing seed replays: LIVES=limits/17 make test ARGS=tests/sim
"""

from __future__ import annotations

import asyncio
import os

import pytest

from actors.testing import MemoryJournal
from nats3.job import storing
from nats3.work import adopt, bind, drops, identity, own_consumer, shipping, store_flow, stragglers, sweeper
from tests.sim.store_world import history

RETENTIONS = ("limits", "interest", "workqueue")
COUNT = int(os.environ.get("LIVES_COUNT", "120"))


def lives():
    chosen = os.environ.get("LIVES")
    if chosen:
        retention, _, seed = chosen.partition("/")
        return [(retention, range(int(seed), int(seed) + 1))]
    return [(retention, range(COUNT)) for retention in RETENTIONS]


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("retention", "seeds"), lives())
def test_every_message_is_archived_once_or_its_absence_is_on_record(retention, seeds):
    wrong = {seed: found for seed in seeds if (found := history(seed, retention))}
    assert wrong == {}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("named", [True, False], ids=["named", "too many to be named"])
@pytest.mark.parametrize("retention", RETENTIONS)
def test_a_job_that_wants_a_part_archives_it_once_or_says_that_some_may_be_missing(retention, named, monkeypatch):
    if not named:
        monkeypatch.setattr(drops, "_NAMED", 0)
    seeds = range(COUNT // 4) if named else range(COUNT // 4, COUNT // 2)
    wrong = {seed: found for seed in seeds if (found := history(seed, retention, filtered=True))}
    assert wrong == {}


async def _acknowledge_first(self, shipped):
    await self._acknowledge(shipped)
    for each in shipped:
        await each.stored
    await self._run.emit(*map(self._event, shipped))
    await self._report(shipped, [], (0.0, 0.0))


async def _record_before_stored(self, shipped):
    await self._run.emit(*map(self._event, shipped))
    await self._acknowledge(shipped)
    for each in shipped:
        await each.stored
    await self._report(shipped, [], (0.0, 0.0))


async def _nothing(*_):
    return None


async def _no_gap(*_):
    return []


def _write_without_fence(self, expected, events):
    self._entity.events.extend(events)
    self._entity.fences.extend([self.fence] * len(events))


async def _older_first(self, info):
    spec = self._spec(info)
    consumer = bind.OwnConsumer(self._streams, spec)
    await consumer.delete_older()
    await consumer.make()
    source = self._tools.nats.source(self._order.stream, spec.name, spec.ack)
    return bind.Bound(info, consumer, source, self._bind, bind._filtered(self._order, info), spec.ack == "explicit")


FILTERED = {
    "never look at what may be missing of a part",
    "believe that nothing is missing in what is adopted of a part",
}
MORE = {
    "ignore what the bucket has ahead of the log": {"lose_commits": 0.03},
    "take a present message in a gap for a restored one": {"roll_back": 0.05, "purge": 0.03, "expire": 0.05},
}
"""Some rules matter only in rare weather: there it rains more often."""


async def _by_listing(self, grace_s):
    """Whatever lies in the bucket and is not recorded now."""
    async for page in self._objects.list("b", ""):
        await self._index.fresh()
        recorded = await self._index.recorded("b", [listed.key for listed in page])
        await asyncio.sleep(0.3)
        for listed in page:
            if listed.key not in recorded:
                await self._objects.delete("b", listed.key)
    return 0


async def _look_nowhere(self, rest):
    return 0


PLANTED = {
    "sweep what a listing shows": (sweeper.Sweeper, "sweep", _by_listing),
    "never list what lies behind the log": (stragglers.Stragglers, "look", _look_nowhere),
    "acknowledge before the chunk is recorded": (store_flow.StoreFlow, "settle", _acknowledge_first),
    "record before the chunk is stored": (store_flow.StoreFlow, "settle", _record_before_stored),
    "ignore what the bucket has ahead of the log": (adopt.Adoption, "run", _nothing),
    "adopt objects that do not link": (
        storing,
        "links",
        lambda state, candidate: state.life is not None and candidate.opening.uuid == state.life.uuid,
    ),
    "believe that the stream is the same": (bind, "goes_on", lambda *_: True),
    "record no gap at a bind": (bind, "gap_before_first", lambda *_: None),
    "record no gap while running": (shipping, "gaps_within", lambda *_: ()),
    "delete the older consumer of an interest stream first": (bind.Binder, "_consume", _older_first),
    "believe whatever the consumer gives": (own_consumer.OwnConsumer, "_judge", lambda *_: None),
    "never look at what may be missing of a part": (drops.Drops, "over", _no_gap),
    "believe that nothing is missing in what is adopted of a part": (adopt, "unlooked_gap", lambda *_: None),
    "write without fence and version": (MemoryJournal, "_write", _write_without_fence),
    "take a present message in a gap for a restored one": (identity.Identity, "_newest_archived", None),
}


async def _skip_unknown(self, first, top):
    life = self._state.lives[-1]
    while (present := await self._last_present(first, top)) is not None:
        equal = await self._equal(life, present)
        if equal is not None:
            return present.seq, equal
        top = present.seq - 1
    return None, None


FIRST = {
    "take a present message in a gap for a restored one": 80,
    "record no gap at a bind": 60,
    "believe that nothing is missing in what is adopted of a part": 30,
}
"""Of rare faults: no life before meets them."""


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", PLANTED)
def test_without_the_rule_some_life_goes_wrong(fault, monkeypatch):
    where, name, planted = PLANTED[fault]
    monkeypatch.setattr(where, name, planted or _skip_unknown)
    more = MORE.get(fault)
    seeds = range(FIRST.get(fault, 0), 400)
    filtered = fault in FILTERED
    assert any(_goes_wrong(seed, retention, more, filtered) for seed in seeds for retention in RETENTIONS), "not caught"


def _goes_wrong(seed, retention, more, filtered):
    try:
        return bool(history(seed, retention, more, filtered=filtered))
    except Exception:  # noqa: BLE001 - a world that breaks is caught as well
        return True
