"""How far a token sees: for a caller with a scope, the services of the API shrink to what is within it.

A route gets these services and no others, so that it cannot forget to ask. A route that is not in FILTERED, because it
tells of all jobs at once, is not for tokens with a scope at all.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial, reduce
from typing import Any
from uuid import UUID

from eventstore import Append, Appended, Position, Recorded, Version
from eventstore.audit import Page, Question
from nats3.access.scope import Scope
from nats3.api.errors import OutOfScope
from nats3.api.services import Log, Questions, Services, Writer
from nats3.errors import Invalid
from nats3.job import ordering
from nats3.job.history import HISTORY, job_entity, job_of
from nats3.job.order import LoadOrder, Order, StoreOrder
from nats3.subject import Transform

FILTERED = frozenset(
    {
        *(f"{prefix}/{kind}/{rest}" for prefix in ("", "/api/v1") for kind in ("store", "load") for rest in ("job", "jobs")),
        *(f"{prefix}/{kind}/job/{rest}" for prefix in ("", "/api/v1") for kind in ("store", "load") for rest in ("pause", "resume")),
        "/api/v2/jobs",
        "/api/v2/jobs/plan",
        "/api/v2/jobs/{id}",
        "/api/v2/jobs/{id}/cancel",
        "/api/v2/jobs/{id}/pause",
        "/api/v2/jobs/{id}/resume",
        "/api/v2/jobs/{id}/retry",
        "/api/v2/jobs/{id}/chunks",
        "/api/v2/jobs/{id}/coverage",
        "/api/v2/jobs/{id}/events",
        "/api/v2/chunks",
        "/api/v2/chunks/{id}",
        "/api/v2/chunks/{id}/messages",
        "/api/v2/chunks/{id}/verify",
        "/api/v2/jobs/{id}/runs",
        "/api/v2/jobs/{id}/plan",
        "/api/v2/events",
        "/api/v2/events/{position}",
        "/api/v2/entities/{id:path}",
    }
)  # fmt: skip
"""Routes that tell a token with a scope what is within it and nothing else."""


def within(services: Services, scope: Scope) -> Services:
    """The services as a caller of this scope has them."""
    if scope.is_everything:
        return services
    sight = Sight(services.log, scope)
    return replace(
        services,
        log=_Log(services.log, sight),
        writer=_Writer(services.writer, scope),
        jobs=services.jobs.within(scope),
        chunks=services.chunks.within(scope),
        audit=_Questions(services.audit, sight),
        sees=sight.of,
        require_within=partial(require_within, scope),
    )


@dataclass(slots=True)
class Sight:
    """Which events of the log are within a scope: those of jobs that are."""

    _log: Log
    _scope: Scope
    _known: dict[str, bool] = field(default_factory=dict[str, bool])

    async def of(self, events: Sequence[Recorded]) -> Sequence[Recorded]:
        """Those of these events that are within. Raises LogUnavailable."""
        return [event for event in events if await self.sees(event.entity_id, anew=event.entity_id.startswith("job/"))]

    async def sees(self, entity_id: str, *, anew: bool = False) -> bool:
        """Whether an entity belongs to a job within; `anew` asks the log again, since an order may have changed."""
        category, _, name = entity_id.partition("/")
        if category not in ("job", "run"):
            return False
        if anew or name not in self._known:
            self._known[name] = await self._judge(entity_id)
        return self._known[name]

    async def _judge(self, entity_id: str) -> bool:
        try:
            job_id = job_of(entity_id)
        except ValueError:
            return False
        order = await self._order(job_id)
        return order is not None and self._scope.sees(str(job_id), order.name, stream_of(order), order.bucket)

    async def _order(self, job_id: UUID) -> Order | None:
        events = await self._log.read(job_entity(job_id), Version(0), 10_000)
        job = reduce(ordering.evolve, (HISTORY.decode(event) for event in events), None)
        return None if job is None else job.order


@dataclass(frozen=True, slots=True)
class _Log:
    inner: Log
    sight: Sight

    async def read(self, entity_id: str, after: Version, limit: int) -> list[Recorded]:
        return await self.inner.read(entity_id, after, limit) if await self.sight.sees(entity_id, anew=True) else []

    async def read_log(self, after: Position, limit: int, types: Collection[str] | None = None) -> list[Recorded]:
        return list(await self.sight.of(await self.inner.read_log(after, limit, types)))

    async def head(self) -> Position:
        return await self.inner.head()


@dataclass(frozen=True, slots=True)
class _Questions:
    inner: Questions
    sight: Sight

    async def oldest_first(self, question: Question, after: Position, limit: int) -> Page:
        return await self._shown(await self.inner.oldest_first(question, after, limit))

    async def newest_first(self, question: Question, before: Position | None, limit: int) -> Page:
        return await self._shown(await self.inner.newest_first(question, before, limit))

    async def event(self, position: Position) -> Recorded | None:
        event = await self.inner.event(position)
        return event if event is not None and await self.sight.sees(event.entity_id) else None

    async def entity(
        self, entity_id: str, as_of: Position | datetime | None, after: Version, limit: int
    ) -> list[Recorded]:
        return await self.inner.entity(entity_id, as_of, after, limit) if await self.sight.sees(entity_id) else []

    async def _shown(self, page: Page) -> Page:
        return replace(page, events=tuple(await self.sight.of(page.events)))


@dataclass(frozen=True, slots=True)
class _Writer:
    """Takes an order only for what the scope reaches, whichever event brings it."""

    inner: Writer
    scope: Scope

    async def append(self, append: Append) -> Appended:
        for event in append.events:
            if not HISTORY.knows(event.type):
                continue
            said: Any = HISTORY.decode_data(event.type, event.schema_version, event.data)
            order: Order | None = getattr(said, "order", None)
            if order is not None:
                require_within(self.scope, job_of(append.entity_id), order)
        return await self.inner.append(append)


def require_within(scope: Scope, job_id: UUID, order: Order) -> None:
    """Raises OutOfScope."""
    faults = faults_of(scope, job_id, order)
    if faults:
        raise OutOfScope(faults)


def stream_of(order: Order) -> str:
    """The stream that an order archives, or whose archive it reads."""
    return order.stream if isinstance(order, StoreOrder) else order.read_stream


def faults_of(scope: Scope, job_id: UUID, order: Order) -> list[Invalid]:
    """What of an order is outside the scope."""
    faults = scope.faults_of(str(job_id), order.name, stream_of(order), order.bucket)
    target = scope.fault_of_target(published(order)) if isinstance(order, LoadOrder) else None
    return [*faults, target] if target is not None else faults


def published(order: LoadOrder) -> tuple[str, ...]:
    """Filters that everything matches on which a load may publish."""
    if order.write_subject is not None:
        return (order.write_subject,)
    renamed = tuple(Transform(each.src, each.dest).reach for each in order.subject_transforms)
    return renamed if renamed and order.unmatched_subjects == "refuse" else (*renamed, *order.filters)
