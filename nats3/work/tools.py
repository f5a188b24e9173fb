"""What a worker is given to work with. Each Protocol says what workers need of a neighbour; wiring hands it over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from nats3.chunk.layout import Encoded
from nats3.failpoint import Reach, pass_by
from nats3.jetstream.server import JetStream
from nats3.job.loading import PlannedRange
from nats3.job.order import Kind, LoadOrder
from nats3.job.storing import ChunkFlushed
from nats3.objects.patient import FaultSignal, Patient
from nats3.state import Told
from nats3.work.budget import Budget
from nats3.work.lineage import SeenLife

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class IndexedChunk:
    """A chunk that the index knows: the event that recorded it, of which job, at which log position.

    `deletion_position` is where the log says that its object is deleted by order, or soon will be; None otherwise.
    """

    job_id: str
    position: int
    flushed: ChunkFlushed
    deletion_position: int | None = None

    @property
    def deleted(self) -> bool:
        return self.deletion_position is not None


@dataclass(frozen=True, slots=True)
class Archived:
    """What one store job has archived of one life, as far as a load may read it: seqs, chunks and messages in all, and the
    least and the greatest server time (ns) of a message.
    """

    job_id: str
    life: str
    ordinal: int
    created: int
    first: int
    last: int
    chunks: int
    messages: int
    first_time: int
    last_time: int


class ChunkIndex(Protocol):
    """The index of all chunks: the projection of the log. Every method raises Unavailable when Postgres is away."""

    async def fresh(self) -> int:
        """Wait until the index holds what the log holds now; the log position that it has reached."""
        ...

    async def covering(self, job_id: str, life: str, seq: int) -> IndexedChunk | None:
        """The chunk with previous_seq < seq <= last, deleted or not."""
        ...

    async def recorded(self, bucket: str, keys: Collection[str]) -> set[str]:
        """Those of the object keys that an event refers to, deleted chunks included."""
        ...


class PlanIndex(Protocol):
    """The same index as loads ask it. Every method raises Unavailable when Postgres is away."""

    async def fresh(self) -> int:
        """As promised by ChunkIndex."""
        ...

    async def archived(self, order: LoadOrder, after: int, position: int) -> list[Archived]:
        """What a load order reads, by (created, ordinal, job), from chunks recorded at after < log position <= position."""
        ...

    async def lives(self, job_ids: Collection[str]) -> Sequence[SeenLife]:
        """Every life that these store jobs saw of their streams, as the log tells them now."""
        ...

    async def page(
        self, order: LoadOrder, planned: PlannedRange, position: int, after_seq: int, limit: int
    ) -> list[IndexedChunk]:
        """The next chunks of a range that was planned at `position`, in seq order with last > after_seq, that may hold
        selected messages; also those that were deleted later.
        """
        ...

    async def held(self, chunk: IndexedChunk) -> bytes:
        """What the log says was in a deleted chunk (`nats3.chunk.held`); empty where it does not say."""
        ...


@dataclass(frozen=True, slots=True)
class Due:
    """A condemned object whose grace is over, by the database's clock."""

    bucket: str
    key: str


class Condemned(Protocol):
    """What is condemned, as a view of the log has it. Raises Unavailable."""

    async def due(self, job_id: str, grace_s: float, limit: int) -> Sequence[Due]:
        """Objects that this job condemned at least `grace_s` seconds ago and that are not known to be gone, oldest first."""
        ...


@dataclass(frozen=True, slots=True)
class Habits:
    """Of housekeeping, in seconds: until the first look, between two, after each page of a listing.

    `grace_s` is how long a condemned object is kept; None: for ever.
    """

    first_s: float = 60.0
    every_s: float = 3600.0
    page_s: float = 1.0
    grace_s: float | None = None


class Lease(Protocol):
    """Whether this node may still act for the jobs that it claimed, by its own monotonic clock."""

    def valid(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Times:
    """Of one chunk, by the monotonic clock: pressed from `began` on, sent, recorded, acknowledged."""

    began: float
    put: tuple[float, float]
    append: tuple[float, float]
    acked: float


class Signals(Protocol):
    """What workers say about themselves, to logs and metrics. Per chunk at most, never per message."""

    def chunk_stored(self, job: str, chunk: Encoded, times: Times) -> None: ...

    def archived(self, job: str, stream: str, count: int, raw_bytes: int, last_seq: int, last_time_ns: int) -> None: ...

    def published(self, job: str, count: int, raw_bytes: int) -> None: ...

    def lag(self, job: str, stream: str, pending: int, oldest: float) -> None: ...

    def load_progressed(self, job: str, loaded: int, planned: int) -> None: ...

    def duplicates(self, job: str, count: int) -> None: ...

    def displaced(self, job: str, count: int, total: int) -> None: ...

    def gap(self, job: str, first: int, last: int, reason: str) -> None: ...

    def enduring(self, job: str, state: str, reason: str, attempt: int) -> None: ...

    def bound(self, job: str, what: str) -> None: ...

    def redelivered(self, job: str, count: int) -> None: ...

    def state(self, job_id: str, job: str, kind: Kind, state: Told, reason: str) -> None: ...

    def left(self, job: str, reason: str) -> None: ...


class Sweep(Protocol):
    """Takes back what uploads of large objects left in a bucket."""

    async def __call__(self, bucket: str, prefix: str, owned: Callable[[str], bool]) -> int:
        """How many unfinished uploads below `prefix` had keys that are `owned`. Raises Unavailable, AccessDenied."""
        ...


async def nothing_to_sweep(bucket: str, prefix: str, owned: Callable[[str], bool]) -> int:
    """A store that takes every object whole."""
    del bucket, prefix, owned
    return 0


@dataclass(frozen=True, slots=True)
class Tools:
    """Everything that a worker touches."""

    nats: JetStream
    objects: Callable[[FaultSignal], Patient]
    bucket_exists: Callable[[str], Awaitable[bool]]
    index: ChunkIndex
    plans: PlanIndex
    in_thread: InThread
    signals: Signals
    lease: Lease
    log_id: str
    node: str
    uuid: Callable[[], str]
    monotonic: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    budget: Budget
    condemned: Condemned
    habits: Habits = Habits()
    reach: Reach = pass_by
    sweep: Sweep = nothing_to_sweep


class InThread(Protocol):
    """Runs a function that holds no GIL for long in a thread of the pool, one of a few at a time."""

    async def __call__(self, work: Callable[[], T]) -> T: ...
