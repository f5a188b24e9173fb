"""The event log as a durable actor needs it: one entity, one fence, events as dataclasses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from typing_extensions import override

from actors import errors as actor_errors
from actors.journal import History, Journal
from eventstore import (
    Append,
    Appended,
    Batcher,
    EventStore,
    Fence,
    Fenced,
    LogUnavailable,
    Position,
    Recorded,
    Registry,
    SegmentFault,
    Snapshot,
    Stopped,
    Undecodable,
    UnknownType,
    Version,
    VersionConflict,
)
from eventstore.types import from_json, shape, to_json
from nats3.work.causes import Causes, NoCauses

_PAGE = 1000

SNAPSHOT_EVERY = 100
"""Events between two snapshots of a run: a node that takes a thousand runs over reads half as many of each, on average."""


class Unreadable(actor_errors.Permanent):
    """A history has an event that this program cannot read: write nothing behind it, leave it to one that can."""

    def __init__(self, entity_id: str, fault: Exception) -> None:
        super().__init__(
            f"{entity_id} has an event that this nats3 cannot read ({fault}): run the version that wrote it"
        )
        self.entity_id = entity_id


class Keeper(Protocol):
    """Keeps the newest snapshot of each entity; a lost one costs time, never truth."""

    async def save(self, snapshot: Snapshot) -> None: ...

    async def load(self, entity_id: str) -> Snapshot | None:
        """Raises LogUnavailable, Undecodable."""
        ...


class StateCodec(Protocol):
    """States as plain data and back. `version` is that of the fold: another one knows nothing of these states."""

    @property
    def version(self) -> int: ...

    def encode(self, state: Any) -> Any: ...  # noqa: ANN401 - each run has its own state

    def decode(self, data: Any) -> Any:  # noqa: ANN401 - see above
        """Raises Undecodable for what another program kept."""
        ...


class FoldedState(StateCodec):
    """A dataclass that a fold of `version` makes. States of a class with other fields are not read: they would lack
    what the fold of all events has.
    """

    def __init__(self, class_: type[Any], version: int) -> None:
        self._class = class_
        self._version = version
        self._shape = shape(class_)

    @property
    @override
    def version(self) -> int:
        return self._version

    @override
    def encode(self, state: Any) -> Any:
        return [self._shape, to_json(state)]

    @override
    def decode(self, data: Any) -> Any:
        match data:
            case [found, kept] if found == self._shape:
                return from_json(self._class, kept)
            case _:
                raise Undecodable(self._class.__name__, "the snapshot is of another program")


@dataclass(frozen=True, slots=True)
class Log:
    """Where runs are written and read, and kept folded."""

    store: EventStore
    batcher: Batcher
    registry: Registry
    snapshots: Keeper
    causes: Causes = field(default_factory=NoCauses)


class RunJournal(Journal[Any]):
    """History of `entity_id`, written under `fence` as `actor`."""

    def __init__(self, entity_id: str, fence: int, log: Log, codec: StateCodec, *, actor: str) -> None:
        self._entity_id = entity_id
        self._fence = Fence(fence)
        self._store = log.store
        self._batcher = log.batcher
        self._registry = log.registry
        self._snapshots = log.snapshots
        self._codec = codec
        self._actor = actor
        self._causes = log.causes
        self._cause: UUID | None = None
        self._appended: Appended | None = None

    @override
    async def recover(self) -> History[Any]:
        await self._learn_cause()
        kept = await self._kept()
        if kept is not None:
            snapshot, state = kept
            # One event more than is needed: the one at the snapshot says whether it is of this history.
            page = await self._read(snapshot.version - 1)
            if page and (page[0].version, page[0].position) == (snapshot.version, snapshot.position):
                return await self._history(state, page, known=1)
        return await self._history(None, await self._read(0), known=0)

    async def _learn_cause(self) -> None:
        try:
            self._cause = await self._causes.of(self._entity_id.partition("/")[2])
        except LogUnavailable as away:
            raise actor_errors.Transient(away.reason) from away

    async def _history(self, state: object | None, page: Sequence[Recorded], *, known: int) -> History[Any]:
        """`page` and what follows it; its first `known` events are in the state already."""
        events = list(page)
        while len(page) == _PAGE:
            page = await self._read(events[-1].version)
            events += page
        version = events[-1].version if events else 0
        return History(state, self._decoded(events[known:]), version)

    def _decoded(self, events: Sequence[Recorded]) -> tuple[Any, ...]:
        try:
            return tuple(map(self._registry.decode, events))
        except (UnknownType, Undecodable) as fault:
            raise Unreadable(self._entity_id, fault) from fault

    async def _kept(self) -> tuple[Snapshot, Any] | None:
        """The newest snapshot and its state, None where there is none that this program understands."""
        try:
            snapshot = await self._snapshots.load(self._entity_id)
            if snapshot is None or snapshot.schema_version != self._codec.version:
                return None
            return snapshot, self._codec.decode(snapshot.state)
        except Undecodable:
            return None
        except LogUnavailable as away:
            raise actor_errors.Transient(away.reason) from away

    async def _read(self, after: int) -> list[Recorded]:
        try:
            return await self._store.read(self._entity_id, Version(after), _PAGE)
        except LogUnavailable as away:
            raise actor_errors.Transient(away.reason) from away
        except SegmentFault as fault:  # it is read on once somebody has brought the segment back
            raise actor_errors.Transient(str(fault)) from fault

    @override
    async def append(self, expected: int, events: Sequence[Any]) -> int:
        new = tuple(map(self._registry.encode, events))
        append = Append(self._entity_id, Version(expected), self._fence, new, self._actor, self._cause)
        try:
            appended = await self._batcher.append(append)
        except Fenced as fenced:
            raise actor_errors.Fenced(self._entity_id, self._fence) from fenced
        except VersionConflict as conflict:
            raise actor_errors.Conflict(self._entity_id, expected, conflict.actual) from conflict
        except Stopped as stopped:
            raise actor_errors.Transient(str(stopped)) from stopped
        self._appended = appended
        return appended.version

    @override
    async def save(self, version: int, state: object) -> None:
        position = await self._position_of(version)
        snapshot = Snapshot(self._entity_id, Version(version), position, self._codec.version, self._codec.encode(state))
        try:
            await self._snapshots.save(snapshot)
        except LogUnavailable as away:
            raise actor_errors.Transient(away.reason) from away

    async def _position_of(self, version: int) -> Position:
        if self._appended is not None and self._appended.version == version:
            return self._appended.last
        (event,) = (await self._read(version - 1))[:1]
        return event.position
