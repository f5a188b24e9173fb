"""The window of outstanding acks, before a server that acknowledges only when it is told to."""

from __future__ import annotations

import asyncio

import pytest

from nats3.jetstream.connection import Connection
from nats3.jetstream.errors import MustBind, Reason
from nats3.jetstream.publisher import Window, WindowPublisher
from nats3.jetstream.server import NatsJetStream
from nats3.jetstream.settings import NatsSettings
from tests.jetstream.wire_script import ScriptedServer, scripted_server


def acks(script: ScriptedServer, first: int, count: int) -> bytes:
    line = next(line for line in bytes(script.heard).split(b"\r\n") if line.endswith(b".* 2"))
    inbox = line.split(b" ")[1].removesuffix(b"*")
    bodies = [b'{"stream":"S","seq":%d}' % (index + 1) for index in range(first, first + count)]
    return b"".join(
        b"MSG %b%d 2 %d\r\n%b\r\n" % (inbox, index, len(body), body) for index, body in enumerate(bodies, first)
    )


async def send(publisher: WindowPublisher, count: int, size: int = 1) -> None:
    await publisher.send([b"s"] * count, [None] * count, [b"x" * size] * count)


@pytest.mark.parametrize(
    ("window", "size", "out"),
    [
        (Window(messages=8, write_messages=4), 1, 8),
        (Window(messages=1), 1, 1),
        (Window(max_bytes=1000, write_messages=2), 100, 10),
        (Window(max_bytes=1000, write_bytes=300), 100, 9),
        (Window(max_bytes=10), 100, 30),
    ],
)
async def test_no_more_is_out_than_the_window_holds(window: Window, size: int, out: int) -> None:
    async with scripted_server() as script, Connection.open(NatsSettings(script.url), patience_s=5) as connection:
        publisher = WindowPublisher(connection.link(), "S", window=window)
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(send(publisher, 30, size))
            sent = 0
            while sent < 30:
                expected = min(sent + out, 30)
                await script.wait_for(b"PUB s ", expected)
                connection.link().write(b"PING\r\n")
                await script.wait_for(b"PING\r\n", 2 + sent // out)
                assert script.heard.count(b"PUB s ") == expected
                script.say(acks(script, sent, expected - sent))
                sent = expected
            await sending
        await publisher.drain()
        assert publisher.acked == 30


async def test_a_strict_publisher_sends_a_message_once_the_one_before_it_is_acknowledged() -> None:
    async with scripted_server() as script, Connection.open(NatsSettings(script.url), patience_s=5) as connection:
        publisher = NatsJetStream(connection).publisher("S", strict=True)
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(publisher.send([b"s"] * 5, [None] * 5, [b"x"] * 5))
            for sent in range(1, 6):
                await script.wait_for(b"PUB s ", sent)
                connection.link().write(b"PING\r\n")
                await script.wait_for(b"PING\r\n", 1 + sent)
                assert script.heard.count(b"PUB s ") == sent
                script.say(acks(script, sent - 1, 1))
            await sending
        await publisher.drain()
        assert publisher.acked == 5


async def test_progress_is_told_as_it_comes() -> None:
    async with scripted_server() as script, Connection.open(NatsSettings(script.url), patience_s=5) as connection:
        publisher = WindowPublisher(connection.link(), "S")
        await send(publisher, 10)
        await script.wait_for(b"PUB s ", 10)
        script.say(acks(script, 0, 4))
        assert await publisher.wait_progress() == 4
        script.say(acks(script, 4, 6))
        progress = 4
        while progress < 10:
            progress = await publisher.wait_progress()
        assert await publisher.wait_progress() == 10


async def test_acks_that_stop_coming_end_the_publisher() -> None:
    async with scripted_server() as script, Connection.open(NatsSettings(script.url), patience_s=5) as connection:
        publisher = WindowPublisher(connection.link(), "S", window=Window(patience_s=0.1))
        await send(publisher, 10)
        with pytest.raises(MustBind) as must:
            await publisher.drain()
        assert must.value.reason is Reason.ACKS_MISSING


async def test_what_a_stranger_sends_to_the_inbox_is_no_ack() -> None:
    async with scripted_server() as script, Connection.open(NatsSettings(script.url), patience_s=5) as connection:
        publisher = WindowPublisher(connection.link(), "S")
        await send(publisher, 2)
        await script.wait_for(b"PUB s ", 2)
        script.say(acks(script, 0, 1).replace(b".0 2 ", b".x 2 ") + acks(script, 0, 2))
        await publisher.drain()
        assert publisher.acked == 2
