"""Random lives of a load job: the real worker in a world of faults. Every selected message arrives once and in order.
And for every rule that keeps it so: without the rule, some life goes wrong.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace

import pytest

from actors.testing import run_seeded
from nats3 import selection, transform
from nats3.jetstream.memory_publisher import MemoryPublisher
from nats3.job.loading import LoadCompleted
from nats3.message import Batch
from nats3.work import load_worker, outgoing, pieces, ranged, sent, target
from tests.sim.load_world import RUN, World, history

MODES = ("auto", "exclusive", "atomic", "polling")
COUNT = int(os.environ.get("LIVES_COUNT", "200"))


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("mode", MODES)
def test_every_selected_message_arrives_once_and_in_order(mode):
    wrong = {seed: found for seed in range(COUNT) if (found := history(seed, mode))}
    assert wrong == {}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_same_where_every_chunk_is_read_in_parts(monkeypatch):
    monkeypatch.setattr(ranged, "WHOLE_BYTES", 0)
    wrong = {(seed, mode): found for seed in range(40) for mode in MODES if (found := history(seed, mode))}
    assert wrong == {}


def test_what_a_refusal_left_out_is_published_and_what_it_let_through_is_not_published_again(monkeypatch):
    """Behind a refused message others are stored: the target then has ours with holes between them."""
    monkeypatch.setattr(outgoing, "require_taken", lambda *_: None)  # as where the target is changed meanwhile
    world = World(1, "auto")
    world.order = replace(world.order, read_subject=">", write_subject=None, limit=None, delete_chunks=False)
    world.jet.delete_stream("T")
    target = world.jet.make_stream("T", ["s.0", "s.1"])

    async def live_on():
        world.archive()
        await world.start()
        await asyncio.sleep(30)
        held_back = [message[0] for message in world.messages if message[2] == b"s.2"]
        assert held_back
        world.jet.advance(600 * 1_000_000_000)  # the target has forgotten every id
        target.config = {**target.config, "subjects": ["s.>"]}
        await asyncio.sleep(60)
        for node in world.nodes:
            await node.end()

    run_seeded(1, live_on)
    got = sorted(int(message.payload) for message in target.messages.values())
    assert got == [message[0] for message in world.messages]


def _without_id(self, life, seq, time_ns):
    del self, life, time_ns
    return b"Nats3-Sequence: %d\r\n" % seq


async def _nothing_is_present(*_):
    return {}


def _all_that_was_sent(self, *_):
    settled = list(self._parts)
    return settled, sent.Reached(settled[-1].rank, settled[-1].reaches, sent._messages(settled)) if settled else None


def _first_source_only(rank, heads, limit):
    return pieces_union(rank, heads[:1], limit)


pieces_union = pieces._union


async def _nothing_lost(*_):
    return None


async def _nothing_held(*_):
    return Batch()


async def _ignore_marker(self, bound):
    self._marked_at = (await self._target.marked(self.state, bound)).at


def _last_that_matches(self, archived):
    return self.each[-1].apply(archived)


def _limit_of_this_activation(self, state):
    return pieces_of(self, replace(state, published=0))


pieces_of = pieces.Reader.pieces


PLANTED = {
    "count the limit anew in each activation": (pieces.Reader, "pieces", _limit_of_this_activation),
    "select whatever the headers are": (selection.Selection, "_by_header", lambda _, batch: batch),
    "select whatever the time is": (selection.Selection, "_by_time", lambda _, batch: batch),
    "select whatever the seq is": (selection.Selection, "_by_seq", lambda _, batch: batch),
    "publish on the archived subject": (outgoing.Dresser, "subjects_of", lambda _, archived: archived),
    "let any transform that matches decide": (transform.Transforms, "apply", _last_that_matches),
    "believe the record and not the marker": (load_worker.LoadWorker, "_believe_marker", _ignore_marker),
    "publish without a message id": (outgoing.Dresser, "_lines", _without_id),
    "believe the record and not the target": (target.Target, "present", _nothing_is_present),
    "believe the record once nothing is left": (load_worker.LoadWorker, "_lost_again", _nothing_lost),
    "record what was sent as if it were acknowledged": (sent.Line, "acknowledged", _all_that_was_sent),
    "forget what deleted chunks held": (pieces.Reader, "_recall", _nothing_held),
    "read one of several jobs that kept a life": (pieces, "_union", _first_source_only),
}


RARE = {
    "believe the record once nothing is left": ("polling",),
    "believe the record and not the target": ("auto",),
}
"""Faults that only lives of these modes can meet, and few of them do."""


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", PLANTED)
def test_without_the_rule_some_life_goes_wrong(fault, monkeypatch):
    where, name, planted = PLANTED[fault]
    monkeypatch.setattr(where, name, planted)
    modes = RARE.get(fault, MODES)
    lives = ((seed, mode) for seed in range(4000 // len(modes)) for mode in modes)
    assert any(_goes_wrong(seed, mode) for seed, mode in lives), "planted and not caught"


def _goes_wrong(seed, mode):
    try:
        return bool(history(seed, mode))
    except Exception:  # noqa: BLE001 - a world that breaks is caught as well
        return True


def test_a_load_is_complete_only_after_all_its_acknowledgements_were_waited_for(monkeypatch):
    """The publisher in memory waits for them within each `send` as well: those waits do not count."""
    world, waited, sending = World(3, "auto"), [], []
    send, drain = MemoryPublisher.send, MemoryPublisher.drain

    async def sent(self, *messages):
        sending.append(True)
        await send(self, *messages)
        sending.pop()

    async def drained(self):
        await drain(self)
        if not sending:
            waited.append(any(isinstance(event, LoadCompleted) for event in world.log.events(RUN)))

    monkeypatch.setattr(MemoryPublisher, "send", sent)
    monkeypatch.setattr(MemoryPublisher, "drain", drained)

    async def live_on():
        world.archive()
        await world.start()
        await asyncio.sleep(30)
        await world.nodes[-1].end()

    run_seeded(1, live_on)
    assert any(isinstance(event, LoadCompleted) for event in world.log.events(RUN))
    assert waited == [False]
