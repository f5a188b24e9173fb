"""How to reach NATS: one small value, read once."""

from __future__ import annotations

from dataclasses import dataclass
from ssl import SSLContext, create_default_context
from urllib.parse import unquote, urlsplit

from nats3.errors import Invalid

_SCHEMES = ("nats", "tls")
_DEFAULT_PORT = 4222


@dataclass(frozen=True, slots=True)
class NatsSettings:
    """Where NATS is and who we are.

    `url` is one server or a comma list; a scheme (nats, tls) and a port may be left out, and the first that names a
    user names it for all. `creds` and `nkey` are paths of a credentials file and of a file with an nkey seed, the
    `tls_*` files are PEM. `domain` is JetStream's; `api_prefix` goes before it (an import may have renamed it). A server
    that misses two pings is given up for another.
    """

    url: str = "nats://127.0.0.1:4222"
    user: str | None = None
    password: str | None = None
    token: str | None = None
    creds: str | None = None
    nkey: str | None = None
    tls_ca: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    tls_hostname: str | None = None
    tls_first: bool = False
    name: str = "nats3"
    domain: str | None = None
    api_prefix: str | None = None
    inbox_prefix: str = "_INBOX"
    ping_every_s: float = 3.0
    """A server that says nothing for two to three of these is given up."""

    @property
    def api(self) -> str:
        """What every JetStream request begins with, without the last dot."""
        if self.api_prefix:
            return self.api_prefix.rstrip(".")
        return f"$JS.{self.domain}.API" if self.domain else "$JS.API"

    @property
    def wants_tls(self) -> bool:
        return bool(self.tls_ca or self.tls_cert or self.tls_first) or any(
            server.startswith("tls://") for server in self.servers()
        )

    def servers(self) -> list[str]:
        """Each server as scheme://host:port, without user information. Raises Invalid."""
        return [_server(part) for part in self._parts()]

    def login(self) -> tuple[str | None, str | None, str | None]:
        """(user, password, token): the settings', else those of the first server that names any."""
        if self.user is not None or self.token is not None:
            return self.user, self.password, self.token
        for part in self._parts():
            split = urlsplit(part)
            if split.username:
                user = unquote(split.username)
                return (None, None, user) if split.password is None else (user, unquote(split.password), None)
        return None, None, None

    def tls_context(self) -> SSLContext | None:
        """The context to connect with, None where the settings ask for none. Reads files. Raises Invalid."""
        if not self.wants_tls:
            return None
        try:
            context = create_default_context(cafile=self.tls_ca)
            if self.tls_cert:
                context.load_cert_chain(self.tls_cert, self.tls_key)
        except OSError as fault:
            raise Invalid("nats tls", str(fault), "name PEM files that can be read") from fault
        return context

    def _parts(self) -> list[str]:
        parts = [part.strip() for part in self.url.split(",") if part.strip()]
        if not parts:
            raise Invalid("nats url", "is empty", "give one such as nats://127.0.0.1:4222")
        return [part if "://" in part else f"nats://{part}" for part in parts]


def _server(part: str) -> str:
    split = urlsplit(part)
    try:
        host, port = split.hostname, split.port or _DEFAULT_PORT
    except ValueError as fault:
        raise Invalid("nats url", f"{part!r}: {fault}", "write nats://host:port") from fault
    if split.scheme not in _SCHEMES or not host:
        raise Invalid("nats url", f"{part!r} names no NATS server", "write nats://host:port or tls://host:port")
    return f"{split.scheme}://{f'[{host}]' if ':' in host else host}:{port}"
