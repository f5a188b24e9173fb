"""Hearing of appends by other nodes: LISTEN on a connection of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from eventstore.backoff import Backoff
from eventstore.connection import AWAY, connect

CHANNEL = "es_log"
_SETTINGS = {"TimeZone": "UTC"}


class Listener:
    """Calls back after each LISTEN (what came before it was not heard) and at each NOTIFY; outlives any outage."""

    def __init__(self, url: str, backoff: Backoff | None = None) -> None:
        self._url = url
        self._backoff = backoff or Backoff()

    async def run(self, heard: Callable[[], None]) -> None:
        """Listen for ever."""
        while True:
            try:
                await self._listen(heard)
            except AWAY:
                await asyncio.sleep(self._backoff.next())

    async def _listen(self, heard: Callable[[], None]) -> None:
        connection = await connect(self._url, "eventstore listen", _SETTINGS)
        try:
            await connection.execute(f"LISTEN {CHANNEL}")
            self._backoff.reset()
            heard()
            async for _ in connection.notifies():
                heard()
        finally:
            await connection.close()
