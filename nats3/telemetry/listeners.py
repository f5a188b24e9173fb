"""What each room wants to tell, in the shape that it asks for, turned into signals. Wiring hands these out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from actors.errors import Kind
from actors.supervision import StopReason
from nats3.state import Told
from nats3.telemetry.signals import Flushed, JobKind, Telemetry
from nats3.telemetry.traces import Spot


class Origin(Protocol):
    """Where a chunk's messages come from."""

    @property
    def stream(self) -> str: ...

    @property
    def job_id(self) -> str: ...


class Header(Protocol):
    """Of a chunk's header, what a signal tells."""

    @property
    def origin(self) -> Origin: ...

    @property
    def count(self) -> int: ...

    @property
    def raw_bytes(self) -> int: ...

    @property
    def first(self) -> int: ...

    @property
    def last(self) -> int: ...


class Stored(Protocol):
    """A chunk as it was stored; that of the chunk room has this shape."""

    @property
    def header(self) -> Header: ...

    @property
    def body(self) -> bytes: ...

    @property
    def key(self) -> str: ...


class Times(Protocol):
    """When what was done to a chunk, by the monotonic clock; that of the work room has this shape."""

    @property
    def began(self) -> float: ...

    @property
    def put(self) -> tuple[float, float]: ...

    @property
    def append(self) -> tuple[float, float]: ...

    @property
    def acked(self) -> float: ...


@dataclass(frozen=True, slots=True)
class WorkListener:
    """What workers tell, by the name of their job."""

    telemetry: Telemetry

    def chunk_stored(self, job: str, chunk: Stored, times: Times) -> None:
        header, job_id = chunk.header, chunk.header.origin.job_id
        stream, seconds = header.origin.stream, times.acked - times.began
        size = len(chunk.body)
        flushed = Flushed(
            job, job_id, chunk.key, stream, header.first, header.last, header.count, header.raw_bytes, size
        )
        self.telemetry.chunk_flushed(flushed, seconds, at=self.telemetry.spans.jobs.get(job_id))
        if self.telemetry.traces.on:
            about = {
                "nats3.job": job,
                "nats3.job_id": job_id,
                "nats3.stream": stream,
                "nats3.key": chunk.key,
                "nats3.first": header.first,
                "nats3.last": header.last,
            }
            steps = {"put": times.put, "append": times.append, "ack": (times.append[1], times.acked)}
            self.telemetry.spans.work(job_id, "chunk", (times.began, times.acked), about, steps)

    def archived(self, job: str, stream: str, count: int, raw_bytes: int, last_seq: int, last_time_ns: int) -> None:
        self.telemetry.messages_archived(count, raw_bytes)
        self.telemetry.archived_up_to(job, stream, last_seq, last_time_ns)

    def published(self, job: str, count: int, raw_bytes: int) -> None:
        del job
        self.telemetry.messages_published(count, raw_bytes)

    def lag(self, job: str, stream: str, pending: int, oldest: float) -> None:
        self.telemetry.lag(job, stream, pending, oldest)

    def load_progressed(self, job: str, loaded: int, planned: int) -> None:
        self.telemetry.load_progressed(job, loaded, planned)

    def duplicates(self, job: str, count: int) -> None:
        self.telemetry.duplicates(job, count)

    def displaced(self, job: str, count: int, total: int) -> None:
        self.telemetry.displaced(job, count, total)

    def gap(self, job: str, first: int, last: int, reason: str) -> None:
        self.telemetry.gap(job, first, last, reason)

    def enduring(self, job: str, state: str, reason: str, attempt: int) -> None:
        self.telemetry.enduring(job, state, reason, attempt)

    def bound(self, job: str, what: str) -> None:
        self.telemetry.bound(job, what)

    def redelivered(self, job: str, count: int) -> None:
        self.telemetry.redelivered(job, count)

    def state(self, job_id: str, job: str, kind: JobKind, state: Told, reason: str) -> None:
        self.telemetry.job_state(job_id, job, kind, state, reason)

    def left(self, job: str, reason: str) -> None:
        self.telemetry.left(f"job {job}", reason)


@dataclass(frozen=True, slots=True)
class ObjectListener:
    """What one object store counts, by the name of its connection."""

    telemetry: Telemetry
    connection: str = "main"

    def put(self, size: int) -> None:
        self.telemetry.object_stored(size)

    def got(self, size: int) -> None:
        self.telemetry.object_fetched(size)

    def request(self, operation: str) -> None:
        self.telemetry.s3_asked(operation, self.connection)

    def answered(self, operation: str, seconds: float) -> None:
        self.telemetry.s3_answered(operation, seconds, self.connection)


