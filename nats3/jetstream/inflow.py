"""How much a server may be asked to send over one connection: it ends one on which more than 64 MB wait to be sent.

All consumers of a node share a connection, and each alone would ask for what fills its memory. The server reads faster than anybody
takes, so what is asked for is what waits there.
"""

from __future__ import annotations

from collections.abc import Hashable

MOST = 24 << 20
"""Bytes for all together: enough for 240 MB/s at a round trip of 0.1 s. Who asked first may still have all of it on its way while the
next ones get their part, which makes two to three times as much, for a moment.
"""

LEAST = 128 << 10
"""Bytes that each may ask for, however many do."""


class Inflow:
    """One connection's. Who would take no more than `least` does not count."""

    def __init__(self, most: int = MOST, least: int = LEAST) -> None:
        self.least = least
        self._most = most
        self._hungry: set[Hashable] = set()

    def wants(self, who: Hashable, size: int) -> None:
        """From now on `who` would take so many bytes; 0: none."""
        if size > self.least:
            self._hungry.add(who)
        else:
            self._hungry.discard(who)

    @property
    def share(self) -> int:
        """Bytes that each of them may have on its way."""
        return max(self.least, self._most // max(1, len(self._hungry)))
