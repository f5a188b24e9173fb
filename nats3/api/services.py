"""What the API needs of the rest of the program. Wiring makes one value of it; tests make another."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from os import urandom
from typing import Literal, Protocol, TypeAlias
from uuid import UUID, uuid4

from eventstore import (
    Append,
    Appended,
    Checked,
    Kept,
    Node,
    Operation,
    Position,
    ProjectionStatus,
    Recorded,
    Standing,
    Verified,
    Version,
)
from eventstore.audit import Page, Question
from eventstore.once import Begun, Turn
from nats3.api.entrance import Entrance
from nats3.api.world import World
from nats3.job.loading import PlannedRange
from nats3.job.order import LoadOrder, Order
from nats3.message import Batch
from nats3.selection import Selection
from nats3.views.chunk_queries import Chunks
from nats3.views.chunks import ChunkRow
from nats3.views.coverage_queries import Coverage
from nats3.views.job_queries import Jobs


class Log(Protocol):
    """Reads the event log. Every method raises LogUnavailable."""

    async def read(self, entity_id: str, after: Version, limit: int) -> list[Recorded]: ...

    async def read_log(self, after: Position, limit: int, types: Collection[str] | None = None) -> list[Recorded]: ...

    async def head(self) -> Position: ...


class Writer(Protocol):
    """Appends to the event log, waiting while it is away."""

    async def append(self, append: Append) -> Appended:
        """Raises VersionConflict, Stopped."""
        ...


class Projections(Protocol):
    """Where the views stand."""

    async def wait_for(self, name: str, position: Position, timeout: float = 2.0) -> bool: ...  # noqa: ASYNC109 - eventstore's

    async def status(self) -> list[ProjectionStatus]: ...

    async def skip(self, name: str, position: Position, reason: str, actor: str) -> Appended:
        """Raises UnknownProjection."""
        ...


class Upkeep(Protocol):
    """Work on the views. Every method raises UnknownProjection, LogUnavailable."""

    async def ask(self, name: str, kind: Literal["rebuild", "verify"], actor: str) -> Operation:
        """Raises Occupied."""
        ...

    async def cancel(self, name: str, actor: str) -> Operation:
        """Raises NothingUnderWay."""
        ...

    async def return_to_before(self, name: str, actor: str) -> int:
        """Raises Occupied, NothingBefore."""
        ...

    async def operations(self, name: str) -> list[Operation]: ...


class Follower(Protocol):
    """The end of the log."""

    def follow(self, after: Position, *, idle: float | None = None) -> AsyncGenerator[Sequence[Recorded]]: ...


class Questions(Protocol):
    """Questions to the log for people. Every method raises LogUnavailable."""

    async def oldest_first(self, question: Question, after: Position, limit: int) -> Page: ...

    async def newest_first(self, question: Question, before: Position | None, limit: int) -> Page: ...

    async def event(self, position: Position) -> Recorded | None: ...

    async def entity(
        self, entity_id: str, as_of: Position | datetime | None, after: Version, limit: int
    ) -> list[Recorded]: ...


class Repeats(Protocol):
    """Requests that are done once. Every method raises LogUnavailable."""

    async def begin(self, asker: str, key: str, asked: str) -> Begun: ...

    async def settle(self, turn: Turn, status: int, headers: Mapping[str, str], body: bytes) -> None: ...

    async def forget(self, turn: Turn) -> None: ...

    async def leave(self, turn: Turn) -> None: ...


class Past(Protocol):
    """What left the database, or is to leave it. Every method raises LogUnavailable."""

    async def partitions(self) -> list[Standing]: ...

    async def segments(self, after: Position, limit: int) -> list[tuple[Kept, datetime | None]]: ...

    def check(self) -> AsyncGenerator[Checked]: ...


class Readiness(Protocol):
    async def check(self) -> Mapping[str, str | None]:
        """For nats, postgres and s3 what is wrong with it, None when it answers. Answers within 3 s."""
        ...


class Archive(Protocol):
    """What is in the buckets. Every method raises Unavailable, and Blocked where nobody may read."""

    async def judge(self, row: ChunkRow) -> tuple[Literal["whole", "missing", "corrupt"], str]:
        """Whether the object is what was recorded, and why not."""
        ...

    async def messages(self, row: ChunkRow, chosen: Selection) -> Batch:
        """Raises Blocked where the chunk is not whole."""
        ...


class Counted(Protocol):
    """What a load would do; `exact` False: messages are an upper bound."""

    @property
    def position(self) -> int: ...
    @property
    def ranges(self) -> Sequence[PlannedRange]: ...
    @property
    def chunks(self) -> int: ...
    @property
    def messages(self) -> int: ...
    @property
    def raw_bytes(self) -> int: ...
    @property
    def requests(self) -> int: ...
    @property
    def fetched_bytes(self) -> int: ...
    @property
    def exact(self) -> bool: ...
    @property
    def refusal(self) -> str | None: ...


class Counter(Protocol):
    async def count(self, order: LoadOrder, most_read: int) -> Counted:
        """What the load would publish, reading at most some `most_read` bytes for it. Raises Unavailable."""
        ...


class Trace(Protocol):
    """Where a request stands among others; that of `nats3.api.requests` has this shape."""

    @property
    def id(self) -> UUID: ...
    @property
    def parent(self) -> int | None: ...
    @property
    def event_id(self) -> UUID | None: ...
    @property
    def actor(self) -> str: ...


class Reporter(Protocol):
    """Whom to tell about requests. Each call is quick and does not raise."""

    def answered(self, method: str, route: str, status: int, seconds: float, trace: Trace) -> None:
        """`route` is the template, never the path."""
        ...

    def crashed(self, request_id: UUID, error: Exception, actor: str) -> None:
        """A bug of ours, answered with 500."""
        ...


class Slots:
    """So many may be taken at a time."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0

    def take(self) -> bool:
        """Whether there was one left."""
        if self.taken >= self.limit:
            return False
        self.taken += 1
        return True

    def give_back(self) -> None:
        self.taken -= 1


