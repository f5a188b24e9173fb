"""Atomic batches on a real server: whole or not at all, and a marker that says how far."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from nats3.jetstream.atomic import AtomicPublisher, Marker, end_of_batch
from nats3.jetstream.connection import Connection
from nats3.jetstream.errors import MustBind, PublishRefused, Reason, TargetBusy, TargetMoved
from nats3.jetstream.publisher import Window
from nats3.jetstream.settings import NatsSettings
from tests.contract.jetstream_contract import commit, publish
from tests.jetstream.wire_script import ScriptedServer, scripted_server
from tests.jetstream.worlds import RealWorld


@pytest.fixture
async def world(nats_url: str) -> AsyncIterator[RealWorld]:
    async with Connection.open(NatsSettings(nats_url), patience_s=5) as connection:
        world = RealWorld(connection)
        await world.make_stream(allow_atomic=True)
        yield world


def open_publisher(world: RealWorld, last: int = 0) -> AtomicPublisher:
    marker = Marker(f"{world.name}.mark".encode(), last, lambda sent: b"%d" % sent)
    return AtomicPublisher(world.connection.link(), world.name, marker)


async def mark(world: RealWorld) -> tuple[int, bytes] | None:
    info = await world.js.streams.info(world.name)
    found = await world.js.streams.message(world.name, info.last)
    return None if found is None else (found.seq, found.payload)


async def test_every_batch_ends_in_a_marker_that_says_how_far(world: RealWorld) -> None:
    publisher = open_publisher(world)
    await commit(publisher, world, 2500)
    await publisher.drain()
    assert (publisher.acked, publisher.target_seq) == (2500, 2503)
    assert await publisher.wait_progress() == 2500
    assert await mark(world) == (2503, b"2500")
    assert [(await world.js.streams.message(world.name, seq)).payload for seq in (1000, 2000)] == [b"999", b"1998"]  # type: ignore[union-attr]


async def test_what_was_added_to_a_block_stands_before_its_empty_line(world: RealWorld) -> None:
    publisher = open_publisher(world)
    await publisher.send([world.name.encode()] * 2, [None, b"NATS/1.0\r\nA: 1\r\n\r\n"], [b"", b""])
    await publisher.drain()
    blocks = [(await world.js.streams.message(world.name, seq)).header for seq in (1, 2)]  # type: ignore[union-attr]
    assert [block and block.split(b"\r\n")[:2] for block in blocks] == [
        [b"NATS/1.0", blocks[0].split(b"\r\n")[1]],  # type: ignore[union-attr]
        [b"NATS/1.0", b"A: 1"],
    ]
    assert all(block is not None and block.endswith(b"\r\n\r\n") for block in blocks)


async def test_another_writer_between_two_batches_does_no_harm(world: RealWorld) -> None:
    publisher = open_publisher(world)
    await commit(publisher, world, 10)
    await world.publish(world.name, b"a stranger's")
    await commit(publisher, world, 10, start=10)
    assert (publisher.acked, publisher.target_seq) == (20, 23)


async def test_a_marker_that_somebody_else_moved_refuses_the_whole_batch(world: RealWorld) -> None:
    publisher = open_publisher(world)
    await commit(publisher, world, 10)
    await world.publish(f"{world.name}.mark", b"another run's")
    with pytest.raises(TargetMoved) as moved:
        await commit(publisher, world, 10, start=10)
    assert (moved.value.index, publisher.acked) == (10, 10)
    assert (await world.js.streams.info(world.name)).last == 12
    with pytest.raises(TargetMoved):
        await publisher.drain()


async def test_a_known_id_refuses_the_whole_batch(world: RealWorld) -> None:
    await commit(open_publisher(world), world, 10)
    again = open_publisher(world, last=11)
    with pytest.raises(TargetMoved) as moved:
        await commit(again, world, 5, start=7)
    assert moved.value.code == 10201
    assert (await world.js.streams.info(world.name)).last == 11


async def test_a_publisher_goes_on_where_the_marker_says(world: RealWorld) -> None:
    await commit(open_publisher(world), world, 10)
    publisher = open_publisher(world, last=11)
    await commit(publisher, world, 10, start=10)
    assert await mark(world) == (22, b"10")


async def test_a_target_that_does_not_allow_batches_refuses(nats_url: str) -> None:
    async with Connection.open(NatsSettings(nats_url), patience_s=5) as connection:
        world = RealWorld(connection)
        await world.make_stream()
        with pytest.raises(PublishRefused) as refused:
            await commit(open_publisher(world), world, 10)
        assert refused.value.code == 10174
        assert (await world.js.streams.info(world.name)).last == 0


async def test_the_server_takes_1000_in_a_batch_and_not_1001(world: RealWorld) -> None:
    for count, expected in ((1000, None), (1001, 10199)):
        for number in range(1, count):
            block = b"NATS/1.0\r\nNats-Batch-Id: b%d\r\nNats-Batch-Sequence: %d\r\n\r\n" % (count, number)
            world.connection.link().write(
                b"HPUB %b %d %d\r\n%b\r\n" % (world.name.encode(), len(block), len(block), block)
            )
        block = b"NATS/1.0\r\nNats-Batch-Id: b%d\r\nNats-Batch-Sequence: %d\r\nNats-Batch-Commit: 1\r\n\r\n"
        reply = await world.connection.link().request(world.name.encode(), b"", 5, block % (count, count))
        assert json.loads(reply.payload).get("error", {}).get("err_code") == expected


@pytest.mark.parametrize(
    "lie",
    [{"stream": "another"}, {"count": 10}, {"batch": "another"}, {"batch": None}],
    ids=["stream", "count", "batch", "none"],
)
async def test_an_answer_that_is_not_this_batchs_is_refused(lie: dict[str, object]) -> None:
    assert (await _answered(lie)).code == PublishRefused.WRONG_STREAM


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (10071, TargetMoved),
        (10164, TargetMoved),
        (10176, TargetMoved),
        (10201, TargetMoved),
        (10008, TargetBusy),
        (10023, TargetBusy),
        (10163, TargetBusy),
        (10210, TargetBusy),
        (10174, PublishRefused),
        (10199, PublishRefused),
    ],
)
async def test_a_refused_batch_says_whether_to_look_again_to_wait_or_to_change_the_target(
    code: int, kind: type[PublishRefused]
) -> None:
    refused = await _answered({"error": {"code": 400, "err_code": code, "description": "why"}})
    assert (type(refused), refused.code, refused.reason) == (kind, code, "why")


async def test_a_batch_that_the_server_gave_up_is_read_again_and_stored_once_there_is_room(world: RealWorld) -> None:
    """With fifty of strangers open, it forgets our messages and finds the batch incomplete at its marker."""
    begun = b"NATS/1.0\r\nNats-Batch-Id: stranger%d\r\nNats-Batch-Sequence: 1\r\n\r\n"
    link = world.connection.link()
    for number in range(50):
        block = begun % number
        link.write(b"HPUB %b %d %d\r\n%b\r\n" % (world.name.encode(), len(block), len(block), block))
    with pytest.raises(TargetMoved) as moved:
        await commit(open_publisher(world), world, 10)
    assert (moved.value.code, (await world.js.streams.info(world.name)).last) == (10176, 0)
    ended = b"NATS/1.0\r\nNats-Batch-Id: stranger0\r\nNats-Batch-Sequence: 2\r\nNats-Batch-Commit: 1\r\n\r\n"
    await link.request(world.name.encode(), b"", 5, ended)
    publisher = open_publisher(world)
    await commit(publisher, world, 10)
    assert (publisher.acked, publisher.target_seq) == (10, 13)


def answer(script: ScriptedServer, number: int, size: int, **lie: object) -> bytes:
    """What a server says to the marker of a batch, but for `lie`."""
    lines = bytes(script.heard).split(b"\r\n")
    reply = [line for line in lines if line.startswith(b"HPUB S.mark ")][number].split(b" ")[2]
    batch = reply.rpartition(b".")[2].decode()
    body = json.dumps({"stream": "S", "seq": (number + 1) * size, "batch": batch, "count": size} | lie).encode()
    return b"MSG %b 2 %d\r\n%b\r\n" % (reply, len(body), body)


async def _answered(lie: dict[str, object]) -> PublishRefused:
    """What becomes of a batch to which the server gives an answer that is changed by `lie`."""
    async with scripted_server() as script, Connection.open(NatsSettings(script.url), patience_s=5) as connection:
        publisher = AtomicPublisher(connection.link(), "S", Marker(b"S.mark", 0, lambda sent: b"%d" % sent))
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(_refusal(publisher))
            await script.wait_for(b"Nats-Batch-Commit")
            script.say(answer(script, 0, 4, **lie))
        assert publisher.acked == 0
        return sending.result()


async def _refusal(publisher: AtomicPublisher) -> PublishRefused:
    await publisher.send([b"S.a"] * 3, [None] * 3, [b""] * 3)
    with pytest.raises(PublishRefused) as refused:
        await publisher.flush()
    return refused.value


async def test_no_batch_ends_between_messages_that_are_joined(world: RealWorld) -> None:
    marker = Marker(f"{world.name}.mark".encode(), 0, lambda sent: b"%d" % sent, lambda sent: sent in {998, 999, 1997})
    publisher = AtomicPublisher(world.connection.link(), world.name, marker)
    await commit(publisher, world, 2500)
    await publisher.drain()
    marks = [await world.js.streams.message(world.name, seq) for seq in (998, 1998)]
    assert [each and each.payload for each in marks] == [b"997", b"1996"]
    assert await mark(world) == (2503, b"2500")


@pytest.mark.pure
def test_a_batch_of_nothing_but_joined_messages_ends_behind_them() -> None:
    assert end_of_batch(10, 13, {11, 12, 13, 14}.__contains__) == 15
    assert end_of_batch(10, 13, {12, 13, 14}.__contains__) == 11
    assert end_of_batch(10, 13, {14}.__contains__) == 13


async def test_what_does_not_fill_a_batch_is_held_back_until_more_comes_or_nothing_will(world: RealWorld) -> None:
    publisher = open_publisher(world)
    for start in range(0, 2000, 500):
        await publish(publisher, world, 500, start=start)
    while await publisher.wait_progress() < 1998:
        pass
    assert (publisher.acked, publisher.target_seq) == (1998, 2000)
    assert await publisher.wait_progress() == 1998, "what is held back is not outstanding"
    await publisher.flush()
    assert (publisher.acked, publisher.target_seq) == (2000, 2003)


async def test_no_batch_is_sent_before_the_one_before_it_is_stored() -> None:
    async with scripted_server() as script, Connection.open(NatsSettings(script.url), patience_s=5) as connection:
        publisher = AtomicPublisher(connection.link(), "S", Marker(b"S.mark", 0, lambda sent: b"%d" % sent))
        await publisher.send([b"S.a"] * 999, [None] * 999, [b""] * 999)
        await script.wait_for(b"Nats-Batch-Commit")
        async with asyncio.TaskGroup() as tasks:
            second = tasks.create_task(publisher.send([b"S.b"] * 999, [None] * 999, [b""] * 999))
            await asyncio.sleep(0)
            connection.link().write(b"PING\r\n")
            await script.wait_for(b"PING\r\n", 2)
            assert (publisher.acked, script.heard.count(b"HPUB S.b ")) == (0, 0)
            script.say(answer(script, 0, 1000))
            await second
        assert publisher.acked == 999
        await script.wait_for(b"Nats-Expected-Last-Subject-Sequence: 1000\r\nNats-Batch-Commit")
        assert script.heard.count(b"HPUB S.b ") == 999
        script.say(answer(script, 1, 1000))
        await publisher.drain()
        assert (publisher.acked, publisher.target_seq) == (1998, 2000)


@pytest.mark.parametrize("how", ["answers", "the connection", "permission"])
async def test_a_batch_without_an_answer_ends_the_publisher(how: str) -> None:
    async with scripted_server() as script, Connection.open(NatsSettings(script.url), patience_s=5) as connection:
        window = Window(patience_s=0.1 if how == "answers" else 30)
        publisher = AtomicPublisher(
            connection.link(), "S", Marker(b"S.mark", 0, lambda sent: b"%d" % sent), window=window
        )
        await publisher.send([b"S.a"] * 999, [None] * 999, [b""] * 999)
        await script.wait_for(b"Nats-Batch-Commit")
        if how == "the connection":
            script.hang_up()
        if how == "permission":
            script.say(b"-ERR 'Permissions Violation for Publish to \"S.mark\"'\r\n")
        with pytest.raises(MustBind) as must:
            await publisher.drain()
        lost = how == "the connection"
        assert must.value.reason is (Reason.CONNECTION_LOST if lost else Reason.ACKS_MISSING)


async def test_an_answer_that_cannot_be_read_is_a_refusal() -> None:
    async with scripted_server() as script, Connection.open(NatsSettings(script.url), patience_s=5) as connection:
        publisher = AtomicPublisher(connection.link(), "S", Marker(b"S.mark", 0, lambda sent: b"%d" % sent))
        await publisher.send([b"S.a"] * 999, [None] * 999, [b""] * 999)
        await script.wait_for(b"Nats-Batch-Commit")
        reply = answer(script, 0, 1000).split(b" ")[1]
        script.say(b"MSG %b 2 4\r\n{[]}\r\n" % reply)
        with pytest.raises(PublishRefused) as refused:
            await publisher.drain()
        assert refused.value.code == PublishRefused.WRONG_STREAM


async def test_a_batch_goes_out_in_writes_that_let_the_pings_of_a_slow_line_through(world: RealWorld) -> None:
    written: list[int] = []
    link, window = world.connection.link(), Window(write_bytes=4096)
    write = link.write

    def seen(data: bytes) -> None:
        written.append(len(data))
        write(data)

    link.write = seen  # type: ignore[method-assign]
    marker = Marker(f"{world.name}.mark".encode(), 0, lambda sent: b"%d" % sent)
    publisher = AtomicPublisher(link, world.name, marker, window=window)
    await publisher.send([f"{world.name}.p".encode()] * 64, [None] * 64, [b"x" * 1000] * 64)
    await publisher.drain()
    assert publisher.acked == 64
    assert len(written) > 15
    assert max(written) < 2 * window.write_bytes
