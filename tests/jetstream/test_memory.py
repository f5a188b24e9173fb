"""The faults that the memory server plays, which a real one shows only with a power switch."""

from __future__ import annotations

import pytest

from nats3.errors import Unavailable
from nats3.jetstream.errors import MustBind, Reason
from nats3.jetstream.memory import MemoryJetStream
from nats3.jetstream.source import Source
from tests.contract.jetstream_contract import ROOM, publish, read
from tests.jetstream.worlds import MemoryWorld


@pytest.fixture
async def world() -> MemoryWorld:
    world = MemoryWorld(MemoryJetStream())
    await world.make_stream()
    return world


async def ended(source: Source) -> Reason:
    with pytest.raises(MustBind) as must:
        await source.receive()
    return must.value.reason


async def test_a_power_loss_keeps_created_and_gives_seqs_out_again(world: MemoryWorld) -> None:
    await world.fill(5)
    before = await world.js.streams.info(world.name)
    world.server.roll_back(world.name, 3)
    await world.publish(world.name, b"another four")
    info = await world.js.streams.info(world.name)
    assert (info.created, info.last) == (before.created, 4)
    message = await world.js.streams.message(world.name, 4)
    assert message is not None
    assert message.payload == b"another four"


async def test_a_restore_is_another_life_without_the_old_consumers(world: MemoryWorld) -> None:
    await world.fill(2)
    source = await world.consume()
    before = await world.js.streams.info(world.name)
    world.server.restore(world.name)
    assert (await world.js.streams.info(world.name)).created > before.created
    assert await world.js.streams.consumers(world.name) == []
    assert await ended(source) is Reason.CONSUMER_DELETED


async def test_a_disconnect_ends_everything_that_was_open_and_a_reconnect_starts_nothing(world: MemoryWorld) -> None:
    source, publisher = await world.consume(), world.js.publisher(world.name)
    world.server.disconnect()
    assert await ended(source) is Reason.CONNECTION_LOST
    with pytest.raises(MustBind):
        await publish(publisher, world, 1)
    with pytest.raises(Unavailable):
        await world.js.streams.info(world.name)
    with pytest.raises(Unavailable):
        world.js.publisher(world.name)
    world.server.reconnect()
    await world.js.wait_connected()
    assert (await world.js.streams.info(world.name)).last == 0
    assert await ended(source) is Reason.CONNECTION_LOST


async def test_what_is_not_acknowledged_comes_again_and_apart(world: MemoryWorld) -> None:
    await world.fill(4)
    source = await world.consume()
    await read(source, 4)
    await source.ack_up_to(2)
    source.ask(10, ROOM)
    world.server.redeliver(world.name, "c")
    delivered = await source.receive()
    assert (delivered.batch.seqs, delivered.again.seqs) == ([], [3, 4])


async def test_a_consumer_starts_over_where_it_was_not_acknowledged_only_by_a_new_consumer(world: MemoryWorld) -> None:
    await world.fill(3)
    source = await world.consume()
    await read(source, 2)
    await source.close()
    assert [message.seq for message in await read(await world.consume("next", start_seq=2), 2)] == [2, 3]


async def test_ids_are_forgotten_after_the_window_and_messages_after_their_age(world: MemoryWorld) -> None:
    await world.make_stream(max_age=10**9, duplicate_window=5 * 10**8)
    for duplicates in (0, 1, 0):
        publisher = world.js.publisher(world.name)
        await publish(publisher, world, 1)
        assert publisher.duplicates == duplicates
        world.server.advance(3 * 10**8)
    world.server.advance(10**9)
    assert await world.seqs() == []


async def test_one_message_per_subject_keeps_the_newest(world: MemoryWorld) -> None:
    await world.make_stream(max_msgs_per_subject=1)
    await world.fill(6)
    assert await world.seqs() == [4, 5, 6]
