"""A TCP proxy on loopback whose faults a test switches while bytes flow. Imports nothing of the product.

    async with TcpProxy("127.0.0.1", port) as proxy:
        client = await connect("127.0.0.1", proxy.port)
        proxy.hold(DOWN)          # the server's bytes do not arrive; nothing is lost
        proxy.resume()            # and now they do
        proxy.reset()             # RST to both sides of every connection
        await proxy.refuse()      # nobody listens any more
        await proxy.accept()      # on the same port again

UP is from client to server, DOWN the other way. What the kernel does is not ours: while the proxy runs a connect
succeeds, so a black hole before the handshake is `refuse` or an address that nobody answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

PIECE = 64 * 1024
LOOPBACK = "127.0.0.1"


class Direction(Enum):
    UP = "client to server"
    DOWN = "server to client"


UP, DOWN = Direction.UP, Direction.DOWN


@dataclass
class Lane:
    """What happens to the bytes of one direction. `latency` in seconds per piece, `bandwidth` in bytes per second."""

    latency: float = 0.0
    bandwidth: float | None = None
    slice: int = PIECE
    passed: int = 0
    cut_at: int | None = None
    cut_every: int = 0
    cuts: int = 0
    flip_at: int | None = None
    flowing: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.flowing.set()


class Cut(Exception):
    """The planned byte has passed: this connection ends with RST."""


class TcpProxy:
    """Forwards connections to (host, port). Programmed from the test; lanes are shared by all connections."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self.port = 0
        self.accepted = 0
        self.lanes = {UP: Lane(), DOWN: Lane()}
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._alive: set[asyncio.Event] = set()
        self.connections = 0
        self._changed = asyncio.Condition()

    async def __aenter__(self) -> Self:
        await self.accept()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.refuse()
        self.resume()
        self.reset()
        for alive in self._alive:
            alive.set()
        await self.until(lambda: self.connections == 0)

    async def accept(self) -> None:
        """Listen: on a free port the first time, on the same one later."""
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, LOOPBACK, self.port, limit=PIECE)
            self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Stop listening; connections that stand go on."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def cut(self) -> None:
        """End every connection in good order: FIN to both sides."""
        for writer in list(self._writers):
            writer.close()

    def reset(self) -> None:
        """End every connection at once: RST to both sides."""
        for writer in list(self._writers):
            _reset(writer)

    def hold(self, *directions: Direction) -> None:
        """A black hole for these directions (all when none is named): bytes wait, none is lost."""
        for direction in directions or (UP, DOWN):
            self.lanes[direction].flowing.clear()

    def silence(self) -> int:
        """The peer of every connection that is open is gone without a word, for good; new ones work. How many those are."""
        for alive in self._alive:
            alive.clear()
        return len(self._alive)

    def resume(self) -> None:
        """Every lane flows again."""
        for lane in self.lanes.values():
            lane.flowing.set()

    def cut_after(self, direction: Direction, count: int, times: int = 1) -> None:
        """Let `count` more bytes pass in this direction, then reset the connection that carried the last; so often."""
        lane = self.lanes[direction]
        lane.cut_at, lane.cut_every, lane.cuts = lane.passed + count, count, times

    def flip_after(self, direction: Direction, count: int) -> None:
        """Change the lowest bit of the byte that follows the next `count` bytes of this direction. Once."""
        lane = self.lanes[direction]
        lane.flip_at = lane.passed + count

    async def until(self, predicate: Callable[[], bool]) -> None:
        """Wait until something about this proxy is so: `lambda: proxy.lanes[UP].passed > 100`."""
        async with self._changed:
            await self._changed.wait_for(predicate)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self.connections += 1
        self._writers.add(writer)
        try:
            await self._forward(reader, writer)
        finally:
            self._writers.discard(writer)
            writer.close()
            self.connections -= 1
            await self._tell()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:
            _reset(writer)
            return
        self._writers.add(far_writer)
        alive = asyncio.Event()
        alive.set()
        self._alive.add(alive)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(UP, reader, far_writer, alive))
                group.create_task(self._pump(DOWN, far_reader, writer, alive))
        except* (Cut, OSError):
            _reset(writer)
            _reset(far_writer)
        finally:
            self._alive.discard(alive)
            self._writers.discard(far_writer)
            far_writer.close()

    async def _pump(
        self, direction: Direction, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, alive: asyncio.Event
    ) -> None:
        lane = self.lanes[direction]
        while data := await reader.read(lane.slice):
            await _wait(lane, len(data))
            await alive.wait()
            writer.write(self._shape(lane, data))
            await writer.drain()
            await self._tell()
            if lane.cut_at is not None and lane.passed >= lane.cut_at:
                lane.cuts -= 1
                lane.cut_at = lane.passed + lane.cut_every if lane.cuts else None
                raise Cut
        await lane.flowing.wait()
        await alive.wait()
        with contextlib.suppress(OSError):
            writer.write_eof()

    def _shape(self, lane: Lane, data: bytes) -> bytes:
        if lane.cut_at is not None:
            data = data[: max(0, lane.cut_at - lane.passed)]
        place = -1 if lane.flip_at is None else lane.flip_at - lane.passed
        lane.passed += len(data)
        if 0 <= place < len(data):
            lane.flip_at = None
            return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        return data

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()


@asynccontextmanager
async def in_front_of(url: str) -> AsyncGenerator[tuple[TcpProxy, str]]:
    """A proxy before the server of this URL on this machine, and the URL that leads through it."""
    port = urlsplit(url).port
    assert port is not None
    async with TcpProxy(LOOPBACK, port) as proxy:
        yield proxy, url.replace(f":{port}", f":{proxy.port}")


async def _wait(lane: Lane, size: int) -> None:
    seconds = lane.latency + (size / lane.bandwidth if lane.bandwidth else 0.0)
    if seconds:
        await asyncio.sleep(seconds)
    await lane.flowing.wait()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN, and forget what is still buffered."""
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
