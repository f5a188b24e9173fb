"""A proxy before NATS that understands frames of the server: drops, doubles and swaps whole messages. Imports nothing of the product.

    async with NatsProxy("127.0.0.1", port) as proxy:
        proxy.harm(drop=0.01, double=0.01, swap=0.01, chance=random.Random(7).random)
        proxy.calm()

Only deliveries of JetStream (`$JS.ACK.` as their reply) are harmed: answers and heartbeats pass as they are.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Self

LOOPBACK = "127.0.0.1"


class NatsProxy:
    """Forwards connections to (host, port). `done` counts what was done to how many frames."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self.port = 0
        self.done: Counter[str] = Counter()
        self._rates: dict[str, float] = {}
        self._chance: Callable[[], float] = lambda: 1.0
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, LOOPBACK, 0, limit=1 << 20)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for writer in list(self._writers):
            writer.close()

    def harm(self, *, drop: float = 0.0, double: float = 0.0, swap: float = 0.0, chance: Callable[[], float]) -> None:
        """That part of the deliveries is lost, comes twice, or comes after the one behind it."""
        self._rates = {"drop": drop, "double": double, "swap": swap}
        self._chance = chance

    def calm(self) -> None:
        self._rates = {}

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target, limit=1 << 20)
        except OSError:
            writer.close()
            return
        self._writers |= {writer, far_writer}
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_copy(reader, far_writer))
                tasks.create_task(self._deliver(far_reader, writer))
        except* (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers -= {writer, far_writer}
            for each in (writer, far_writer):
                each.close()

    async def _deliver(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held: bytes | None = None
        while line := await reader.readline():
            frame = line
            words = line.split()
            if words and words[0] in {b"MSG", b"HMSG"}:
                frame += await reader.readexactly(int(words[-1]) + 2)
            fate = self._fate(words)
            self.done[fate] += 1
            if fate == "drop":
                continue
            if fate == "swap" and held is None:
                held = frame
                continue
            writer.write(frame + (frame if fate == "double" else b"") + (held or b""))
            held = None
            await writer.drain()
        raise ConnectionError

    def _fate(self, words: list[bytes]) -> str:
        replies = [word for word in words[3:] if word.startswith(b"$JS.ACK.")]
        if replies:
            at = self._chance()
            for name, rate in self._rates.items():
                if at < rate:
                    return name
                at -= rate
        return "pass"


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(1 << 16):
        writer.write(piece)
        with contextlib.suppress(ConnectionResetError):
            await writer.drain()
    raise ConnectionError
