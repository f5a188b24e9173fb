"""Every way of logging in, each at a real server that demands it, with the client that nats3 works with."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import shutil
import socket
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import nkeys
import psycopg
import pytest
from typing_extensions import override

from eventstore import LogUnavailable
from eventstore.connection import Link
from nats3.dev.nats_server import NatsServer
from nats3.dev.ports import LOOPBACK, free_port
from nats3.dev.postgres_server import PostgresServer
from nats3.dev.process import Command
from nats3.dev.s3_server import S3Server
from nats3.errors import Unavailable
from nats3.jetstream.connection import Connection
from nats3.jetstream.settings import NatsSettings
from nats3.jetstream.streams import JetStreams, StreamMissing
from nats3.objects.client import S3Settings
from nats3.objects.s3 import S3Store
from nats3.objects.store import Put
from tests.contract.debian_postgres import INSTALL, Debian15
from tests.jetstream.test_tls import make_certificate

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")


class Guarded(NatsServer):
    """A server that lets nobody in who only wants to know whether it is there."""

    @override
    async def _ask(self) -> None:
        _, writer = await asyncio.open_connection(LOOPBACK, self.port)
        writer.close()


async def works(settings: NatsSettings) -> None:
    """JetStream answers on a connection made so."""
    async with Connection.open(settings, patience_s=10) as connection:
        with pytest.raises(StreamMissing):
            await JetStreams(connection).info("NONE")


async def refused(settings: NatsSettings) -> None:
    with pytest.raises(Unavailable):
        async with Connection.open(settings, patience_s=0.5):
            pass


async def test_a_token_in_the_settings_or_in_the_url(server_directory: Path) -> None:
    async with Guarded(server_directory / "nats", extra='authorization { token: "hush" }') as server:
        host = server.url.removeprefix("nats://")
        await works(NatsSettings(host, token="hush"))
        await works(NatsSettings(f"nats://hush@{host}"))
        await refused(NatsSettings(host))


def key_of(kind: int) -> tuple[nkeys.KeyPair, bytes]:
    seed = nkeys.encode_seed(secrets.token_bytes(32), kind)
    return nkeys.from_seed(seed), bytes(seed)


async def test_the_seed_of_an_nkey(server_directory: Path) -> None:
    pair, seed = key_of(nkeys.PREFIX_BYTE_USER)
    _, other = key_of(nkeys.PREFIX_BYTE_USER)
    files = {"seed": seed, "other": other}
    for name, content in files.items():
        await asyncio.to_thread((server_directory / name).write_bytes, content)
    extra = f"accounts {{ A {{ jetstream: enabled, users: [{{ nkey: {pair.public_key.decode()} }}] }} }}"
    async with Guarded(server_directory / "nats", extra=extra) as server:
        await works(NatsSettings(server.url, nkey=str(server_directory / "seed")))
        await refused(NatsSettings(server.url, nkey=str(server_directory / "other")))


def signed(issuer: nkeys.KeyPair, subject: nkeys.KeyPair, kind: str, **claims: object) -> str:
    """A JWT as nsc writes it."""

    def part(content: Mapping[str, object]) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()

    said = {
        "jti": secrets.token_hex(8),
        "iat": 1_700_000_000,
        "iss": issuer.public_key.decode(),
        "sub": subject.public_key.decode(),
        "name": kind,
        "nats": {"type": kind, "version": 2, **claims},
    }
    text = f"{part({'typ': 'JWT', 'alg': 'ed25519-nkey'})}.{part(said)}"
    return f"{text}.{base64.urlsafe_b64encode(issuer.sign(text.encode())).rstrip(b'=').decode()}"


async def test_a_file_with_jwt_and_seed(server_directory: Path) -> None:
    operator, _ = key_of(nkeys.PREFIX_BYTE_OPERATOR)
    account, _ = key_of(nkeys.PREFIX_BYTE_ACCOUNT)
    system, _ = key_of(nkeys.PREFIX_BYTE_ACCOUNT)
    user, seed = key_of(nkeys.PREFIX_BYTE_USER)
    all_of = {"subs": -1, "data": -1, "payload": -1, "conn": -1, "leaf": -1, "imports": -1, "exports": -1}
    jetstream = {"mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1}
    limits = {account: {**all_of, "wildcards": True, **jetstream}, system: {**all_of, "wildcards": True}}
    accounts = {each: signed(operator, each, "account", limits=limits[each]) for each in limits}
    free = {"pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1}
    preloaded = ", ".join(f"{each.public_key.decode()}: {text}" for each, text in accounts.items())
    extra = (
        f"operator: {signed(operator, operator, 'operator')}\nsystem_account: {system.public_key.decode()}\n"
        f"resolver: MEMORY\nresolver_preload: {{ {preloaded} }}"
    )
    creds = server_directory / "nats3.creds"
    text = signed(account, user, "user", **free)
    await asyncio.to_thread(
        creds.write_text,
        f"-----BEGIN NATS USER JWT-----\n{text}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{seed.decode()}\n------END USER NKEY SEED------\n",
    )
    async with Guarded(server_directory / "nats", extra=extra) as server:
        await works(NatsSettings(server.url, creds=str(creds)))
        await refused(NatsSettings(server.url))


@needs_openssl
async def test_tls_before_the_first_line(server_directory: Path) -> None:
    certificate, key = await make_certificate(server_directory)
    tls = f'tls {{ cert_file: "{certificate}", key_file: "{key}", handshake_first: true }}'
    async with Guarded(server_directory / "nats", extra=tls) as server:
        url = server.url.replace("nats://", "tls://")
        await works(NatsSettings(url, tls_ca=str(certificate), tls_first=True))
        await refused(NatsSettings(url, tls_ca=str(certificate)))


async def test_a_domain_of_jetstream(server_directory: Path) -> None:
    store = server_directory / "nats" / "jetstream"
    extra = f'jetstream {{ store_dir: "{store}", domain: hub }}'
    async with NatsServer(server_directory / "nats", extra=extra) as server:
        await works(NatsSettings(server.url, domain="hub"))
        async with Connection.open(NatsSettings(server.url, domain="other"), patience_s=5) as connection:
            with pytest.raises(Unavailable, match=r"\$JS\.other\.API"):
                await JetStreams(connection).info("NONE")


async def test_another_prefix_of_the_api(server_directory: Path) -> None:
    """Of an account whose JetStream another account may use, as it imports it."""
    extra = """
    accounts {
      A { jetstream: enabled, users: [{ user: a, password: a }], exports: [{ service: "$JS.API.>" }] }
      B { users: [{ user: b, password: b }], imports: [{ service: { account: A, subject: "$JS.API.>" }, to: "acme.js.>" }] }
    }
    no_auth_user: a
    """
    async with NatsServer(server_directory / "nats", extra=extra) as server:
        settings = NatsSettings(server.url, user="b", password="b", api_prefix="acme.js")
        await works(settings)
        async with Connection.open(replace(settings, api_prefix=None), patience_s=5) as connection:
            with pytest.raises(Unavailable):
                await JetStreams(connection).info("NONE")


async def test_several_servers_of_which_some_are_away(fresh_nats: NatsServer) -> None:
    host = fresh_nats.url.removeprefix("nats://")
    await works(NatsSettings(f"127.0.0.1:{free_port()},{host}"))


@needs_openssl
@pytest.mark.skipif(not INSTALL.exists(), reason="Debian's postgresql-15 is not installed; the wheel's speaks no TLS")
async def test_a_postgres_that_demands_tls(server_directory: Path) -> None:
    certificate, key = await make_certificate(server_directory)
    async with Debian15(server_directory / "postgres", durable=False) as server:
        await asyncio.to_thread(demand_tls, server, certificate, key)
        link = Link(f"{server.url}?sslmode=verify-full&sslrootcert={certificate}", "a test")
        rows = await link.fetch("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        await link.drop()
        assert rows == [(True,)]
        with pytest.raises(LogUnavailable, match="no encryption"):
            await Link(f"{server.url}?sslmode=disable", "a test").fetch("SELECT 1")


def demand_tls(server: PostgresServer, certificate: Path, key: Path) -> None:
    """It has a certificate, and lets nobody in without TLS."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        row = connection.execute("SHOW data_directory").fetchone()
        assert row is not None
        data = Path(row[0])
        for file, name in ((certificate, "server.crt"), (key, "server.key")):
            shutil.copy(file, data / name)
            shutil.chown(data / name, data.stat().st_uid)
            (data / name).chmod(0o600)
        (data / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 password\n")
        connection.execute("ALTER SYSTEM SET ssl = on")
        connection.execute("SELECT pg_reload_conf()")


class NamedS3(S3Server):
    """Speaks TLS at a port of its own, and takes the bucket out of the host name."""

    def __init__(self, directory: Path, certificate: Path, key: Path) -> None:
        super().__init__(directory)
        self._certificate, self._key = certificate, key
        self.tls_port = 0

    @override
    def _choose_ports(self) -> None:
        super()._choose_ports()
        self.tls_port = free_port()

    @override
    def _command(self) -> Command:
        command = super()._command()
        more = (f"-s3.port.https={self.tls_port}", f"-s3.cert.file={self._certificate}", f"-s3.key.file={self._key}")
        return replace(command, arguments=(*command.arguments, *more, "-s3.domainName=s3.test"))


@needs_openssl
@pytest.mark.timeout(60)
async def test_an_authority_of_our_own_and_the_bucket_in_path_or_host_name(
    server_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = await make_certificate(server_directory)
    looked_up: list[str] = []
    resolve = socket.getaddrinfo

    def here(host: Any, *more: Any, **named: Any) -> Any:
        """No name server knows our names."""
        looked_up.append(str(host))
        return resolve(LOOPBACK if str(host).endswith("s3.test") else host, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", here)
    async with NamedS3(server_directory / "s3", certificate, key) as server:
        await server.make_bucket("archive")
        access = server.access
        plain = S3Settings(f"http://s3.test:{server.port}", access.region, access.access, access.secret)
        secured = replace(plain, endpoint=f"https://{LOOPBACK}:{server.tls_port}", tls_ca=str(certificate))
        for settings in (
            replace(plain, addressing="path"),
            replace(plain, addressing="virtual"),
            replace(secured, addressing="path"),
        ):
            async with S3Store.open(settings) as store:
                body = f"{settings.addressing} {settings.endpoint}".encode()
                name = sha256(body).hexdigest()
                assert await store.put_new("archive", name, body, name) is Put.CREATED
                assert await store.get("archive", name) == body
        assert "archive.s3.test" in looked_up
        async with S3Store.open(replace(secured, tls_ca=None)) as store:
            with pytest.raises(Unavailable, match=r"(?i)certificate|ssl"):
                await store.bucket_exists("archive")
