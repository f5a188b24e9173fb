"""What the library needs of a log. One contract suite runs on `memory` and on `postgres`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol
from uuid import UUID

from eventstore.event import Append, Appended, Conflict, Position, Recorded, Refused, Version


class EventStore(Protocol):
    """An ordered, fenced log. Every method is one attempt and raises LogUnavailable when the log is away."""

    async def append(self, batch: Sequence[Append]) -> list[Appended | Conflict | Refused]:
        """Write what fits, durably, each append wholly or not at all; one outcome for each, in their order.

        A refused append hurts no other and burns no position. Appends to one entity are judged in their order.
        """
        ...

    async def read(self, entity_id: str, after: Version, limit: int) -> list[Recorded]:
        """The first `limit` events of an entity with version > `after`, in order."""
        ...

    async def read_log(self, after: Position, limit: int, types: Collection[str] | None = None) -> list[Recorded]:
        """The first `limit` events with position > `after`, in order, of these types (None: of all).

        Once a position was seen, no lower one can appear.
        """
        ...

    async def head(self) -> Position:
        """The highest position there is, 0 in an empty log."""
        ...

    async def log_id(self) -> UUID:
        """Which log this is; a restored copy is given another."""
        ...
