"""How the API listens: its socket, its TLS, whom it believes about where a request came from."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass

import uvicorn

from nats3.config import Config
from nats3.config.values import Address, ServerSettings
from nats3.serve.line import Line

HEAD_BYTES = 16 * 1024
ANSWER_S = 3
"""How long requests under way may take once the end has come."""

_IDLE_S = 30


def listen(addr: Address) -> socket.socket:
    """Taken before anything else is begun, so that a port in use stops the start at once. Raises OSError."""
    family = socket.AF_INET6 if ":" in addr.host else socket.AF_INET
    try:
        return socket.create_server((addr.host, addr.port), family=family, backlog=2048)
    except OSError as fault:
        raise OSError(f"cannot listen on {addr}: {fault.strerror}; set NATS3_SERVER_ADDR to a free address") from fault


def tls_of(told: ServerSettings) -> ssl.SSLContext | None:
    """What shows our certificate, and asks clients for theirs where `tls_ca` says who signs them. Raises OSError."""
    if told.tls_cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    load_certificates(context, told)
    return context


def load_certificates(context: ssl.SSLContext, told: ServerSettings) -> None:
    """For the connections to come. Raises OSError with what cannot be read."""
    if told.tls_cert is None or told.tls_key is None:
        return
    try:
        context.load_cert_chain(told.tls_cert, told.tls_key, password="")
        if told.tls_ca is not None:
            context.load_verify_locations(told.tls_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (ssl.SSLError, OSError) as fault:
        files = ", ".join(str(path) for path in (told.tls_cert, told.tls_key, told.tls_ca) if path is not None)
        raise OSError(f"cannot use the certificates {files}: {fault.strerror or fault}") from fault


def server_of(config: Config, app: object, tls: ssl.SSLContext | None) -> uvicorn.Config:
    """X-Forwarded-For and -Proto are believed when they come from a declared proxy, and from nobody else."""
    proxies = [str(network) for network in config.server.trusted_proxies]
    return uvicorn.Config(
        app,  # pyright: ignore[reportArgumentType] - an ASGI application of Starlette
        http=Line,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        date_header=True,
        h11_max_incomplete_event_size=HEAD_BYTES,
        timeout_keep_alive=_IDLE_S,
        timeout_graceful_shutdown=ANSWER_S,
        ws="none",
        proxy_headers=bool(proxies),
        forwarded_allow_ips=proxies,
        ssl_context_factory=None if tls is None else _Given(tls),
    )


@dataclass(frozen=True, slots=True)
class _Given:
    """Where uvicorn would make a context of its own."""

    tls: ssl.SSLContext

    def __call__(self, config: uvicorn.Config, default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
        del config, default
        return self.tls
