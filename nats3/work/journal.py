"""The event log as a durable actor needs it: one entity, one fence, events as dataclasses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from typing_extensions import override

from actors import errors as actor_errors
from actors.journal import History, Journal
from eventstore import (
    Append,
    Batcher,
    EventStore,
    Fence,
    Fenced,
    LogUnavailable,
    Recorded,
    Registry,
    Stopped,
    Version,
    VersionConflict,
)

_PAGE = 1000


class RunJournal(Journal[Any]):
    """History of `entity_id`, written under `fence` as `actor`."""

    def __init__(
        self, entity_id: str, fence: int, store: EventStore, batcher: Batcher, registry: Registry, *, actor: str
    ) -> None:
        self._entity_id = entity_id
        self._fence = Fence(fence)
        self._store = store
        self._batcher = batcher
        self._registry = registry
        self._actor = actor

    @override
    async def recover(self) -> History[Any]:
        events: list[Any] = []
        version = 0
        while page := await self._read(version):
            events += map(self._registry.decode, page)
            version = page[-1].version
        return History(None, events, version)

    async def _read(self, after: int) -> list[Recorded]:
        try:
            return await self._store.read(self._entity_id, Version(after), _PAGE)
        except LogUnavailable as away:
            raise actor_errors.Transient(away.reason) from away

    @override
    async def append(self, expected: int, events: Sequence[Any]) -> int:
        new = tuple(map(self._registry.encode, events))
        append = Append(self._entity_id, Version(expected), self._fence, new, self._actor)
        try:
            appended = await self._batcher.append(append)
        except Fenced as fenced:
            raise actor_errors.Fenced(self._entity_id, self._fence) from fenced
        except VersionConflict as conflict:
            raise actor_errors.Conflict(self._entity_id, expected, conflict.actual) from conflict
        except Stopped as stopped:
            raise actor_errors.Transient(str(stopped)) from stopped
        return appended.version

    @override
    async def save(self, version: int, state: object) -> None:
        """No snapshots are kept yet: a run is folded from its first event."""
        del version, state