class Written:
    """What was made of the latest events, once for all who follow the log: they are handed the same ones."""

    def __init__(self, kept: int = 1024) -> None:
        self._most = kept
        self._kept: dict[int, tuple[Recorded, bytes]] = {}

    def of(self, event: Recorded, write: Callable[[Recorded], bytes]) -> bytes:
        known = self._kept.get(event.position)
        if known is not None and known[0] is event:
            return known[1]
        if len(self._kept) >= self._most:
            self._kept.clear()
        text = write(event)
        self._kept[event.position] = (event, text)
        return text


STREAMS = 50
"""Clients that may follow the log at a time."""

Walk: TypeAlias = Callable[[], AsyncGenerator[Verified]]
"""Walks the hash chain of the whole log, telling how far it is; the last word is the verdict. Raises LogUnavailable."""


async def _all(events: Sequence[Recorded]) -> Sequence[Recorded]:
    return events


def _anything(job_id: UUID, order: Order) -> None:
    del job_id, order


LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(slots=True)
class Rules:
    """What may change while the program runs. `hosts` are the names that a Host header may give, without ports ("*" allows any)."""

    hosts: frozenset[str] = LOOPBACK
    metrics_public: bool = False


@dataclass(frozen=True, slots=True)
class Services:
    """`exposition` takes an Accept header and gives the body and content type of /metrics; `sees` leaves of events those that the caller may know of;
    `require_within` raises OutOfScope for an order that the caller may not give.
    """

    log: Log
    writer: Writer
    projections: Projections
    upkeep: Upkeep
    tail: Follower
    jobs: Jobs
    chunks: Chunks
    coverage: Coverage
    audit: Questions
    walk: Walk
    past: Past
    readiness: Readiness
    world: World
    archive: Archive
    counter: Counter
    once: Repeats
    exposition: Callable[[str], tuple[bytes, str]]
    nodes: Callable[[], Awaitable[Sequence[Node]]]
    reporter: Reporter
    entrance: Entrance
    new_id: Callable[[], UUID] = uuid4
    chance: Callable[[int], bytes] = urandom
    rules: Rules = field(default_factory=Rules)
    sees: Callable[[Sequence[Recorded]], Awaitable[Sequence[Recorded]]] = _all
    require_within: Callable[[UUID, Order], None] = _anything
    streams: Slots = field(default_factory=lambda: Slots(STREAMS))
    written: Written = field(default_factory=Written)
    walks: Slots = field(default_factory=lambda: Slots(1))
