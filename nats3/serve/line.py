"""One connection of a client: whoever is slow to say what he wants, or to take what he asked for, is hung up on.

uvicorn waits for both without an end; bodies are clocked by `nats3.api.guard`.
"""

from __future__ import annotations

import asyncio

from typing_extensions import override
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 5.0
"""How long the head of a request may take: from the connection, or from its first byte on an older one."""

READ_SECONDS = 10.0
"""How long a client may take nothing of an answer that waits for it."""

LEAST_READ = 4096
"""Bytes that he must take in that time to count as one who reads."""


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
        self._await_reader(self.transport.get_write_buffer_size())

    @override
    def resume_writing(self) -> None:
        self._reader = _cancelled(self._reader)
        super().resume_writing()

    def _is_answering(self) -> bool:
        # Declared as never None, and None until the first request.
        return bool(self.cycle) and not self.cycle.response_complete

    def _await_head(self) -> None:
        self._head = self.loop.call_later(HEAD_SECONDS, self._hang_up)

    def _await_reader(self, waiting: int) -> None:
        self._reader = self.loop.call_later(READ_SECONDS, self._look_at_reader, waiting)

    def _look_at_reader(self, waiting: int) -> None:
        left = self.transport.get_write_buffer_size()
        if left > waiting - LEAST_READ:
            self._hang_up()
        else:
            self._await_reader(left)

    def _hang_up(self) -> None:
        """At once, since what waits to be written would wait for ever."""
        self._head, self._reader = _cancelled(self._head), _cancelled(self._reader)
        self.transport.abort()


def _cancelled(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
