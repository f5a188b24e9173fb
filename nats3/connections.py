"""What a node is connected to: its settings as the rooms that connect want them, and the connections made of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

from nats3.config import Config, Secret
from nats3.config import NatsSettings as NatsConfig
from nats3.config import S3Settings as S3Config
from nats3.jetstream.connection import Connection
from nats3.jetstream.named import JetStreamsByName
from nats3.jetstream.server import NatsJetStream
from nats3.jetstream.settings import NatsSettings
from nats3.objects.client import S3Settings
from nats3.objects.places import Places
from nats3.objects.s3 import S3Store
from nats3.place import MAIN
from nats3.telemetry.listeners import ObjectListener
from nats3.telemetry.signals import Telemetry


@dataclass(frozen=True, slots=True)
class Connected:
    """The connections of a node. `nats` is the one called `main`; `s3_names` are those behind `s3`."""

    nats: Connection
    jetstreams: JetStreamsByName
    s3: Places
    s3_names: tuple[str, ...]


@asynccontextmanager
async def connected(config: Config, telemetry: Telemetry) -> AsyncGenerator[Connected]:
    """Every connection that is configured, each on its own: none waits for another, and none is waited for."""
    async with AsyncExitStack() as lifetimes:
        s3 = {
            name: await lifetimes.enter_async_context(S3Store.open(s3_of(told), ObjectListener(telemetry, name)))
            for name, told in {MAIN: config.s3, **config.more_s3}.items()
        }
        nats = {
            name: await lifetimes.enter_async_context(Connection.open(nats_of(told, config.node_name)))
            for name, told in {MAIN: config.nats, **config.more_nats}.items()
        }
        for name, each in nats.items():
            telemetry.nats_awaited(name)
            each.on_change(partial(telemetry.nats_connected, name))
        jetstreams: Mapping[str, NatsJetStream] = {name: NatsJetStream(each) for name, each in nats.items()}
        yield Connected(nats[MAIN], JetStreamsByName(jetstreams), Places(s3), tuple(s3))


def nats_of(told: NatsConfig, node: str) -> NatsSettings:
    """`node` is how the servers list the connection."""
    return NatsSettings(
        url=told.url.reveal(),
        user=told.user,
        password=_revealed(told.password),
        token=_revealed(told.token),
        creds=_path(told.creds),
        nkey=_path(told.nkey),
        tls_ca=_path(told.tls_ca),
        tls_cert=_path(told.tls_cert),
        tls_key=_path(told.tls_key),
        tls_hostname=told.tls_hostname,
        tls_first=told.tls_first,
        name=f"nats3 {node}",
        domain=told.domain,
        api_prefix=told.api_prefix,
        inbox_prefix=told.inbox_prefix,
    )


def s3_of(told: S3Config) -> S3Settings:
    return S3Settings(
        endpoint=told.endpoint,
        region=told.region,
        access=told.access,
        secret=_revealed(told.secret),
        session_token=_revealed(told.session_token),
        tls_ca=_path(told.tls_ca),
        addressing=told.addressing,
        in_flight=told.max_concurrency,
    )


def _revealed(secret: Secret | None) -> str | None:
    return None if secret is None else secret.reveal()


def _path(path: Path | None) -> str | None:
    return None if path is None else str(path)


def place() -> str:
    """Names this boot of the machine and this network: within them one process at a time listens on an address."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    network = Path("/proc/self/ns/net")
    known = (
        f"{boot.read_text().strip()} {network.readlink()}" if boot.exists() and network.is_symlink() else str(uuid4())
    )
    return sha256(known.encode()).hexdigest()[:8]
