"""The connection: made again for ever, never a buffer, never silently dead."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from nats3.dev.binaries import nats_server
from nats3.dev.nats_server import NatsServer
from nats3.errors import Invalid, Unavailable
from nats3.jetstream.api import ask
from nats3.jetstream.connection import Connection
from nats3.jetstream.errors import MustBind, Reason
from nats3.jetstream.frames import publish_frame
from nats3.jetstream.publisher import Window, WindowPublisher
from nats3.jetstream.settings import NatsSettings
from nats3.jetstream.wire import Transport
from tests.contract.jetstream_contract import publish
from tests.jetstream.wire_script import INFO, scripted_server
from tests.jetstream.worlds import RealWorld, api, wait_down


async def frozen(connection: Connection) -> Unavailable:
    """Return once the server certainly reads nothing: a signal takes a moment to stop all its threads."""
    while True:
        try:
            await connection.request("$JS.API.INFO", patience_s=0.2)
        except Unavailable as away:
            return away


async def test_it_knows_the_servers_version_and_limit(nats_url: str) -> None:
    async with Connection.open(NatsSettings(nats_url), patience_s=5) as connection:
        said = (await asyncio.to_thread(subprocess.check_output, [nats_server(), "--version"])).decode()
        assert said.strip() == "nats-server: v" + ".".join(map(str, connection.server_version))
        assert connection.max_payload == 1024 * 1024
        assert (connection.connected, connection.epoch) == (True, 0)


@pytest.mark.parametrize("form", ["{host}", " {host} , nats://127.0.0.1:1", "nats://{host},127.0.0.1:1"])
async def test_servers_may_be_a_comma_list_and_lack_a_scheme(nats_url: str, form: str) -> None:
    settings = NatsSettings(form.format(host=nats_url.removeprefix("nats://")))
    async with Connection.open(settings, patience_s=5) as connection:
        assert connection.connected


async def test_it_waits_for_a_server_that_is_not_up_yet(fresh_nats: NatsServer) -> None:
    await fresh_nats.kill()
    async with Connection.open(NatsSettings(fresh_nats.url)) as connection:
        with pytest.raises(Unavailable):
            connection.link()
        await fresh_nats.start()
        await connection.wait_connected()
        assert await api(connection, "INFO")


async def test_it_fails_when_asked_to_and_says_where_and_never_the_password() -> None:
    settings = NatsSettings("nats://me:secret@127.0.0.1:1")
    with pytest.raises(Unavailable) as away:
        async with Connection.open(settings, patience_s=0.3):
            pass
    assert "127.0.0.1:1" in str(away.value)
    assert "secret" not in str(away.value)


async def test_an_error_of_the_block_comes_out_as_it_is(nats_url: str) -> None:
    with pytest.raises(KeyError):
        async with Connection.open(NatsSettings(nats_url), patience_s=5):
            raise KeyError


async def test_a_lost_connection_is_told_at_once_and_comes_back(fresh_nats: NatsServer) -> None:
    async with Connection.open(NatsSettings(fresh_nats.url), patience_s=5) as connection:
        changes: list[bool] = []
        connection.on_change(changes.append)
        link = connection.link()
        await fresh_nats.kill()
        await wait_down(connection)
        assert (connection.epoch, connection.connected, link.alive) == (1, False, False)
        with pytest.raises(Unavailable):
            await connection.request("$JS.API.INFO")
        with pytest.raises(MustBind):
            link.write(b"PING\r\n")
        with pytest.raises(MustBind):
            await link.drain()
        await fresh_nats.start()
        await connection.wait_connected()
        assert await api(connection, "INFO")
        assert connection.link().number == 1
        assert changes == [True, False, True], "who begins to watch after the login is told of it as well"


async def test_a_request_in_flight_fails_with_the_connection_and_not_by_its_time_out(fresh_nats: NatsServer) -> None:
    async with Connection.open(NatsSettings(fresh_nats.url), patience_s=5) as connection:
        connection.link().subscribe(b"silent", _Nothing())

        async def kill() -> None:
            await fresh_nats.kill()

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(kill())
            with pytest.raises(Unavailable, match="lost"):
                await connection.request("silent", patience_s=15)


async def test_nothing_is_buffered_for_the_next_connection(fresh_nats: NatsServer) -> None:
    async with Connection.open(NatsSettings(fresh_nats.url), patience_s=5) as connection:
        world = RealWorld(connection)
        await world.make_stream(storage="file")
        await world.fill(1)
        fresh_nats.pause()
        await frozen(connection)
        link = connection.link()
        link.write(publish_frame(world.name.encode(), b"written to a server that never reads it"))
        await fresh_nats.kill()
        await wait_down(connection)
        with pytest.raises(MustBind):
            link.write(publish_frame(world.name.encode(), b"late"))
        await fresh_nats.start()
        await connection.wait_connected()
        assert (await world.js.streams.info(world.name)).last == 1


async def test_sources_and_publishers_end_with_their_connection(fresh_nats: NatsServer) -> None:
    async with Connection.open(NatsSettings(fresh_nats.url), patience_s=5) as connection:
        world = RealWorld(connection)
        await world.make_stream(storage="file")
        source = await world.consume()
        source.ask(10, 8 * 1024 * 1024)
        publisher = world.js.publisher(world.name)
        await publish(publisher, world, 3)
        await publisher.drain()
        seqs: list[int] = []
        while len(seqs) < 3:
            seqs += (await source.receive()).batch.seqs
        await fresh_nats.kill()
        for ended in (
            source.receive(),
            source.ack_up_to(3),
            source.ack_each([3]),
            publisher.drain(),
            publisher.wait_progress(),
            publish(publisher, world, 1),
        ):
            with pytest.raises(MustBind) as must:
                await ended
            assert must.value.reason is Reason.CONNECTION_LOST
        assert publisher.acked == 3
        await source.close()
        await publisher.close()
        await fresh_nats.start()
        await connection.wait_connected()
        assert (await world.js.streams.info(world.name)).last == 3
        again = world.js.source(world.name, "c")
        assert again is not source


async def test_a_frozen_server_is_unavailable_and_closing_does_not_wait_for_it(fresh_nats: NatsServer) -> None:
    async with Connection.open(NatsSettings(fresh_nats.url), patience_s=5) as connection:
        fresh_nats.pause()
        assert "no answer" in str(await frozen(connection))
    fresh_nats.resume()


async def test_a_server_that_misses_its_pings_is_given_up_although_the_connection_stays_open(
    fresh_nats: NatsServer,
) -> None:
    async with Connection.open(NatsSettings(fresh_nats.url, ping_every_s=0.1), patience_s=5) as connection:
        fresh_nats.pause()
        await wait_down(connection)
        assert connection.epoch == 1
        fresh_nats.resume()
        await connection.wait_connected()
        assert await api(connection, "INFO")


async def test_a_server_whose_pongs_come_behind_much_else_is_not_given_up_while_that_comes() -> None:
    settings = NatsSettings("", ping_every_s=0.05)
    async with (
        scripted_server() as script,
        Connection.open(replace(settings, url=script.url), patience_s=5) as connection,
    ):
        script.pongs = False
        script.answer = lambda line: b"MSG much.else 999 2\r\nhi\r\n" if line == b"PING\r\n" else b""
        await script.wait_for(b"PING\r\n", 9)
        assert (connection.epoch, script.logins) == (0, 1)
        script.answer = lambda _: b""
        await wait_down(connection)


async def test_a_publisher_does_not_wait_for_ever_on_a_frozen_server(fresh_nats: NatsServer) -> None:
    async with Connection.open(NatsSettings(fresh_nats.url), patience_s=5) as connection:
        world = RealWorld(connection)
        await world.make_stream()
        publisher = WindowPublisher(connection.link(), world.name, window=Window(patience_s=0.3))
        fresh_nats.pause()
        with pytest.raises(MustBind) as must:
            await publisher.send([world.name.encode()] * 100, [None] * 100, [b"x" * 1_000_000] * 100)
        assert must.value.reason is Reason.ACKS_MISSING
    fresh_nats.resume()


async def test_nobody_listening_is_unavailable_at_once(nats_url: str) -> None:
    async with Connection.open(NatsSettings(nats_url), patience_s=5) as connection:
        with pytest.raises(Unavailable, match="nobody answers"):
            await connection.request("nobody.at.all", patience_s=15)


@pytest.mark.parametrize(
    "hostile", [b"MSG a 2 99999999\r\n", b"HELLO\r\n", b"-ERR 'Maximum Connections Exceeded'\r\n", b"INFO x\r\n"]
)
async def test_hostile_bytes_and_server_errors_end_the_link_with_a_reason_and_not_the_client(hostile: bytes) -> None:
    async with scripted_server() as script, Connection.open(NatsSettings(script.url), patience_s=5) as connection:
        faults: list[str] = []
        connection.on_change(lambda up: None if up else faults.append(connection.fault))
        script.say(hostile)
        await script.wait_logins(2)
        await connection.wait_connected()
        assert connection.epoch == 1
        assert faults[0] not in ("", "the connection was lost")


async def test_a_refused_permission_keeps_the_link() -> None:
    async with scripted_server() as script, Connection.open(NatsSettings(script.url), patience_s=5) as connection:
        script.say(b"-ERR 'Permissions Violation for Publish to \"x\"'\r\nPING\r\n")
        await script.wait_for(b"PONG\r\n")
        assert (connection.epoch, connection.connected) == (0, True)
        assert "permissions violation" in connection.fault


async def test_login_by_name_in_the_settings_or_in_the_url(server_directory: Path) -> None:
    users = '{ user: me, password: "p@ss word" }, { user: guest, password: guest }'
    extra = f"accounts {{ A {{ jetstream: enabled, users: [{users}] }} }}\nno_auth_user: guest"
    async with NatsServer(server_directory / "nats", extra=extra) as server:
        host = server.url.rpartition("@")[2].removeprefix("nats://")
        for settings in (
            NatsSettings(host, user="me", password="p@ss word"),
            NatsSettings(f"nats://me:p%40ss%20word@{host}"),
        ):
            async with Connection.open(settings, patience_s=5) as connection:
                assert connection.connected
        with pytest.raises(Unavailable, match=r"(?i)authorization violation"):
            async with Connection.open(NatsSettings(host, user="me", password="wrong"), patience_s=1):
                pass


async def test_why_a_login_was_refused_stands_although_a_later_try_is_reset() -> None:
    tries = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal tries
        tries += 1
        writer.write(b"INFO " + json.dumps(INFO).encode() + b" \r\n")
        await reader.readline()
        if tries == 1:
            writer.write(b"-ERR 'Authorization Violation'\r\n")
            writer.close()
        else:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        settings = NatsSettings(f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
        with pytest.raises(Unavailable, match=r"(?i)authorization violation"):
            async with Connection.open(settings, patience_s=1.5):
                pass
    assert tries > 1


async def test_a_server_without_tls_is_never_sent_the_password_when_tls_was_asked_for() -> None:
    async with scripted_server() as script:
        settings = NatsSettings(script.url.replace("nats://", "tls://me:secret@"))
        with pytest.raises(Unavailable, match="offers no TLS"):
            async with Connection.open(settings, patience_s=0.5):
                pass
        assert b"secret" not in script.heard


async def test_a_seed_that_is_none_stops_the_start(nats_url: str, server_directory: Path) -> None:
    seed = server_directory / "seed"
    await asyncio.to_thread(seed.write_text, "no seed")
    with pytest.raises(Invalid, match="nats credentials"):
        async with Connection.open(NatsSettings(nats_url, nkey=str(seed)), patience_s=5):
            pass


async def test_a_domain_is_part_of_every_api_subject(nats_url: str) -> None:
    assert NatsSettings(domain="hub").api == "$JS.hub.API"
    assert NatsSettings(domain="hub", api_prefix="acme.js.").api == "acme.js"
    async with Connection.open(NatsSettings(nats_url), patience_s=5) as connection:
        assert json.loads((await connection.request(f"{connection.settings.api}.INFO")).payload)["type"]


class _Nothing:
    def take(self, frames: object) -> None:
        pass

    def lost(self) -> None:
        pass


async def test_a_write_into_a_transport_that_was_just_closed_is_a_lost_connection(
    nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Uvloop says RuntimeError there, before anybody has heard that the connection is lost."""
    async with Connection.open(NatsSettings(nats_url), patience_s=5) as connection:
        publisher = WindowPublisher(connection.link(), "S")

        def closed(_: object, __: bytes) -> None:
            raise RuntimeError("unable to perform operation; the handler is closed")

        with monkeypatch.context() as patched:
            patched.setattr(Transport, "write", closed)
            with pytest.raises(MustBind) as lost:
                await publisher.send([b"a"], [None], [b""])
            assert lost.value.reason is Reason.CONNECTION_LOST
            await publisher.close()


