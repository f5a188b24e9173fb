"""What nats-server does and this room relies on, measured once and held here: a new server version runs these first."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from nats3.dev.nats_server import NatsServer
from nats3.jetstream.connection import Connection
from nats3.jetstream.errors import TargetMoved
from nats3.jetstream.link import Reply
from nats3.jetstream.settings import NatsSettings
from nats3.jetstream.streams import StreamMissing
from tests.contract.jetstream_contract import publish, read
from tests.jetstream.until import frames_until_status
from tests.jetstream.worlds import RealWorld, api, wait_down

ODD = {
    "a garbage header block of 7 bytes": (b"a", b"garbage", b"1"),
    "a subject that is no UTF-8": (b"\xff\xfe", None, b"2"),
    "a subject of control bytes": (b"\x0b\x0c\x01", b"NATS/1.0\r\n\r\n", b"3"),
    "a user header Status: 404": (b"b", b"NATS/1.0\r\nStatus: 404\r\n\r\n", b""),
    "a user header that looks like a heartbeat": (
        b"b",
        b"NATS/1.0\r\nStatus: 100\r\nDescription: Idle Heartbeat\r\n\r\n",
        b"",
    ),
    "a repeated header": (b"b", b"NATS/1.0\r\nA: 1\r\nA: 2\r\na: 3\r\n\r\n", b"5"),
    "a header value of \\xff": (b"b", b"NATS/1.0\r\nA: \xff\r\n\r\n", b"6"),
    "a header block without its empty line": (b"b", b"NATS/1.0\r\nA: 1", b"7"),
    "an empty header block": (b"b", b"NATS/1.0\r\n\r\n", b"8"),
    "a header block of two line ends": (b"b", b"\r\n\r\n", b"9"),
    "a payload that looks like frames": (b"b", None, b"\r\nMSG x 1 2\r\nhi\r\n-ERR 'Stale Connection'\r\n"),
    "an empty payload": (b"b", None, b""),
}


@pytest.fixture
async def world(nats_url: str) -> AsyncIterator[RealWorld]:
    async with Connection.open(NatsSettings(nats_url), patience_s=5) as connection:
        yield RealWorld(connection)


async def raw(world: RealWorld, action: str, body: dict[str, object]) -> Reply:
    return await world.connection.request(f"$JS.API.{action}", json.dumps(body).encode())


async def pub_ack(world: RealWorld, block: bytes | None, payload: bytes = b"") -> dict[str, object]:
    reply = await world.connection.link().request(world.name.encode(), payload, 5, block)
    return json.loads(reply.payload)


async def pull_once(world: RealWorld, **limits: int) -> list[tuple[bytes | None, bytes]]:
    """Every frame that answers one raw pull request on the consumer `c`, up to its last status."""
    return await frames_until_status(world.connection.link(), f"$JS.API.CONSUMER.MSG.NEXT.{world.name}.c", limits)


async def test_odd_messages_arrive_byte_for_byte_and_the_connection_lives_on(world: RealWorld) -> None:
    await world.make_stream()
    publisher = world.js.publisher(world.name)
    subjects = [world.name.encode() + b"." + subject for subject, _, _ in ODD.values()]
    blocks, payloads = [block for _, block, _ in ODD.values()], [payload for _, _, payload in ODD.values()]
    await publisher.send(subjects, blocks, payloads)
    await publisher.drain()
    source = await world.consume()
    messages = await read(source, len(ODD))
    found = {name: message[2:] for name, message in zip(ODD, messages, strict=True)}
    assert found == {name: (subject, *rest) for subject, (name, (_, *rest)) in zip(subjects, ODD.items(), strict=True)}
    await source.ack_up_to(len(ODD))
    assert (world.connection.epoch, world.connection.connected) == (0, True)


async def test_the_largest_message_that_the_server_takes_can_be_asked_for_and_the_connection_lives_on(
    world: RealWorld,
) -> None:
    """STREAM.MSG.GET answers in base64, so that its frame is larger than max_payload."""
    await world.make_stream()
    payload = b"x" * (world.js.max_payload - 100)
    await pub_ack(world, None, payload)
    message = await world.js.streams.message(world.name, 1)
    assert message is not None
    assert message.payload == payload
    assert (world.connection.epoch, world.connection.connected) == (0, True)


async def test_times_are_those_of_the_server_to_the_nanosecond(world: RealWorld) -> None:
    await world.make_stream()
    await world.fill(50)
    messages = await read(await world.consume(), 50)
    stored = [await world.js.streams.message(world.name, seq) for seq in range(1, 51)]
    assert [message.time_ns for message in messages] == [one.time_ns for one in stored if one is not None]
    assert any(message.time_ns % 1000 for message in messages)


async def test_an_inline_status_of_a_publisher_is_taken_out_by_the_server(world: RealWorld) -> None:
    await world.make_stream()
    await world.publish(world.name, b"", b"NATS/1.0 404 No Messages\r\n\r\n")
    await world.publish(world.name, b"", b"NATS/1.0 503 Gone\r\nA: 1\r\n\r\n")
    blocks = [message.header for message in await read(await world.consume(), 2)]
    assert blocks == [None, b"NATS/1.0\r\nA: 1\r\n\r\n"]


async def test_a_pull_whose_bytes_the_next_message_does_not_fit_ends_and_says_what_it_left(world: RealWorld) -> None:
    await world.make_stream()
    await world.publish(world.name, b"x" * 1000)
    await world.js.streams.make_consumer(world.spec())
    ((header, _),) = await pull_once(world, batch=5, max_bytes=500)
    assert header is not None
    assert header.startswith(b"NATS/1.0 409 Message Size Exceeds MaxBytes\r\n")
    assert b"Nats-Pending-Messages: 5\r\nNats-Pending-Bytes: 500\r\n" in header


async def test_a_pull_with_a_limit_of_bytes_says_when_it_is_complete_and_counts_subject_reply_and_all(
    world: RealWorld,
) -> None:
    await world.make_stream()
    await world.publish(world.name, b"x" * 100, b"NATS/1.0\r\nA: 1\r\n\r\n")
    await world.js.streams.make_consumer(world.spec())
    (message, (header, _)) = await pull_once(world, batch=1, max_bytes=2000)
    assert message[1] == b"x" * 100
    assert header is not None
    assert header.startswith(b"NATS/1.0 409 Batch Completed\r\n")
    info = (await api(world.connection, f"CONSUMER.INFO.{world.name}.c"))["delivered"]
    stored = await world.js.streams.message(world.name, info["stream_seq"])
    assert stored is not None
    reply = b"$JS.ACK.%b.c.1.1.1.%d.0" % (world.name.encode(), stored.time_ns)
    left = 2000 - len(world.name) - len(reply) - len(b"NATS/1.0\r\nA: 1\r\n\r\n") - 100
    assert b"Nats-Pending-Messages: 0\r\nNats-Pending-Bytes: %d\r\n" % left in header


async def test_more_than_the_default_1000_messages_may_wait_for_their_ack(world: RealWorld) -> None:
    await world.make_stream()
    publisher = world.js.publisher(world.name)
    await publish(publisher, world, 2500)
    await publisher.drain()
    source = await world.consume()
    assert len(await read(source, 2500)) == 2500
    await source.ack_up_to(2500)
    assert (await api(world.connection, f"CONSUMER.INFO.{world.name}.c"))["num_ack_pending"] == 0


async def test_two_sources_on_inboxes_of_their_own_never_see_each_others_messages(world: RealWorld) -> None:
    await world.make_stream()
    await world.fill(20)
    one, other = await world.consume("one"), await world.consume("other", start_seq=11)
    assert [message.seq for message in await read(one, 20)] == list(range(1, 21))
    assert [message.seq for message in await read(other, 10)] == list(range(11, 21))


async def test_fast_deletes_and_creates_give_distinct_times_of_creation(world: RealWorld) -> None:
    created: set[int] = set()
    for _ in range(50):
        await world.make_stream()
        created.add((await world.js.streams.info(world.name)).created)
        await world.delete_stream()
    assert len(created) == 50


async def test_the_expected_last_seq_is_checked_before_the_message_id(world: RealWorld) -> None:
    await world.make_stream()
    await pub_ack(world, b"NATS/1.0\r\nNats-Msg-Id: a\r\n\r\n")
    known = await pub_ack(world, b"NATS/1.0\r\nNats-Msg-Id: a\r\nNats-Expected-Last-Sequence: 0\r\n\r\n")
    assert known["error"]["err_code"] == 10071  # type: ignore[index]
    assert (await pub_ack(world, b"NATS/1.0\r\nNats-Msg-Id: a\r\nNats-Expected-Last-Sequence: 1\r\n\r\n"))["duplicate"]


async def test_a_seq_alone_lets_our_later_messages_slip_in_behind_a_strangers(world: RealWorld) -> None:
    await world.make_stream()
    await world.publish(world.name, b"a stranger's")
    first = await pub_ack(world, b"NATS/1.0\r\nNats-Expected-Last-Sequence: 0\r\n\r\n")
    second = await pub_ack(world, b"NATS/1.0\r\nNats-Expected-Last-Sequence: 1\r\n\r\n")
    assert (first["error"]["err_code"], second["seq"]) == (10071, 2)  # type: ignore[index]


async def test_exclusive_publishing_lets_none_slip_in(world: RealWorld) -> None:
    await world.make_stream()
    await world.publish(world.name, b"a stranger's")
    publisher = world.js.publisher(world.name, expect_last=0)
    await publish(publisher, world, 100)
    with pytest.raises(TargetMoved):
        await publisher.drain()
    assert await world.seqs() == [1]


async def test_the_next_message_of_several_subjects_can_not_be_asked_for_at_once(world: RealWorld) -> None:
    await world.make_stream()
    await world.publish(f"{world.name}.a")
    comma = {"seq": 1, "next_by_subj": f"{world.name}.a,{world.name}.b"}
    assert json.loads((await raw(world, f"STREAM.MSG.GET.{world.name}", comma)).payload)["error"]["code"] == 404
    several: dict[str, object] = {"seq": 1, "next_by_subj": [f"{world.name}.a"]}
    assert "error" in json.loads((await raw(world, f"STREAM.MSG.GET.{world.name}", several)).payload)


async def test_message_ids_survive_a_kill_and_a_memory_stream_does_not(fresh_nats: NatsServer) -> None:
    async with Connection.open(NatsSettings(fresh_nats.url), patience_s=5) as connection:
        world, memory = RealWorld(connection), RealWorld(connection)
        await world.make_stream(storage="file")
        await memory.make_stream(storage="memory")
        before = (await world.js.streams.info(world.name)).created
        await pub_ack(world, b"NATS/1.0\r\nNats-Msg-Id: a\r\n\r\n")
        await fresh_nats.kill()
        await wait_down(connection)
        await fresh_nats.start()
        await connection.wait_connected()
        assert (await pub_ack(world, b"NATS/1.0\r\nNats-Msg-Id: a\r\n\r\n")).get("duplicate") is True
        assert (await world.js.streams.info(world.name)).created == before
        with pytest.raises(StreamMissing):
            await memory.js.streams.info(memory.name)
