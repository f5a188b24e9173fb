"""A server that says exactly what a test wants: a real TCP listener that speaks as much of NATS as a login needs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

INFO: dict[str, Any] = {"server_id": "S", "version": "2.15.1", "headers": True, "max_payload": 1024, "proto": 1}


class ScriptedServer:
    """`heard` is everything clients wrote; `say` writes to the newest client; `logins` counts the clients."""

    def __init__(self) -> None:
        self.heard = bytearray()
        self.logins = 0
        self.port = 0
        self.pongs = True
        self._writers: list[asyncio.StreamWriter] = []
        self._news = asyncio.Condition()
        self.answer: Callable[[bytes], bytes] = lambda _: b""

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def say(self, data: bytes) -> None:
        self._writers[-1].write(data)

    def hang_up(self) -> None:
        self._writers[-1].transport.abort()

    async def wait_for(self, what: bytes, count: int = 1) -> None:
        """Return once clients wrote `what` so many times."""
        await self._until(lambda: self.heard.count(what) >= count)

    async def wait_logins(self, count: int) -> None:
        await self._until(lambda: self.logins >= count)

    async def _until(self, holds: Callable[[], bool]) -> None:
        async with self._news:
            await self._news.wait_for(holds)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        writer.write(b"INFO " + json.dumps(INFO).encode() + b" \r\n")
        try:
            while line := await reader.readline():
                if line == b"PING\r\n" and self.pongs:
                    writer.write(b"PONG\r\n")
                async with self._news:
                    self.heard += line
                    self.logins += line == b"PING\r\n" and b"CONNECT" in self.heard and writer is not self._greeted
                    if line == b"PING\r\n":
                        self._greeted = writer
                    self._news.notify_all()
                writer.write(self.answer(line))
        except OSError:
            pass
        finally:
            writer.transport.abort()

    _greeted: asyncio.StreamWriter | None = None


@asynccontextmanager
async def scripted_server() -> AsyncGenerator[ScriptedServer, None]:
    script = ScriptedServer()
    server = await asyncio.start_server(script.serve, "127.0.0.1", 0)
    script.port = server.sockets[0].getsockname()[1]
    try:
        yield script
    finally:
        server.close()
        for writer in script._writers:
            writer.transport.abort()
