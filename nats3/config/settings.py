"""Every setting nats3 knows, once: its key in a file, and with it its variable, its reader, default and example."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Generic, TypeVar, cast

from nats3.config import read
from nats3.config.values import Address, Addressing, Auth, Level, LogFormat, Network, Secret, ServiceRole
from nats3.failpoint import Failpoint

T = TypeVar("T")
MIB = 1024 * 1024


class Need(Enum):
    """A setting without a default."""

    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class Setting(Generic[T]):
    """`key` is its place in a file (`nats.url`). A `secret` may come out of a file (`*_FILE`) and is never shown."""

    key: str
    parse: Callable[[str], T]
    default: T | Need
    example: str
    about: str
    secret: bool = False
    in_file: bool = True
    in_environment: bool = True

    @property
    def variable(self) -> str:
        """What to set: its variable; the key of one that stands in the file alone."""
        if not self.in_environment:
            return self.key
        return "NATS3_" + self.key.upper().replace(".", "_")


LEVELS: tuple[Level, ...] = ("trace", "debug", "info", "warn", "error")
_LEVEL: Callable[[str], Level] = read.one_of(LEVELS)
_FORMATS: tuple[LogFormat, ...] = ("auto", "json", "console")
_AUTHS: tuple[Auth, ...] = ("auto", "required")
_SERVICE_ROLES: tuple[ServiceRole, ...] = ("off", "read", "operate")
_ADDRESSINGS: tuple[Addressing, ...] = ("auto", "path", "virtual")


def _level(raw: str) -> Level:
    return _LEVEL(read.level(raw))


LOG: Setting[Level] = Setting(
    "log", _level, "info", "debug", "least level that is logged: trace, debug, info, warn, error"
)
LOG_FORMAT: Setting[LogFormat] = Setting("log_format", read.one_of(_FORMATS), "auto", "json", "auto, json or console")
NODE_NAME: Setting[str | None] = Setting(
    "node_name", read.text, None, "nats3-a", "name of this node; the host's by default"
)
FAILPOINTS: Setting[tuple[Failpoint, ...]] = Setting(
    "failpoints",
    read.failpoints,
    (),
    "store.after_put=kill@3",
    "for fault tests only: where this process harms itself",
    in_file=False,
)
FAILPOINTS_ALLOWED: Setting[bool] = Setting(
    "failpoints_allowed", read.switch, False, "true", "this process is a test and may harm itself", in_file=False
)

SERVER_ADDR: Setting[Address] = Setting(
    "server.addr", read.address, Address("127.0.0.1", 8080), "127.0.0.1:8080", "where the API listens"
)
SERVER_INSECURE_BIND: Setting[bool] = Setting(
    "server.insecure_bind", read.switch, False, "true", "listen beyond loopback although no token is asked for"
)

SERVER_HOSTS: Setting[tuple[str, ...]] = Setting(
    "server.hosts",
    read.hosts,
    (),
    "nats3.example.org",
    "names, by commas, that a Host header may hold beside our own; * for any",
)

SERVER_AUTH: Setting[Auth] = Setting(
    "server.auth",
    read.one_of(_AUTHS),
    "auto",
    "required",
    "who needs a token: required says everyone; auto nobody on loopback, until the first token is made",
)
SERVER_TRUSTED_PROXIES: Setting[tuple[Network, ...]] = Setting(
    "server.trusted_proxies",
    read.networks,
    (),
    "10.0.0.5,10.1.0.0/16",
    "addresses and networks, by commas, of the proxies that ask who is there; X-Forwarded-* is believed from them alone",
)
SERVER_TLS_CERT: Setting[Path | None] = Setting(
    "server.tls_cert", read.path, None, "/etc/nats3/tls.crt", "certificate of the API, with those that signed it"
)
SERVER_TLS_KEY: Setting[Path | None] = Setting(
    "server.tls_key", read.path, None, "/etc/nats3/tls.key", "key of that certificate"
)
SERVER_TLS_CA: Setting[Path | None] = Setting(
    "server.tls_ca", read.path, None, "/etc/nats3/clients.pem", "who signs the clients that alone may connect"
)
SERVER_METRICS_PUBLIC: Setting[bool] = Setting(
    "server.metrics_public", read.switch, False, "true", "answer /metrics without a token"
)

NATS_CONTEXT: Setting[str | None] = Setting(
    "nats.context",
    read.text,
    None,
    "prod",
    "context of the `nats` command line, by name or path, for what is not set here",
)
NATS_URL: Setting[Secret] = Setting(
    "nats.url", read.nats_url, Need.REQUIRED, "nats://127.0.0.1:4222", "NATS servers, by commas", secret=True
)
NATS_USER: Setting[str | None] = Setting("nats.user", read.text, None, "nats3", "user name")
NATS_PASSWORD: Setting[Secret | None] = Setting(
    "nats.password", read.secret, None, "...", "password of the user", secret=True
)
NATS_TOKEN: Setting[Secret | None] = Setting("nats.token", read.secret, None, "...", "token", secret=True)
NATS_CREDS: Setting[Path | None] = Setting(
    "nats.creds", read.path, None, "/etc/nats3/nats3.creds", "file with JWT and seed"
)
NATS_NKEY: Setting[Path | None] = Setting(
    "nats.nkey", read.path, None, "/etc/nats3/nats3.nk", "file with the seed of an nkey"
)
NATS_TLS_CA: Setting[Path | None] = Setting(
    "nats.tls_ca", read.path, None, "/etc/nats3/ca.pem", "who signs the servers"
)
NATS_TLS_CERT: Setting[Path | None] = Setting(
    "nats.tls_cert", read.path, None, "/etc/nats3/cert.pem", "our certificate"
)
NATS_TLS_KEY: Setting[Path | None] = Setting(
    "nats.tls_key", read.path, None, "/etc/nats3/key.pem", "key of our certificate"
)
NATS_TLS_FIRST: Setting[bool] = Setting(
    "nats.tls_first", read.switch, False, "true", "TLS before the server's first line"
)
NATS_TLS_HOSTNAME: Setting[str | None] = Setting(
    "nats.tls_hostname", read.text, None, "nats.example.org", "name that the server's certificate must carry"
)
NATS_API_PREFIX: Setting[str | None] = Setting(
    "nats.api_prefix", read.text, None, "$JS.hub.API", "prefix of JetStream's subjects; goes before the domain"
)
NATS_DOMAIN: Setting[str | None] = Setting("nats.domain", read.text, None, "hub", "JetStream domain")
NATS_INBOX_PREFIX: Setting[str] = Setting(
    "nats.inbox_prefix", read.text, "_INBOX", "_INBOX_nats3", "prefix of reply subjects"
)

POSTGRES_URL: Setting[Secret] = Setting(
    "postgres.url",
    read.postgres_url,
    Need.REQUIRED,
    "postgresql://nats3:PASSWORD@127.0.0.1:5432/nats3",
    "database of the event log",
    secret=True,
)
POSTGRES_MIGRATE: Setting[bool] = Setting(
    "postgres.migrate", read.switch, True, "false", "bring the tables up to date at start"
)
POSTGRES_MIGRATE_URL: Setting[Secret | None] = Setting(
    "postgres.migrate_url",
    read.postgres_url,
    None,
    "postgresql://owner:PASSWORD@127.0.0.1:5432/nats3",
    "the same database as its owner; postgres.url by default",
    secret=True,
)

S3_ENDPOINT: Setting[str | None] = Setting(
    "s3.endpoint", read.http_url, None, "http://127.0.0.1:8333", "AWS by default"
)
S3_REGION: Setting[str] = Setting("s3.region", read.text, "us-east-1", "us-east-1", "region")
S3_ACCESS: Setting[str | None] = Setting(
    "s3.access", read.text, None, "AKIA...", "access key; else the credential chain"
)
S3_SECRET: Setting[Secret | None] = Setting("s3.secret", read.secret, None, "...", "secret key", secret=True)
S3_SESSION_TOKEN: Setting[Secret | None] = Setting(
    "s3.session_token", read.secret, None, "...", "token of temporary keys", secret=True
)
S3_TLS_CA: Setting[Path | None] = Setting(
    "s3.tls_ca", read.path, None, "/etc/nats3/s3-ca.pem", "who signs the endpoint, where the system does not know him"
)
S3_ADDRESSING: Setting[Addressing] = Setting(
    "s3.addressing", read.one_of(_ADDRESSINGS), "auto", "path", "bucket in the path or in the host name"
)
S3_MAX_CONCURRENCY: Setting[int] = Setting(
    "s3.max_concurrency", read.whole(1, 1024), 16, "16", "requests under way at once"
)

EVENTS_PUBLISH: Setting[bool] = Setting(
    "events.publish", read.switch, False, "true", "publish the events of the log into a stream of NATS"
)
EVENTS_STREAM: Setting[str] = Setting(
    "events.stream", read.stream, "NATS3_EVENTS", "NATS3_EVENTS", "the stream that takes them"
)
EVENTS_MAKE_STREAM: Setting[bool] = Setting(
    "events.make_stream", read.switch, False, "true", "make that stream where there is none"
)
EVENTS_SUBJECT: Setting[str] = Setting(
    "events.subject", read.subject, "nats3.event", "nats3.event", "what their subjects begin with"
)

SERVICE_ROLE: Setting[ServiceRole] = Setting(
    "service.role",
    read.one_of(_SERVICE_ROLES),
    "off",
    "read",
    "what the micro service on NATS offers: off, read, operate",
)
SERVICE_SUBJECT: Setting[str] = Setting(
    "service.subject", read.subject, "nats3.api", "nats3.api", "what its subjects begin with"
)

S3_SWEEP_HOURS: Setting[int] = Setting(
    "s3.sweep_hours", read.whole(0, 87_600), 0, "24", "hours after which a condemned object is deleted; 0: never"
)

LIMITS_MEMORY: Setting[int] = Setting(
    "limits.memory", read.size(16 * MIB), 256 * MIB, "256MB", "bytes of messages on their way, over all jobs"
)
LIMITS_REQUESTS: Setting[int] = Setting(
    "limits.requests", read.whole(0, 1_000_000), 200, "200", "requests a second that one token may make; 0 for any"
)

LOG_RETENTION_BUCKET: Setting[str | None] = Setting(
    "log_retention.bucket",
    read.text,
    None,
    "nats3-log",
    "bucket that old events of the log move to; none moves without",
)
LOG_RETENTION_PREFIX: Setting[str] = Setting(
    "log_retention.prefix", read.text, "event-log", "event-log", "what the keys of these objects begin with"
)
LOG_RETENTION_DAYS: Setting[int] = Setting(
    "log_retention.days", read.whole(0, 36_500), 90, "90", "days that events stay in Postgres at least"
)
LOG_RETENTION_KEEP: Setting[int] = Setting(
    "log_retention.keep", read.whole(0, 10**15), 1_000_000, "1000000", "how many of the newest stay there at least"
)
LOG_RETENTION_INTERVAL: Setting[int] = Setting(
    "log_retention.interval", read.whole(1, 86_400), 60, "60", "seconds between looks for what may move"
)

TRACES_ENDPOINT: Setting[str | None] = Setting(
    "traces.endpoint",
    read.http_url,
    None,
    "http://127.0.0.1:4318",
    "collector that takes traces as OTLP over HTTP; needs the extra `otel`",
)

SETTINGS = tuple(cast("Setting[object]", value) for value in tuple(globals().values()) if isinstance(value, Setting))
BY_KEY = {setting.key: setting for setting in SETTINGS}

OTHER_VARIABLES = frozenset({"NATS3_CONFIG", "NATS3_URL", "NATS3_OUTPUT", "NATS3_TOKEN", "NATS3_TOKEN_FILE"})
"""Variables that are no settings of the server: where its file is; what the command line talks to, shows to it and prints."""
