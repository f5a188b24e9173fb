"""The look that a store job takes at its consumer: one request where all is as it should be, and a second where that says too little."""

from __future__ import annotations

import pytest

from nats3.jetstream.errors import MustBind, Reason
from nats3.jetstream.memory import MemoryJetStream, MemoryStreams
from nats3.jetstream.streams import ConsumerInfo, ConsumerSpec
from nats3.work.own_consumer import OwnConsumer, marks


async def made(jet: MemoryJetStream) -> OwnConsumer:
    jet.make_stream("S", ["s.>"])
    consumer = OwnConsumer(jet.streams, ConsumerSpec("S", "ours", "", 1, "all", 60.0, None, marks("job", 1, 1)))
    await consumer.make()
    return consumer


async def test_a_consumer_that_is_gone_is_missed() -> None:
    jet = MemoryJetStream()
    consumer = await made(jet)
    await consumer.look()
    await jet.streams.delete_consumer("S", "ours")
    with pytest.raises(MustBind) as must:
        await consumer.look()
    assert must.value.reason is Reason.CONSUMER_DELETED


async def test_a_consumer_that_the_list_leaves_out_is_asked_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """So does the list of a cluster of which a server is away."""
    consumer = await made(MemoryJetStream())

    async def nobody(_streams: MemoryStreams, _stream: str) -> list[ConsumerInfo]:
        return []

    monkeypatch.setattr(MemoryStreams, "consumers", nobody)
    await consumer.look()
