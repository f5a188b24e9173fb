"""nats-py's client with our parser and our transport: what connects, logs in, keeps TLS and reconnects.

Touches private names of nats-py 2.16; tests/contract holds each of them.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import ParseResult

from nats.aio.client import Client, Srv
from nats.aio.transport import TcpTransport
from nats.errors import Error
from typing_extensions import override

from nats3.jetstream.arrivals import Arrivals
from nats3.jetstream.frames import FrameParser

READ_BYTES = 512 * 1024
"""Most that is read at once. nats-py's 32 KiB cost a turn of the loop for every 30 messages."""

UNHEARD_MS = 15_000
"""After so long without a TCP acknowledgement the connection is given up; less than a quarter of a dedupe window."""


class Transport(TcpTransport):
    """nats-py's TCP transport with larger reads, a bound on unacknowledged bytes, and a close that never waits."""

    @override
    async def connect(self, uri: ParseResult, buffer_size: int, connect_timeout: int) -> None:
        async with asyncio.timeout(connect_timeout):
            reader, writer = await _opened(uri)
        self._bare_io_reader = self._io_reader = reader
        self._bare_io_writer = self._io_writer = writer
        sock = writer.get_extra_info("socket")
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNHEARD_MS)

    @override
    async def connect_tls(
        self, uri: str | ParseResult, ssl_context: ssl.SSLContext, buffer_size: int, connect_timeout: int
    ) -> None:
        await super().connect_tls(uri, ssl_context, buffer_size, connect_timeout)
        self.encrypted = True

    encrypted = False

    @override
    async def read(self, buffer_size: int) -> bytes:
        return await super().read(READ_BYTES)

    @override
    def close(self) -> None:
        """Drop the connection at once: a stalled peer must not hold us, and nothing unsent may go out later."""
        if self._io_writer is not None:
            self._io_writer.transport.abort()

    @override
    async def wait_closed(self) -> None:
        """It is. After a handshake that failed asyncio tells nobody so, and nats-py would wait for ever."""


async def _opened(uri: ParseResult) -> tuple[Arrivals, asyncio.StreamWriter]:
    """As asyncio.open_connection, with a reader that copies nothing."""
    assert uri.hostname is not None, "NatsSettings.servers names one"
    assert uri.port is not None, "and its port"
    loop = asyncio.get_running_loop()
    reader = Arrivals(READ_BYTES)
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await loop.create_connection(lambda: protocol, uri.hostname, uri.port)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


class WireClient(Client):
    """A nats-py client that tells when a connection begins and ends, and gives up for no error but close().

    `on_begin` is called after each login, `on_end` when a connection is known to be over (maybe twice).
    """

    def __init__(self, on_begin: Callable[[], None], on_end: Callable[[], None]) -> None:
        super().__init__()
        self._on_begin = on_begin
        self._on_end = on_end
        self._tls_is_must = False
        self.frames = FrameParser(self, on_end)
        self._ps = self.frames

    @property
    def transport(self) -> Transport:
        transport = self._transport
        assert isinstance(transport, Transport)
        return transport

    def next_sid(self) -> int:
        """A subscription number that neither nats-py nor we use."""
        self._sid += 1
        return self._sid

    def demand_tls(self) -> None:
        """Never log in over a connection that is not encrypted."""
        self._tls_is_must = True

    def server_version(self) -> str:
        return str(self._server_info.get("version", "0.0.0"))

    @override
    async def _connect_to_server(self, s: Srv) -> None:
        """A new transport for every attempt: nats-py would forget the old one open."""
        self._on_end()
        if self._transport is not None:
            self._transport.close()
        self._transport = transport = Transport()
        s.last_attempt = time.monotonic()
        await transport.connect(s.uri, READ_BYTES, self.options["connect_timeout"])

    @override
    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        """Take TLS where the server merely offers it; nats-py does only where it is demanded."""
        if initial_connection and self._tls_is_must and info.get("tls_available"):
            info["tls_required"] = True
        await super()._process_info(info, initial_connection)

    @override
    def _connect_command(self) -> bytes:
        """Refuse to send the login in clear text where TLS was asked for: nats-py leaves that to the server."""
        if self._tls_is_must and not self.transport.encrypted:
            raise Error("nats: the server offers no TLS, and the settings ask for it")
        try:
            return super()._connect_command()
        except Exception as fault:
            # A credentials file that is being replaced: anything but nats-py's own error would end its reconnecting.
            raise Error(f"nats: cannot log in: {fault}") from fault

    @override
    async def _process_connect_init(self) -> None:
        await super()._process_connect_init()
        if not self.is_connected:
            raise Error("nats: the server did not answer the login")
        self._on_begin()

    @override
    async def _process_err(self, err_msg: str) -> None:
        """An error of the server ends the connection, never the client: nats-py would close itself for good."""
        fault = Error(f"nats: {err_msg.strip(chr(39))}")
        await self._error_cb(fault)
        if "permissions violation" not in err_msg:
            await self._process_op_err(fault)

    @override
    async def _close(self, status: int, do_cbs: bool = True) -> None:
        self._on_end()
        if self._flush_queue is not None:  # else connect() failed before it did anything
            await super()._close(status, do_cbs)
