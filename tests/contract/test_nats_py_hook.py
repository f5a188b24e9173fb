"""The hook on nats-py: every private name that nats3 touches, and the reasons for touching it.

A new minor version of nats-py runs this first. `test_facts.py` holds the server to the same.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from importlib.metadata import version
from typing import Any

import nats
import pytest
import uvloop
from nats.aio.client import Client
from nats.aio.transport import TcpTransport
from nats.protocol.parser import Parser

from nats3.jetstream.connection import Connection
from nats3.jetstream.frames import Frames, publish_frame
from nats3.jetstream.settings import NatsSettings
from nats3.jetstream.wire import Transport, WireClient

CLIENT_ATTRIBUTES = ("_ps", "_transport", "_sid", "_subs", "_max_payload", "_server_info", "_flush_queue", "_error_cb")
OVERRIDDEN: dict[Callable[..., Any], tuple[str, ...]] = {
    Client._connect_to_server: ("self", "s"),
    Client._connect_command: ("self",),
    Client._process_connect_init: ("self",),
    Client._process_info: ("self", "info", "initial_connection"),
    Client._process_err: ("self", "err_msg"),
    Client._process_op_err: ("self", "e"),
    Client._close: ("self", "status", "do_cbs"),
    Parser.parse: ("self", "data"),
    Parser.reset: ("self",),
    TcpTransport.connect: ("self", "uri", "buffer_size", "connect_timeout"),
    TcpTransport.connect_tls: ("self", "uri", "ssl_context", "buffer_size", "connect_timeout"),
    TcpTransport.read: ("self", "buffer_size"),
    TcpTransport.close: ("self",),
}


def test_the_version_is_the_one_that_was_proven() -> None:
    assert version("nats-py").split(".")[:2] == ["2", "16"]


def test_every_private_name_that_is_used_is_there() -> None:
    client = Client()
    assert [name for name in CLIENT_ATTRIBUTES if not hasattr(client, name)] == []
    assert [name for name in ("buf", "state") if not hasattr(Parser(), name)] == []
    assert [name for name in ("_io_writer", "_io_reader", "_bare_io_writer") if not hasattr(TcpTransport(), name)] == []


@pytest.mark.parametrize("function", OVERRIDDEN, ids=lambda function: function.__qualname__)
def test_every_method_that_is_overridden_takes_what_it_took(function: Callable[..., Any]) -> None:
    assert tuple(inspect.signature(function).parameters) == OVERRIDDEN[function]


def test_our_parser_is_the_one_that_the_client_reads_with() -> None:
    client = WireClient(lambda: None, lambda: None)
    assert client._ps is client.frames
    assert client.frames.sinks == {}


class Sink:
    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self.came = asyncio.Event()

    def take(self, frames: Frames) -> None:
        self.payloads += frames.payloads
        self.came.set()

    def lost(self) -> None:
        self.came.set()


async def echo(url: str) -> None:
    async with Connection.open(NatsSettings(url), patience_s=5) as connection:
        link, sink = connection.link(), Sink()
        assert isinstance(connection._client.transport, Transport)
        inbox = link.new_inbox()
        sid = link.subscribe(inbox, sink)
        link.write(publish_frame(inbox, b"x" * 1_000_000) * 3)
        while len(sink.payloads) < 3:
            sink.came.clear()
            await sink.came.wait()
        assert {len(payload) for payload in sink.payloads} == {1_000_000}
        link.unsubscribe(sid)
        link.unsubscribe(sid)
        link.write(publish_frame(inbox, b"to nobody"))
        assert (await connection.request("$JS.API.INFO")).payload.startswith(b"{")
        assert len(sink.payloads) == 3


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_frames_reach_their_sink_on_either_loop(
    nats_url: str, run: Callable[[Coroutine[Any, Any, None]], None]
) -> None:
    run(echo(nats_url))


async def test_nats_pys_own_subscriptions_work_beside_ours(nats_url: str) -> None:
    async with Connection.open(NatsSettings(nats_url), patience_s=5) as connection:
        client, link, sink = connection._client, connection.link(), Sink()
        inbox = link.new_inbox()
        link.subscribe(inbox, sink)
        theirs = await client.subscribe(inbox.decode())
        await client.publish(inbox.decode(), b"hello", headers={"A": "1"})
        message = await theirs.next_msg(timeout=5)
        await sink.came.wait()
        assert (message.data, message.headers, sink.payloads) == (b"hello", {"A": "1"}, [b"hello"])


async def test_why_the_hook_exists_plain_nats_py_dies_of_a_garbage_header_and_does_not_know_it(nats_url: str) -> None:
    client = await nats.connect(nats_url)
    subscription = await client.subscribe("garbage.in")
    await client.flush()
    async with Connection.open(NatsSettings(nats_url), patience_s=5) as connection:
        connection.link().write(publish_frame(b"garbage.in", b"", block=b"garbage"))
        assert client._reading_task is not None
        await asyncio.wait([client._reading_task], timeout=5)
    assert client._reading_task.done()
    assert client.is_connected
    assert subscription.pending_msgs == 0
    await client.close()
