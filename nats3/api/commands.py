"""A command becomes an event on `job/<id>`: read what is wanted, decide, append, and wait until the view shows it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import reduce
from typing import get_args
from uuid import UUID, uuid4

from eventstore import (
    Append,
    Appended,
    Fence,
    LogUnavailable,
    NewEvent,
    Position,
    Recorded,
    SegmentFault,
    UnknownType,
    Version,
    VersionConflict,
)
from nats3.api.errors import Contended, JobMissing, NotAllowed, VersionPassed
from nats3.api.services import Services, Writer
from nats3.errors import Unavailable
from nats3.job.history import HISTORY, job_entity
from nats3.job.order import Kind, Order, kind_of
from nats3.job.ordering import JobChanged, JobCreated, JobDeleted, JobEvent, JobPaused, JobResumed, JobRetried
from nats3.job.states import Command, State, allows
from nats3.views.job_row import JobRow, fold

TRIES = 5
"""So often a command is decided anew when another one came in between."""

PATIENCE = 5.0
"""Seconds that an append may wait for Postgres before the client is told to come again."""

SIGHT = 2.0
"""Seconds that an answer waits for the view."""

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Who:
    """Who gave a command, and the request it came with: both stand in its event.

    `event_id` is that of the one event that the request makes. `turn` is the same for all that repeat the request under
    one Idempotency-Key: it names the event, and a command whose event is there already is not given again.
    """

    actor: str
    correlation_id: UUID
    turn: UUID | None = None
    event_id: UUID = field(default_factory=uuid4)


@dataclass(frozen=True, slots=True)
class Target:
    """The job that a command is for. `kind` None takes either; `if_match` are the versions that the client knows."""

    job_id: UUID
    kind: Kind | None = None
    if_match: str | None = None


_EVENTS: dict[Command, JobEvent] = {
    "pause": JobPaused(),
    "resume": JobResumed(),
    "retry": JobRetried(),
    "delete": JobDeleted(),
}

ALL: frozenset[Command] = frozenset(get_args(Command))

UNCHANGED: dict[Command, frozenset[State]] = {
    "pause": frozenset({State.PAUSED}),
    "resume": frozenset({State.CREATED, State.RUNNING, State.DEGRADED, State.REPAIRING}),
}
"""Version 1 answers a command that asks for what already is with 200, as it always did."""


class Commands:
    """All that a face may do to a job. Methods raise Unavailable and LogUnavailable when nothing is known to be done."""

    def __init__(self, services: Services, offered: frozenset[Command] = ALL) -> None:
        """`offered` are the commands that the face has: a refusal names no other."""
        self._offered = offered
        self._log = services.log
        self._writer = services.writer
        self._projections = services.projections
        self._jobs = services.jobs

    async def create(self, job_id: UUID, order: Order, api: int, who: Who) -> JobRow:
        """The new job as it stands in the view."""
        event = HISTORY.encode(JobCreated(kind_of(order), order, api), who.event_id)
        await self._append(job_id, Version(0), event, who)
        return await self._shown(job_id)

    async def give(
        self, target: Target, command: Command, who: Who, *, event: JobEvent | None = None, lenient: bool = False
    ) -> JobRow:
        """The job after the command. Raises JobMissing, NotAllowed, VersionPassed, Contended.

        `event` says more than the command alone; `lenient` makes nothing of a command that changes nothing.
        """
        return await self._decide(target, command, who, lambda _: event or _EVENTS[command], lenient=lenient)

    async def change(self, target: Target, who: Who, changed: Callable[[Order], Order]) -> JobRow:
        """The job with its order changed; one that changes nothing is not recorded. Raises as `give` does."""

        def event(row: JobRow) -> JobEvent | None:
            order = changed(row.order)
            return None if order == row.order else JobChanged(order)

        return await self._decide(target, "change", who, event)

    async def _decide(
        self,
        target: Target,
        command: Command,
        who: Who,
        says: Callable[[JobRow], JobEvent | None],
        *,
        lenient: bool = False,
    ) -> JobRow:
        """Decide on what the log has, and again when another command came in between."""
        event_id = who.event_id
        for _ in range(TRIES):
            row = await self._decide_on(target)
            if who.turn is not None and await self._was_given(target.job_id, event_id):
                return row
            await self._require_readable(target.job_id)
            if lenient and row.state_now in UNCHANGED.get(command, ()):
                return row
            if not allows(row.state_now, command):
                raise NotAllowed(target.job_id, command, row.state_now, self._offered)
            event = says(row)
            if event is None:
                return row
            try:
                await self._append(target.job_id, Version(row.version), HISTORY.encode(event, event_id), who)
            except VersionConflict:
                continue
            return await self._shown(target.job_id, row)
        raise Contended(f"job {target.job_id} is changed by others all the time: try again")

    async def show(self, target: Target) -> JobRow:
        """The job as its commands have left it. Raises JobMissing, VersionPassed."""
        return await self._decide_on(target)

    async def _decide_on(self, target: Target) -> JobRow:
        """The job as the log has it; what its run did since may be 2 s old at worst."""
        row = await self._shown(target.job_id)
        if row.wanted == "deleted" or target.kind not in (None, row.kind):
            raise JobMissing(target.job_id)
        if target.if_match is not None and not _matches(target.if_match, row.version):
            raise VersionPassed(target.job_id, target.if_match, row.version)
        return row

    async def _shown(self, job_id: UUID, known: JobRow | None = None) -> JobRow:
        """The row at or after the latest event of `job/<id>`; where the view is late, its row and what it lacks.

        `known` is the row as it was; that of a deleted job is shown to nobody else.
        """
        row = known or await self._jobs.get(job_id)
        events = await self._commands(job_id, Version(row.version if row else 0))
        if events:
            await self._projections.wait_for("jobs", Position(events[-1].position), SIGHT)
            row = await self._jobs.get(job_id) or row
        missing = [event for event in events if row is None or event.position > row.position]
        folded = reduce(fold, missing, row)
        if folded is None:
            raise JobMissing(job_id)
        return folded

    async def _was_given(self, job_id: UUID, event_id: UUID) -> bool:
        return any(event.event_id == event_id for event in await self._commands(job_id, Version(0)))

    async def _require_readable(self, job_id: UUID) -> None:
        """Raises UnknownType where a newer program has written: the view, which may be of that one, shows less than is wanted.

        What moved into a bucket is old, and no command waits for a bucket that is away.
        """
        with suppress(SegmentFault, LogUnavailable, TimeoutError):
            async with asyncio.timeout(SIGHT):
                for event in await self._commands(job_id, Version(0)):
                    if not HISTORY.reads(event):
                        raise UnknownType(event.type, event.schema_version)

    async def _commands(self, job_id: UUID, after: Version) -> list[Recorded]:
        """What was ordered behind a version: the view knows the rest, which may be in a bucket by now."""
        events: list[Recorded] = []
        page: Sequence[Recorded] = await self._log.read(job_entity(job_id), after, _PAGE)
        while page:
            events += page
            page = await self._log.read(job_entity(job_id), page[-1].version, _PAGE) if len(page) == _PAGE else ()
        return events

    async def _append(self, job_id: UUID, expected: Version, event: NewEvent, who: Who) -> Appended:
        append = Append(job_entity(job_id), expected, Fence(0), (event,), who.actor, who.correlation_id)
        return await recorded(self._writer, append)


async def recorded(writer: Writer, append: Append) -> Appended:
    """Append, waiting for Postgres only so long. Raises VersionConflict, Stopped, Unavailable."""
    try:
        async with asyncio.timeout(PATIENCE):
            return await writer.append(append)
    except TimeoutError:
        raise Unavailable("postgres", "an append took too long; whether it was recorded is not known") from None


def _matches(if_match: str, version: int) -> bool:
    return any(tag.strip() in ("*", f'"{version}"') for tag in if_match.split(","))
