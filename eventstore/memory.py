"""The log in memory: the same promises as Postgres, for tests and for deterministic simulation."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from json import loads
from uuid import UUID, uuid4

from eventstore import chain, retention
from eventstore.claims import Claim, Node, category_of
from eventstore.cold import Cold
from eventstore.errors import SegmentMissing
from eventstore.event import (
    Append,
    Appended,
    Conflict,
    Fence,
    NewEvent,
    NodeId,
    Position,
    Recorded,
    Refused,
    Version,
)
from eventstore.memory_partitions import MemoryIndex
from eventstore.segment import Row
from eventstore.segments import Segments


def wall_clock() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the edge where time enters when nobody hands it in


NEVER = Fence(0)


@dataclass(slots=True)
class _Entity:
    events: list[Recorded] = field(default_factory=list[Recorded])
    version: int = 0
    hash: bytes = chain.START
    closed: bool = False
    fence: Fence = NEVER
    claimed_under: int = 0
    owner: NodeId | None = None


@dataclass(slots=True)
class _Lease:
    name: str
    started_at: datetime
    until: datetime


class MemoryStore:
    """A log that lives as long as the object. `clock` gives the time in UTC; `ends` and `segments` are PostgresStore's.

    Events below `index.low` are gone from `rows` and from the entities.
    """

    def __init__(
        self,
        clock: Callable[[], datetime] = wall_clock,
        node: NodeId | None = None,
        *,
        ends: Callable[[NewEvent], bool] = retention.never,
        segments: Segments | None = None,
    ) -> None:
        self.node = node or NodeId(uuid4())
        self.clock = clock
        self.generation = 1
        self.entities: dict[str, _Entity] = {}
        self.leases: dict[NodeId, _Lease] = {}
        self.rows: list[Row] = []
        self.index = MemoryIndex()
        self._ends = ends
        self._cold = Cold(self.index, segments)
        self._id = uuid4()

    async def append(self, batch: Sequence[Append]) -> list[Appended | Conflict | Refused]:
        now = self.clock()
        if self.rows:
            now = max(now, self.rows[-1].event.recorded_at)
        return [self._judge(append, now) for append in batch]

    async def read(self, entity_id: str, after: Version, limit: int) -> list[Recorded]:
        entity = self.entities.get(entity_id)
        if entity is None or limit < 1:
            return []
        gone = entity.version - len(entity.events)
        found = entity.events[max(after - gone, 0) :][:limit]
        if after >= gone:
            return found
        cold = await self._cold.entity(entity_id, after, limit)
        if not cold:
            raise SegmentMissing(f"of {entity_id} at version {after + 1}", "the log does not remember one")
        rest = limit - len(cold)
        return cold + (await self.read(entity_id, cold[-1].version, rest) if rest else [])

    async def read_log(self, after: Position, limit: int, types: Collection[str] | None = None) -> list[Recorded]:
        floor = self.index.low
        if after + 1 < floor and limit > 0:
            cold = await self._cold.after(after, floor, limit, types)
            rest = limit - len(cold)
            return cold + (await self.read_log(Position(floor - 1), rest, types) if rest else [])
        start = bisect_right(self.rows, after, key=lambda row: row.event.position)
        if types is None:
            return [row.event for row in self.rows[start : start + limit]]
        return [row.event for row in self.rows[start:] if row.event.type in types][:limit]

    async def head(self) -> Position:
        return self.rows[-1].event.position if self.rows else Position(0)

    async def log_id(self) -> UUID:
        return self._id

    def restart(self) -> None:
        """Do to claims what a restart of Postgres does: each is over until it is made again."""
        self.generation += 1

    def drop_below(self, floor: int) -> None:
        """Forget the events below a position, as dropping their partition does."""
        self.index.low = floor
        self.rows = [row for row in self.rows if row.event.position >= floor]
        for entity in self.entities.values():
            entity.events = [event for event in entity.events if event.position >= floor]

    def _judge(self, append: Append, now: datetime) -> Appended | Conflict | Refused:
        entity = self.entities.get(append.entity_id) or _Entity()
        if entity.fence != append.fence or (append.fence and entity.claimed_under != self.generation):
            return Refused(append.entity_id, entity.fence)
        if entity.version != append.expected:
            return Conflict(append.entity_id, Version(entity.version))
        self.entities[append.entity_id] = entity
        return self._write(append, entity, now)

    def _write(self, append: Append, entity: _Entity, now: datetime) -> Appended:
        first = Position(self.rows[-1].event.position + 1 if self.rows else 1)
        for place, new in enumerate(append.events):
            event = Recorded(
                position=Position(first + place),
                entity_id=append.entity_id,
                version=Version(append.expected + place + 1),
                fence=append.fence,
                type=new.type,
                schema_version=new.schema_version,
                event_id=new.event_id,
                recorded_at=now,
                node=self.node,
                actor=append.actor,
                correlation_id=append.correlation_id,
                causation_position=append.causation_position,
                data=loads(new.text),
            )
            entity.hash = chain.link(entity.hash, append.entity_id, event.version, new)
            self.rows.append(Row(event, entity.hash))
            entity.events.append(event)
        entity.version += len(append.events)
        entity.closed = retention.ends(append.events[-1]) or self._ends(append.events[-1])
        return Appended(append.entity_id, Version(entity.version), first, self.rows[-1].event.position)


class MemoryClaims:
    """Leases and claims on a MemoryStore, with the promises of `claims.Claims`."""

    def __init__(self, store: MemoryStore, node: NodeId | None = None) -> None:
        self.node = node or NodeId(uuid4())
        self._store = store
        self._name = ""
        self._lease = timedelta(seconds=10)

    async def register(self, name: str, lease: float = 10.0) -> NodeId:
        self._name = name
        self._lease = timedelta(seconds=lease)
        now = self._store.clock()
        self._store.leases[self.node] = _Lease(name, now, now + self._lease)
        return self.node

    async def renew(self) -> bool:
        held = self._alive(self.node)
        now = self._store.clock()
        old = self._store.leases.get(self.node)
        self._store.leases[self.node] = _Lease(self._name, old.started_at if old else now, now + self._lease)
        return held

    async def leave(self) -> None:
        for entity in self._store.entities.values():
            if entity.owner == self.node:
                entity.owner = None
        self._store.leases.pop(self.node, None)

    async def nodes(self) -> list[Node]:
        leases = sorted(self._store.leases.items(), key=lambda item: item[1].started_at)
        return [Node(node, lease.name, lease.started_at, lease.until, self._alive(node)) for node, lease in leases]

    async def take(self, wanted: Sequence[str], limit: int) -> list[Claim]:
        if not self._alive(self.node):
            return []
        free = sorted(entity_id for entity_id in set(wanted) if self._free(entity_id))
        return [self._give(entity_id, self.node) for entity_id in free[:limit]]

    async def claim(self, entity_id: str) -> Claim:
        return self._give(entity_id, self.node)

    async def release(self, entity_id: str, fence: Fence) -> bool:
        entity = self._store.entities.get(entity_id)
        if entity is None or entity.owner != self.node or entity.fence != fence:
            return False
        entity.owner = None
        return True

    async def owned(self) -> list[Claim]:
        mine = sorted(key for key, entity in self._store.entities.items() if entity.owner == self.node)
        return [self._as_claim(entity_id) for entity_id in mine]

    def _alive(self, node: NodeId) -> bool:
        lease = self._store.leases.get(node)
        return lease is not None and lease.until > self._store.clock()

    def _free(self, entity_id: str) -> bool:
        entity = self._store.entities.get(entity_id)
        if entity is None or entity.owner is None or not self._alive(entity.owner):
            return True
        return entity.owner == self.node and entity.claimed_under != self._store.generation

    def _give(self, entity_id: str, node: NodeId) -> Claim:
        category_of(entity_id)
        entity = self._store.entities.setdefault(entity_id, _Entity())
        entity.fence = Fence(max(entity.fence + 1, int(self._store.clock().timestamp() * 1000)))
        entity.claimed_under = self._store.generation
        entity.owner = node
        return self._as_claim(entity_id)

    def _as_claim(self, entity_id: str) -> Claim:
        entity = self._store.entities[entity_id]
        return Claim(entity_id, entity.fence, Version(entity.version))
