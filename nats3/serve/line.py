"""One connection of a client: whoever is slow to say what he wants, or to take what he asked for, is hung up on.

uvicorn waits for both without an end; bodies are clocked by `nats3.api.guard`.
"""

from __future__ import annotations

import asyncio
import socket
import struct

from typing_extensions import override
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 5.0
"""How long the head of a request may take: from the connection, or from its first byte on an older one."""

READ_SECONDS = 10.0
"""How long a client may take nothing of an answer that waits for it."""

LEAST_READ = 4096
"""Bytes that he must take in that time to count as one who reads."""

_LOOK_SECONDS = 1.0
_DROP = struct.pack("ii", 1, 0)
"""A close that throws away what was not sent yet."""


class Line(H11Protocol):
    """HTTP/1.1 with deadlines in both directions."""

    _head: asyncio.TimerHandle | None = None
    _reader: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    @override
    def data_received(self, data: bytes) -> None:
        if not self._is_answering() and self._head is None:
            self._await_head()
        super().data_received(data)
        if self._is_answering():
            self._head = _cancelled(self._head)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._head, self._reader = _cancelled(self._head), _cancelled(self._reader)
        super().connection_lost(exc)

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        self._await_reader(self.transport.get_write_buffer_size(), self.loop.time())

    @override
    def resume_writing(self) -> None:
        self._reader = _cancelled(self._reader)
        super().resume_writing()

    def _is_answering(self) -> bool:
        # Declared as never None, and None until the first request.
        return bool(self.cycle) and not self.cycle.response_complete

    def _await_head(self) -> None:
        self._head = self.loop.call_later(HEAD_SECONDS, self._hang_up)

    def _await_reader(self, waiting: int, since: float) -> None:
        """`waiting` bytes are to be written; he has taken none of them, or too few, `since` then."""
        self._reader = self.loop.call_later(_LOOK_SECONDS, self._look_at_reader, waiting, since)

    def _look_at_reader(self, waiting: int, since: float) -> None:
        left, now = self.transport.get_write_buffer_size(), self.loop.time()
        if left <= waiting - LEAST_READ:
            self._await_reader(left, now)
        elif now < since + READ_SECONDS:
            self._await_reader(waiting, since)
        else:
            self._hang_up()

    def _hang_up(self) -> None:
        """At once, since what waits to be written would wait for ever: here, and after a plain close in the kernel."""
        self._head, self._reader = _cancelled(self._head), _cancelled(self._reader)
        line: socket.socket | None = self.transport.get_extra_info("socket")
        if line is not None:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DROP)
        self.transport.abort()


def _cancelled(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
