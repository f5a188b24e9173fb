"""What a durable actor needs of a store. One contract suite holds every implementation to these promises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

E = TypeVar("E")
Event_co = TypeVar("Event_co", covariant=True)


@dataclass(frozen=True, slots=True)
class History(Generic[Event_co]):
    """One entity as recorded: the last snapshot, every event after it, and the version of the last event.

    `snapshot` is None when there is none; then `events` begin at version 1. Version 0 is an entity without events.
    """

    snapshot: object | None
    events: Sequence[Event_co]
    version: int


class Journal(Protocol[E]):
    """The log of one entity under one fence. Translates its store's errors into Fenced, Conflict and Transient."""

    async def recover(self) -> History[E]:
        """All that was appended before this call, under whatever fence. Raises Transient."""
        ...

    async def append(self, expected: int, events: Sequence[E]) -> int:
        """Write all of `events` (at least one) after version `expected`, or none; return the new version once durable.

        Raises Fenced when a newer fence was given, also where the version is wrong as well; Conflict when the entity
        is not at `expected`. After any other error, and after a cancellation, all or none may have been written.
        """
        ...

    async def save(self, version: int, state: object) -> None:
        """Keep `state` as the snapshot at `version`, unless a newer one is kept. Raises Transient."""
        ...
