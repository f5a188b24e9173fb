"""Answers of version 2 about the log itself: events, projections, partitions, nodes."""

from __future__ import annotations

from typing import Any, Literal

from nats3.api.shapes_v1 import Id, Shape, Time


class Event(Shape):
    """One fact in the log. `data` is what its type says."""

    position: int
    entity_id: str
    version: int
    type: str
    schema_version: int
    event_id: Id
    recorded_at: Time
    node: Id
    actor: str
    correlation_id: Id | None
    causation_position: int | None
    data: dict[str, Any]


class Entity(Shape):
    """An entity as its events left it at that position."""

    entity_id: str
    version: int
    position: int
    recorded_at: Time
    state: dict[str, Any]


class KeptVersion(Shape):
    """A version that a `return` would show, and how far it was when it was left."""

    version: int
    position: int


class Projection(Shape):
    """Where one version of a view stands; `active` is the one that readers see, and `kept` are those before it."""

    name: str
    version: int
    active: bool
    status: Literal["running", "rebuilding", "stalled"]
    position: int
    lag: int
    owner: Id | None
    error: dict[str, Any] | None
    kept: list[KeptVersion]
    updated_at: Time


class OperationAnswer(Shape):
    """Work on a view: how far it is, and how it ended."""

    id: str
    name: str
    kind: Literal["rebuild", "verify"]
    state: str
    version: int | None
    position: int | None
    head: int
    differ: list[str]
    reason: str | None
    actor: str
    asked_at: Time
    ended_at: Time | None


class Returned(Shape):
    """The version that readers see now."""

    name: str
    version: int


class Skipped(Shape):
    """The event that is passed over, and the position at which that is recorded."""

    name: str
    skipped: int
    position: int


class NodeAnswer(Shape):
    """One running nats3. `alive` is the database's judgement of its lease."""

    id: Id
    name: str
    alive: bool
    started_at: Time
    lease_until: Time


class HoldAnswer(Shape):
    """What keeps a partition in the database: a follower, an open entity, or what else `kind` says."""

    kind: str
    name: str
    position: int


class PartitionAnswer(Shape):
    """Positions from `from_position` up to, not including, `to_position` of the log."""

    name: str
    from_position: int
    to_position: int
    state: Literal["kept", "exported", "dropped"]
    exported_to: int
    held_by: list[HoldAnswer]


class SegmentAnswer(Shape):
    """A range of the log in the bucket; `dropped_at`: since when it is there alone."""

    name: str
    partition: str
    from_position: int
    to_position: int
    events: int
    size: int
    sha256: str
    first_recorded_at: Time | None
    last_recorded_at: Time | None
    dropped_at: Time | None
