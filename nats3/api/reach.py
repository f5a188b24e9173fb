"""How far a token sees: for a caller with a scope, the services of the API shrink to what is within it.

A route gets these services and no others, so that it cannot forget to ask. A route that is not in FILTERED, because it
tells of all jobs at once, is not for tokens with a scope at all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial, reduce
from typing import Any
from uuid import UUID

from eventstore import Append, Appended, Position, Recorded, Version
from eventstore.audit import Page, Question
from nats3.access.scope import Scope, fits
from nats3.api.errors import OutOfScope
from nats3.api.services import Log, Questions, Services, Writer
from nats3.api.world import StreamFacts, StreamSeen, World
from nats3.errors import Invalid
from nats3.job import ordering
from nats3.job.history import HISTORY, job_entity, job_of
from nats3.job.order import LoadOrder, Order, StoreOrder
from nats3.job.surveying import SurveyAsked, survey_entity
from nats3.transform import Transform
from nats3.views.chunk_queries import Chunks
from nats3.views.job_queries import Jobs

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
        "/api/v2/streams",
        "/api/v2/streams/{name}",
        "/api/v2/archive/verifications",
        "/api/v2/archive/surveys",
        "/api/v2/archive/surveys/{id}",
        "/api/v2/archive/surveys/{id}/cancel",
        "/api/v2/archive/surveys/{id}/findings",
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
    jobs, chunks = services.jobs.within(scope), services.chunks.within(scope)
    return replace(
        services,
        log=_Log(services.log, sight),
        writer=_Writer(services.writer, scope, sight),
        jobs=jobs,
        chunks=chunks,
        world=_World(services.world, scope, jobs, chunks),
        audit=_Questions(services.audit, sight),
        sees=sight.of,
        require_within=partial(require_within, scope),
    )


@dataclass(slots=True)
class Sight:
    """Which events of the log are within a scope: those of jobs that are, and of surveys of nothing else."""

    _log: Log
    _scope: Scope
    _known: dict[str, bool] = field(default_factory=dict[str, bool])

    async def of(self, events: Sequence[Recorded]) -> Sequence[Recorded]:
        """Those of these events that are within. Raises LogUnavailable."""
        return [event for event in events if await self.sees(event.entity_id, anew=event.entity_id.startswith("job/"))]

    async def sees(self, entity_id: str, *, anew: bool = False) -> bool:
        """Whether an entity belongs to a job within; `anew` asks the log again, since an order may have changed."""
        category, _, name = entity_id.partition("/")
        judge = _JUDGES.get(category)
        if judge is None:
            return False
        if anew or name not in self._known:
            self._known[name] = await judge(self, entity_id)
        return self._known[name]

    async def covers(self, asked: SurveyAsked) -> bool:
        """Whether all that a survey may tell of is within. Raises LogUnavailable."""
        if asked.job_id is not None:
            return await self.sees(f"job/{asked.job_id}", anew=True)
        whole_buckets = not (self._scope.jobs or self._scope.streams)
        return asked.bucket is not None and whole_buckets and fits(self._scope.buckets, asked.bucket)

    async def judge_survey(self, entity_id: str) -> bool:
        survey = survey_entity(entity_id.partition("/")[2])
        first = await self._log.read(survey, Version(0), 1)
        return bool(first) and await self.covers(HISTORY.decode(first[0]))

    async def judge_job(self, entity_id: str) -> bool:
        try:
            job_id = job_of(entity_id)
        except ValueError:
            return False
        order = await self._order(job_id)
        return order is not None and self._scope.sees(str(job_id), order.name, stream_of(order), order.bucket)

    async def _order(self, job_id: UUID) -> Order | None:
        events = await self._log.read(job_entity(job_id), Version(0), 10_000)
        if not all(map(HISTORY.reads, events)):
            return None  # a newer program may have moved it anywhere
        job = reduce(ordering.evolve, (HISTORY.decode(event) for event in events), None)
        return None if job is None else job.order


_JUDGES: dict[str, Callable[[Sight, str], Awaitable[bool]]] = {
    "job": Sight.judge_job,
    "run": Sight.judge_job,
    "survey": Sight.judge_survey,
    "walk": Sight.judge_survey,
}
"""By the category of an entity; of any other nothing is told."""


@dataclass(frozen=True, slots=True)
class _Log:
    inner: Log
    sight: Sight

    async def read(self, entity_id: str, after: Version, limit: int) -> list[Recorded]:
        return await self.inner.read(entity_id, after, limit) if await self.sight.sees(entity_id, anew=True) else []

    async def read_log(self, after: Position, limit: int, types: Collection[str] | None = None) -> list[Recorded]:
        """As without a scope, an empty answer means that nothing comes after."""
        while page := await self.inner.read_log(after, limit, types):
            if seen := await self.sight.of(page):
                return list(seen)
            after = page[-1].position
        return []

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
class _World:
    """Streams that the scope names; where it names none, those of jobs and chunks that are within it."""

    inner: World
    scope: Scope
    jobs: Jobs
    chunks: Chunks

    async def stream(self, connection: str, name: str) -> StreamFacts | None:
        return await self.inner.stream(connection, name)

    async def is_taken(self, connection: str, subject: str) -> bool | None:
        return await self.inner.is_taken(connection, subject)

    async def bucket_exists(self, place: str) -> bool | None:
        return await self.inner.bucket_exists(place)

    async def every_stream(self, connection: str) -> Sequence[StreamSeen]:
        there = await self.inner.every_stream(connection)
        if self.scope.streams or not (self.scope.jobs or self.scope.buckets):
            return [seen for seen in there if fits(self.scope.streams, seen.name)]
        names = await self.jobs.streams() | {each.stream for each in await self.chunks.by_stream()}
        return [seen for seen in there if seen.name in names]

    @property
    def nats_names(self) -> frozenset[str]:
        return self.inner.nats_names

    @property
    def s3_names(self) -> frozenset[str]:
        return self.inner.s3_names


@dataclass(frozen=True, slots=True)
class _Writer:
    """Takes an order only for what the scope reaches, whichever event brings it."""

    inner: Writer
    scope: Scope
    sight: Sight

    async def append(self, append: Append) -> Appended:
        for event in append.events:
            if not HISTORY.knows(event.type):
                continue
            said: Any = HISTORY.decode_data(event.type, event.schema_version, event.data)
            if isinstance(said, SurveyAsked) and not await self.sight.covers(said):
                raise OutOfScope([_too_wide(said)])
            order: Order | None = getattr(said, "order", None)
            if order is not None:
                require_within(self.scope, job_of(append.entity_id), order)
        return await self.inner.append(append)


def require_within(scope: Scope, job_id: UUID, order: Order) -> None:
    """Raises OutOfScope."""
    faults = faults_of(scope, job_id, order)
    if faults:
        raise OutOfScope(faults)


def _too_wide(asked: SurveyAsked) -> Invalid:
    if asked.job_id is not None:
        return Invalid("job_id", f"{asked.job_id} is outside this token's scope", "name a job that the token reaches")
    fault = "tells of more than this token's scope reaches"
    return Invalid("bucket", fault, "name a job in job_id; a token that is bound to buckets alone may name one of them")


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