async def test_what_may_not_be_published_ends_its_publisher_at_once_and_no_other() -> None:
    """The server says so without any acknowledgement: who waits for one would wait for ten seconds."""
    async with scripted_server() as script, Connection.open(NatsSettings(script.url), patience_s=5) as connection:
        mine, other = (WindowPublisher(connection.link(), "S") for _ in range(2))
        await mine.send([b"orders.A"], [None], [b"x"])
        await other.send([b"jobs.a"], [None], [b"x"])
        script.say(b"-ERR 'Permissions Violation for Publish to \"orders.A\"'\r\nPING\r\n")
        with pytest.raises(MustBind, match=r'publish to "orders\.a"') as denied:
            await mine.drain()
        assert denied.value.reason is Reason.ACKS_MISSING
        other._check()
        assert connection.connected


async def test_what_may_be_done_twice_is_asked_again_when_no_answer_comes_and_nothing_else_is() -> None:
    """A cluster whose leader has just died says nothing to the first request and answers a later one."""
    async with scripted_server() as script, Connection.open(NatsSettings(script.url), patience_s=5) as connection:
        async with asyncio.TaskGroup() as tasks:
            asked = tasks.create_task(ask(connection, "STREAM.INFO.S"))
            await script.wait_for(b"STREAM.INFO.S", 2)
            inbox = bytes(script.heard).split(b"STREAM.INFO.S ")[1].split(b" ")[0]
            (sid,) = re.findall(rb"SUB " + re.escape(inbox.rpartition(b".")[0]) + rb"\.\* (\d+)", bytes(script.heard))
            script.say(b"MSG %b %b 8\r\n" % (inbox, sid) + b'{"a": 1}\r\n')
            assert await asked == {"a": 1}
        with pytest.raises(Unavailable):
            await connection.request("orders.once", b"{}", patience_s=1.5)
        assert script.heard.count(b"orders.once") == 1
