"""The settings as values. A secret shows itself only to who asks for it by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

from typing_extensions import override

from nats3.failpoint import Failpoint

Level = Literal["trace", "debug", "info", "warn", "error"]
LogFormat = Literal["auto", "json", "console"]
Network: TypeAlias = IPv4Network | IPv6Network
Auth = Literal["auto", "required"]
ServiceRole = Literal["off", "read", "operate"]
Addressing = Literal["auto", "path", "virtual"]


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A text that no log, message or repr may hold. `shown` is what stands in its place."""

    _text: str
    shown: str = "***"

    def reveal(self) -> str:
        """The text itself, for the one call that needs it."""
        return self._text

    @override
    def __repr__(self) -> str:
        return f"Secret({self.shown!r})"

    @override
    def __str__(self) -> str:
        return self.shown


@dataclass(frozen=True, slots=True)
class Address:
    """A host (name or IP without brackets) and a port; port 0 lets the system choose."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @override
    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Where the API listens. `insecure_bind` allows other machines in although no token is asked for and no TLS spoken.

    `hosts` are names that a Host header may hold beside those of loopback and of the bind; lower case, without port.
    """

    addr: Address
    insecure_bind: bool
    hosts: tuple[str, ...] = ()
    auth: Auth = "auto"
    metrics_public: bool = False
    trusted_proxies: tuple[Network, ...] = ()
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_ca: Path | None = None

    @property
    def asks_always(self) -> bool:
        """Whether a token is needed even while none was ever made."""
        open_to_all = self.insecure_bind or self.addr.is_loopback
        return self.auth == "required" or bool(self.trusted_proxies) or not open_to_all

    @property
    def host(self) -> str:
        return self.addr.host

    @property
    def port(self) -> int:
        return self.addr.port


@dataclass(frozen=True, slots=True)
class NatsSettings:
    """How to reach NATS. `url` may list several servers by commas; each has its scheme here.

    `context` says where some of it was read; what it told stands in the other fields.
    """

    context: str | None
    url: Secret
    user: str | None
    password: Secret | None
    token: Secret | None
    creds: Path | None
    nkey: Path | None
    tls_ca: Path | None
    tls_cert: Path | None
    tls_key: Path | None
    tls_first: bool
    tls_hostname: str | None
    domain: str | None
    api_prefix: str | None
    inbox_prefix: str

    @property
    def servers(self) -> list[str]:
        """The URLs in the clear, as a client takes them."""
        return self.url.reveal().split(",")


@dataclass(frozen=True, slots=True)
class PostgresSettings:
    """`url` is for daily work; `migrate_url`, equal unless said otherwise, owns the tables. `migrate`: do so at start."""

    url: Secret
    migrate: bool
    migrate_url: Secret


@dataclass(frozen=True, slots=True)
class S3Settings:
    """No `endpoint` means AWS itself; no `access` and `secret` mean the credential chain of AWS."""

    endpoint: str | None
    region: str
    access: str | None
    secret: Secret | None
    session_token: Secret | None
    addressing: Addressing
    max_concurrency: int
    sweep_hours: int = 0
    tls_ca: Path | None = None


@dataclass(frozen=True, slots=True)
class LogSettings:
    """`auto` writes for people on a terminal and JSON elsewhere."""

    level: Level
    format: LogFormat


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """`memory`: bytes that messages on their way may take, over all jobs of this node; `requests`: a second, per token."""

    memory: int
    requests: int = 200


@dataclass(frozen=True, slots=True)
class EventSettings:
    """Whether events of the log are published in NATS, into which stream, and below which subject."""

    publish: bool
    stream: str
    make_stream: bool
    subject: str


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """How much of the API is offered as a micro service on NATS, and below which subject."""

    role: ServiceRole
    subject: str


@dataclass(frozen=True, slots=True)
class LogRetentionSettings:
    """Where old events of the log move to (None: they stay), and which: `days` old, with `keep` newer ones behind them.

    `interval`: seconds between looks.
    """

    bucket: str | None
    prefix: str
    days: int
    keep: int
    interval: int


@dataclass(frozen=True, slots=True)
class TraceSettings:
    """`endpoint`: the collector that spans are sent to; None sends none."""

    endpoint: str | None = None


@dataclass(frozen=True, slots=True)
class Config:
    """Everything nats3 was told, checked."""

    server: ServerSettings
    nats: NatsSettings
    postgres: PostgresSettings
    s3: S3Settings
    log: LogSettings
    limits: LimitSettings
    events: EventSettings
    service: ServiceSettings
    log_retention: LogRetentionSettings
    node_name: str
    traces: TraceSettings = TraceSettings()
    failpoints: tuple[Failpoint, ...] = ()
    """Tests only: where this process must harm itself; empty in every real life."""
    more_nats: Mapping[str, NatsSettings] = field(default_factory=dict[str, NatsSettings])
    """Connections beside `nats`, by name."""
    more_s3: Mapping[str, S3Settings] = field(default_factory=dict[str, S3Settings])

    def secrets(self) -> list[str]:
        """Every text that no log line may hold: for the redactor, and for nothing else."""
        every_nats, every_s3 = [self.nats, *self.more_nats.values()], [self.s3, *self.more_s3.values()]
        whole = [self.postgres.url, self.postgres.migrate_url, *(each.url for each in every_nats)]
        plain = [secret for each in every_nats for secret in (each.password, each.token)]
        plain += [secret for each in every_s3 for secret in (each.secret, each.session_token)]
        texts = [secret.reveal() for secret in plain if secret is not None]
        for url in whole:
            texts += _passwords(url.reveal())
        return sorted({text for text in texts if text}, key=len, reverse=True)


def _passwords(urls: str) -> Iterator[str]:
    """Passwords and tokens of the URLs, as they are written and decoded."""
    for url in urls.split(","):
        login, at, _ = url.partition("://")[2].rpartition("@")
        queried = [value for name, value in parse_qsl(urlsplit(url).query) if name in {"password", "sslpassword"}]
        user, colon, password = login.partition(":")
        own = [password] if colon else [user] if at and not url.startswith("postgres") else []
        yield from (form for text in own + queried for form in (text, unquote(text)))
