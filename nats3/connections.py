"""The settings of the program as the rooms that connect want them: neither side knows the other's."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from uuid import uuid4

from nats3.config import Config, Secret
from nats3.config import S3Settings as S3Config
from nats3.jetstream.settings import NatsSettings
from nats3.objects.client import S3Settings


def nats_of(config: Config) -> NatsSettings:
    told = config.nats
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
        name=f"nats3 {config.node_name}",
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
