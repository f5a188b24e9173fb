"""An ordered, fenced event log in Postgres, with projections."""

from __future__ import annotations

from eventstore.audit import Audit, Page, Question
from eventstore.background import Background
from eventstore.backoff import Backoff
from eventstore.batcher import Batcher, Limits, Signal
from eventstore.claims import Claim, Claims, Node
from eventstore.connection import Connection
from eventstore.copying import copy_in
from eventstore.errors import (
    EventStoreError,
    Fenced,
    LogRewound,
    LogUnavailable,
    NotPoison,
    OverLimit,
    SchemaMissing,
    SchemaNewer,
    SegmentAltered,
    SegmentFault,
    SegmentMissing,
    Stopped,
    Superseded,
    Undecodable,
    UnknownProjection,
    UnknownType,
    Unstorable,
    VersionConflict,
)
from eventstore.event import (
    Append,
    Appended,
    Conflict,
    Fence,
    NewEvent,
    NodeId,
    Outcome,
    Position,
    Recorded,
    Refused,
    Version,
)
from eventstore.listener import Listener
from eventstore.memory import MemoryClaims, MemoryStore
from eventstore.memory_partitions import MemoryPartitions
from eventstore.own import OWN_TYPES
from eventstore.partitions import PostgresPartitions, SegmentIndex
from eventstore.past import Checked, Past, Standing
from eventstore.postgres import PostgresStore
from eventstore.projection import Indexed, Poisoned, ProjectionStatus, View, at_version, table_of
from eventstore.projector import Projector
from eventstore.rebuild import NothingBefore, Progress, Rebuild, Verdict
from eventstore.retention import Hold, Partition, Partitions, Policy, Retention, RetentionSignal
from eventstore.segments import FileSegments, Kept, MemorySegments, Segments, Span
from eventstore.snapshots import MemorySnapshots, Snapshot, Snapshots
from eventstore.store import EventStore
from eventstore.tail import Tail
from eventstore.types import Registry
from eventstore.upkeep import NothingUnderWay, Occupied, Operation, Upkeep
from eventstore.verify import Broken, Verified, verify, walk

__all__ = [
    "OWN_TYPES",
    "Append",
    "Appended",
    "Audit",
    "Background",
    "Backoff",
    "Batcher",
    "Broken",
    "Checked",
    "Claim",
    "Claims",
    "Conflict",
    "Connection",
    "EventStore",
    "EventStoreError",
    "Fence",
    "Fenced",
    "FileSegments",
    "Hold",
    "Indexed",
    "Kept",
    "Limits",
    "Listener",
    "LogRewound",
    "LogUnavailable",
    "MemoryClaims",
    "MemoryPartitions",
    "MemorySegments",
    "MemorySnapshots",
    "MemoryStore",
    "NewEvent",
    "Node",
    "NodeId",
    "NotPoison",
    "NothingBefore",
    "NothingUnderWay",
    "Occupied",
    "Operation",
    "Outcome",
    "OverLimit",
    "Page",
    "Partition",
    "Partitions",
    "Past",
    "Poisoned",
    "Policy",
    "Position",
    "PostgresPartitions",
    "PostgresStore",
    "Progress",
    "ProjectionStatus",
    "Projector",
    "Question",
    "Rebuild",
    "Recorded",
    "Refused",
    "Registry",
    "Retention",
    "RetentionSignal",
    "SchemaMissing",
    "SchemaNewer",
    "SegmentAltered",
    "SegmentFault",
    "SegmentIndex",
    "SegmentMissing",
    "Segments",
    "Signal",
    "Snapshot",
    "Snapshots",
    "Span",
    "Standing",
    "Stopped",
    "Superseded",
    "Tail",
    "Undecodable",
    "UnknownProjection",
    "UnknownType",
    "Unstorable",
    "Upkeep",
    "Verdict",
    "Verified",
    "Version",
    "VersionConflict",
    "View",
    "at_version",
    "copy_in",
    "table_of",
    "verify",
    "walk",
]
