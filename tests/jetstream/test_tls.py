"""TLS: the server's certificate is checked, a client's is shown, and the data path is the same."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from nats3.dev.nats_server import NatsServer
from nats3.errors import Unavailable
from nats3.jetstream.connection import Connection
from nats3.jetstream.settings import NatsSettings
from tests.contract.jetstream_contract import publish, read
from tests.jetstream.worlds import RealWorld

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")


async def make_certificate(directory: Path) -> tuple[Path, Path]:
    """A certificate that signs itself, for the loopback address, and its key."""
    certificate, key = directory / "cert.pem", directory / "key.pem"
    options = [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=nats3-test",
    ]
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "extendedKeyUsage=serverAuth,clientAuth"]
    process = await asyncio.create_subprocess_exec(
        "openssl", *options, *names, "-keyout", str(key), "-out", str(certificate), stderr=asyncio.subprocess.DEVNULL
    )
    assert await process.wait() == 0
    return certificate, key


@pytest.fixture
async def secured(server_directory: Path) -> AsyncIterator[tuple[str, NatsSettings]]:
    """A server that asks for a client's certificate beside one that its own readiness check reaches in clear text."""
    certificate, key = await make_certificate(server_directory)
    tls = f'tls {{ cert_file: "{certificate}", key_file: "{key}", ca_file: "{certificate}", verify: true }}'
    server = NatsServer(server_directory / "nats", extra=f"allow_non_tls: true\n{tls}")
    await server.start()
    url = server.url.replace("nats://", "tls://")
    yield url, NatsSettings(url, tls_ca=str(certificate), tls_cert=str(certificate), tls_key=str(key))
    await server.kill()


async def test_frames_flow_over_tls_as_they_do_without(secured: tuple[str, NatsSettings]) -> None:
    _, settings = secured
    async with Connection.open(settings, patience_s=5) as connection:
        assert connection._client.transport.encrypted
        world = RealWorld(connection)
        await world.make_stream()
        publisher = world.js.publisher(world.name)
        await publish(publisher, world, 3000)
        await publisher.drain()
        source = await world.consume()
        assert [message.payload for message in await read(source, 3000)] == [b"%d" % number for number in range(3000)]


async def test_a_certificate_that_nobody_vouches_for_is_refused(secured: tuple[str, NatsSettings]) -> None:
    _, settings = secured
    with pytest.raises(Unavailable, match=r"(?i)certificate"):
        async with Connection.open(replace(settings, tls_ca=None), patience_s=1):
            pass


async def test_a_client_without_a_certificate_is_refused(secured: tuple[str, NatsSettings]) -> None:
    _, settings = secured
    with pytest.raises(Unavailable):
        async with Connection.open(replace(settings, tls_cert=None, tls_key=None), patience_s=1):
            pass


async def test_a_certificate_that_was_wrong_at_first_is_looked_at_again(server_directory: Path) -> None:
    """The node was started before the server's certificate was put right, and needs no restart."""
    shown = []
    for name in ("strange", "right"):
        (server_directory / name).mkdir()
        shown.append(await make_certificate(server_directory / name))
    servers = [
        NatsServer(
            server_directory / "nats",
            extra=f'allow_non_tls: true\ntls {{ cert_file: "{pair[0]}", key_file: "{pair[1]}" }}',
        )
        for pair in shown
    ]
    await servers[0].start()
    settings = NatsSettings(servers[0].url.replace("nats://", "tls://"), tls_ca=str(shown[1][0]))
    async with Connection.open(settings) as connection, asyncio.timeout(15):
        while "certificate verify failed" not in connection.fault:  # noqa: ASYNC110 - tries are not told one by one
            await asyncio.sleep(0.05)
        await servers[0].kill()
        servers[1].port = servers[0].port
        await servers[1].start()
        await connection.wait_connected()
        assert connection._client.transport.encrypted
    await servers[1].kill()
