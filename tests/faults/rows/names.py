"""Who a server is: names that lead nowhere, and certificates that are wrong, both for a while."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import httpx2

from nats3.dev.nats_server import NatsServer
from tests.faults.registry import Skipped, row
from tests.faults.rows.hosts import AWAY_S, SHELL, UNSHARE, Wrapped, end_connections, instead, says
from tests.faults.world import Failed, World

_NAMES = ("nats.nats3.test", "postgres.nats3.test", "s3.nats3.test")
_OWN_NAMES = 'mount --bind "$HOSTS" /etc/hosts && mount --bind "$RESOLVER" /etc/resolv.conf && exec "$@"'


@row("F70", within=240)
async def names_lead_nowhere_for_a_while(world: World) -> None:
    """A node in a mount namespace with a hosts file of its own, and nobody else to ask: first no name is known to it, then that of
    Postgres, then all, then none again while its connections to NATS and Postgres are cut, then all.
    """
    hosts = world.directory / "hosts"
    _know(hosts)
    node = await _that_knows(world, hosts)
    _, postgres, s3 = _NAMES
    async with asyncio.TaskGroup() as tasks:
        starting = tasks.create_task(node.start())
        await says(world, postgres)
        world.verdict.need(not starting.done(), "it was there without Postgres")
        _know(hosts, postgres)
    await _not_ready(world, "nats", "name resolution")
    await _not_ready(world, "s3", s3)
    _know(hosts, *_NAMES)
    await world.make_stream()
    await world.publish(500)
    job = await world.store(max_count=50)
    await world.until_stored(job, within=60)
    _know(hosts)
    await world.servers.nats.kill()
    await world.servers.nats.start()
    await end_connections(world)
    await world.publish(500)
    await asyncio.sleep(AWAY_S)
    world.verdict.need(node.running, "it ended for want of a name")
    _know(hosts, *_NAMES)
    took = await world.until_stored(job, within=60)
    world.note(f"all stored {took:.1f} s after the names were known again")
    await world.check_store(job)


async def _that_knows(world: World, hosts: Path) -> Wrapped:
    """A node, not started yet, to which no other names are known, and that calls all servers by name."""
    resolver = world.directory / "resolver"
    resolver.write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n", "ascii")
    nats, postgres, s3 = _NAMES
    return await instead(
        world,
        *(str(UNSHARE), "-m", str(SHELL), "-c", _OWN_NAMES, "sh"),
        alive="/ping",
        HOSTS=str(hosts),
        RESOLVER=str(resolver),
        NATS3_NATS_URL=world.servers.nats.url.replace("127.0.0.1", nats),
        NATS3_POSTGRES_URL=world.postgres_url.replace("127.0.0.1", postgres),
        NATS3_S3_ENDPOINT=world.s3.endpoint.replace("127.0.0.1", s3),
    )


def _know(hosts: Path, *names: str) -> None:
    """The file is mounted where it is, so it is written in place."""
    hosts.write_text("127.0.0.1 localhost\n" + "".join(f"127.0.0.1 {name}\n" for name in names), "ascii")


async def _not_ready(world: World, name: str, *words: str) -> None:
    """/ready names the dependency, and says why in these words."""

    async def told() -> str:
        async with httpx2.AsyncClient(base_url=world.node.url, timeout=10) as client:
            answer = await client.get("/ready")
        return "" if answer.status_code == 200 else answer.json()["faults"].get(name, "")

    async def fits() -> bool:
        said = await told()
        if not all(word in said for word in words):
            raise Failed(f"/ready says of {name}: {said!r}")
        return True

    await world.until(f"/ready says {words} of {name}", fits)


@dataclass(frozen=True)
class _Signer:
    """Signs certificates for 127.0.0.1."""

    at: Path

    @property
    def certificate(self) -> Path:
        return self.at / "ca.pem"

    def begin(self) -> None:
        self.at.mkdir()
        (self.at / "index").touch()
        (self.at / "config").write_text(
            f"[ca]\ndefault_ca = all\n[all]\nnew_certs_dir = {self.at}\ndatabase = {self.at}/index\nunique_subject = no\nrand_serial = yes\n"
            "default_md = sha256\npolicy = any\ncopy_extensions = copy\n[any]\ncommonName = supplied\n",
            "ascii",
        )
        _openssl(
            "req", "-x509", *_KEY, self.at / "ca.key", "-out", self.certificate, "-days", "2", "-subj", "/CN=signer"
        )

    def sign(self, name: str, begins: str, ends: str) -> tuple[Path, Path]:
        """Certificate and key that count from the one moment to the other."""
        made, key, asked = (self.at / f"{name}.{suffix}" for suffix in ("pem", "key", "csr"))
        _openssl("req", *_KEY, key, "-out", asked, "-subj", "/CN=nats", "-addext", "subjectAltName=IP:127.0.0.1")
        signer = ("-config", self.at / "config", "-keyfile", self.at / "ca.key", "-cert", self.certificate)
        _openssl("ca", "-batch", "-notext", *signer, "-startdate", begins, "-enddate", ends, "-in", asked, "-out", made)
        return made, key


_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout")
_NOW, _EVER, _PAST = "20200101000000Z", "20491231000000Z", "20200102000000Z"


def _openssl(*words: object) -> None:
    if shutil.which("openssl") is None:
        raise Skipped("no openssl is here to make certificates")
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"openssl {words[0]}: {done.stderr[-300:]}")


def _certificates(world: World) -> tuple[Path, dict[str, tuple[Path, Path]]]:
    """Who signs for us, and what a server may show: one that is right, one too old, and one of a stranger."""
    ours, strange = _Signer(world.directory / "ours"), _Signer(world.directory / "strange")
    for signer in (ours, strange):
        signer.begin()
    return ours.certificate, {
        "strange": strange.sign("strange", _NOW, _EVER),
        "old": ours.sign("old", _NOW, _PAST),
        "right": ours.sign("right", _NOW, _EVER),
    }


@row("F70", within=240)
async def certificates_of_nats_are_wrong_for_a_while(world: World) -> None:
    """A nats-server with TLS, restarted with other certificates: of a stranger, expired, right, expired, right."""
    ca, shown = await asyncio.to_thread(_certificates, world)
    servers = {name: _with_certificate(world, *pair) for name, pair in shown.items()}
    before, node = world.servers, None
    try:
        await _show(world, servers["strange"])
        node = await instead(
            world,
            alive="/ping",
            NATS3_NATS_URL=servers["strange"].url.replace("nats:", "tls:"),
            NATS3_NATS_TLS_CA=str(ca),
        )
        await node.start()
        await _not_ready(world, "nats", "certificate verify failed", "issuer")
        await _show(world, servers["old"])
        await _not_ready(world, "nats", "certificate verify failed", "certificate has expired")
        await _show(world, servers["right"])
        await world.make_stream()
        await world.publish(500)
        job = await world.store(max_count=50)
        await world.until_stored(job, within=60)
        await _show(world, servers["old"])
        await world.publish(500)
        await _not_ready(world, "nats", "certificate has expired")
        await world.stays_running(job, "store", AWAY_S)
        await _show(world, servers["right"])
        took = await world.until_stored(job, within=60)
        world.note(f"all stored {took:.1f} s after the certificate was right again")
        await world.check_store(job)
        await node.kill()
    finally:
        await world.forget()
        world.servers = before
        for server in servers.values():
            await server.kill()


def _with_certificate(world: World, certificate: Path, key: Path) -> NatsServer:
    """Of one place and one port, so that each is the other restarted; we ourselves come in clear."""
    extra = f'allow_non_tls: true\ntls {{ cert_file: "{certificate}", key_file: "{key}" }}'
    return NatsServer(world.directory / "nats", extra=extra)


async def _show(world: World, server: NatsServer) -> None:
    """This one is the NATS of the world from now on."""
    was = world.servers.nats
    if was.directory == server.directory:
        server.port = was.port
        await was.kill()
    await world.forget()
    await server.start()
    world.servers = replace(world.servers, nats=server)
