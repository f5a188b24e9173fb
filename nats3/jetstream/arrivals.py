"""What a socket brings, handed on in the pieces in which it came. asyncio's own reader copies every byte twice."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import cast

from typing_extensions import override


class Arrivals(asyncio.StreamReader):
    """A StreamReader for `read` and `readline` alone. More than `limit` bytes that nobody read hold the socket back."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._most = limit
        self._pieces: deque[bytes] = deque()
        self._held = 0
        self._over = False
        self._news = asyncio.Event()
        self._from: asyncio.ReadTransport | None = None
        self._is_held_back = False

    @override
    def set_transport(self, transport: asyncio.BaseTransport) -> None:
        super().set_transport(transport)
        self._from = cast("asyncio.ReadTransport", transport)  # which uvloop's is without saying so

    @override
    def feed_data(self, data: bytes) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - bytes is what comes
        self._pieces.append(data)
        self._held += len(data)
        self._news.set()
        if self._held > self._most and not self._is_held_back and self._from is not None:
            self._from.pause_reading()
            self._is_held_back = True

    @override
    def feed_eof(self) -> None:
        super().feed_eof()
        self._over = True
        self._news.set()

    @override
    def set_exception(self, exc: Exception) -> None:
        super().set_exception(exc)
        self._news.set()

    @override
    def at_eof(self) -> bool:
        return self._over and not self._pieces

    @override
    async def read(self, n: int = -1) -> bytes:
        """The next piece, whatever `n` says; b"" at the end. Raises what broke the connection.

        Of pieces that came together each has a turn of the loop to itself: who else waits for the loop comes in between.
        """
        if self._pieces:
            await asyncio.sleep(0)
        while not self._pieces:
            if (fault := self.exception()) is not None:
                raise fault
            if self._over:
                return b""
            self._news.clear()
            await self._news.wait()
        return self._taken(self._pieces.popleft())

    @override
    async def readline(self) -> bytes:
        """One line with its end, or what came before the end of all. Raises ValueError for one longer than `limit`."""
        line = b""
        while b"\n" not in line:
            piece = await self.read()
            line += piece
            if not piece:
                return line
            if len(line) > self._most:
                raise ValueError(f"a line of more than {self._most} bytes")
        line, _, rest = line.partition(b"\n")
        if rest:
            self._pieces.appendleft(rest)
            self._held += len(rest)
        return line + b"\n"

    def _taken(self, piece: bytes) -> bytes:
        self._held -= len(piece)
        if self._is_held_back and self._held <= self._most and self._from is not None:
            self._from.resume_reading()
            self._is_held_back = False
        return piece