@dataclass(slots=True)
class LogListener:
    """What the event log tells."""

    telemetry: Telemetry
    attempts: int = 0

    def away(self, reason: str) -> None:
        self.attempts += 1
        self.telemetry.dependency_failed("postgres", "", reason, self.attempts)

    def back(self) -> None:
        self.attempts = 0
        self.telemetry.dependency_back("postgres", "")

    def appended(self, count: int, head: int, seconds: float) -> None:
        self.telemetry.events_appended(count, head, seconds)


class Hold(Protocol):
    """What keeps a partition of the log in the database."""

    @property
    def kind(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def position(self) -> int: ...


@dataclass(slots=True)
class RetentionListener:
    """What the retention of the log tells."""

    telemetry: Telemetry
    attempts: int = 0

    def exported(self, partition: str, events: int, size: int) -> None:
        self.telemetry.partition_moved(partition, events, size)

    def dropped(self, partition: str) -> None:
        self.attempts = 0
        self.telemetry.partition_dropped(partition)

    def held(self, partition: str, holds: Sequence[Hold]) -> None:
        self.attempts += 1
        first = holds[0]
        why = f"{first.kind} {first.name} at {first.position}" + (f" and {len(holds) - 1} more" if holds[1:] else "")
        self.telemetry.partition_held(partition, why, self.attempts)

    def failed(self, reason: str) -> None:
        self.attempts += 1
        self.telemetry.log_retention_failed(reason, self.attempts)


@dataclass(slots=True)
class RelayListener:
    """What the relay of events tells."""

    telemetry: Telemetry
    attempts: int = 0

    def away(self, reason: str) -> None:
        self.attempts += 1
        self.telemetry.events_wait(reason, self.attempts)

    def relayed(self, count: int) -> None:
        self.attempts = 0
        self.telemetry.events_published(count)


@dataclass(frozen=True, slots=True)
class SurveyListener:
    """What the walks over buckets tell, and the patient store that they use."""

    telemetry: Telemetry

    def walked(self, task: str, outcome: str, reason: str) -> None:
        self.telemetry.surveyed(task, outcome, reason)

    def left(self, survey_id: str, reason: str) -> None:
        self.telemetry.left(f"survey {survey_id}", reason)

    def failed(self, operation: str, reason: str, attempt: int) -> None:
        self.telemetry.dependency_failed("s3", "", f"{operation}: {reason}", attempt)

    def recovered(self, operation: str) -> None:
        del operation
        self.telemetry.dependency_back("s3", "")


class Asked(Protocol):
    """Which trace a request is in and who asked; that of the API has this shape."""

    @property
    def id(self) -> UUID: ...

    @property
    def parent(self) -> int | None: ...

    @property
    def event_id(self) -> UUID | None: ...

    @property
    def actor(self) -> str: ...


@dataclass(frozen=True, slots=True)
class HttpListener:
    """What the API tells of its requests."""

    telemetry: Telemetry

    def answered(self, method: str, route: str, status: int, seconds: float, trace: Asked) -> None:
        at = Spot.of(trace.id.int, None if trace.event_id is None else trace.event_id.int)
        who = {"request_id": str(trace.id), "actor": trace.actor}
        self.telemetry.request_answered(method, route, status, seconds, at, trace.parent, **who)

    def crashed(self, request_id: UUID, error: Exception, actor: str) -> None:
        self.telemetry.request_crashed(str(request_id), error, actor)


@dataclass(frozen=True, slots=True)
class ActorListener:
    """What supervision tells."""

    telemetry: Telemetry

    def on_restarted(self, name: str, error: BaseException, kind: Kind, delay: float) -> None:
        self.telemetry.actor_restarted(name, f"{type(error).__name__}: {error}", kind.value, delay)

    def on_failed(self, name: str, error: BaseException) -> None:
        self.telemetry.actor_failed(name, error)

    def on_stopped(self, name: str, reason: StopReason) -> None:
        self.telemetry.actor_stopped(name, reason.value)

    def on_noticed(self, name: str, error: BaseException) -> None:
        self.telemetry.actor_noticed(name, f"{type(error).__name__}: {error}")
