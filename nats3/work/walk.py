"""A survey as its steps see it: where findings go, where progress is said, and how a node learns that it shall stop."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import cast

from actors.errors import Conflict
from eventstore import EventStore, Undecodable, UnknownType, Version
from nats3.errors import Nats3Error
from nats3.job.history import HISTORY
from nats3.job.surveying import (
    Finding,
    SurveyAsked,
    SurveyCancelled,
    Walk,
    WalkEvent,
    WalkFound,
    WalkProgressed,
    evolve,
    survey_entity,
)
from nats3.work.journal import RunJournal, Unreadable

SAID_EVERY_S = 2.0
"""How often progress is recorded."""

FINDINGS = 200
"""How many findings one event holds at most."""


class Cancelled(Nats3Error):
    """Whoever asked for the survey does not want it any more."""


class WalkLog:
    """One walk of one node. Events are written under its claim, so that two nodes never walk as one."""

    def __init__(self, survey_id: str, store: EventStore, journal: RunJournal, monotonic: Callable[[], float]) -> None:
        self._survey_id = survey_id
        self._store = store
        self._journal = journal
        self._monotonic = monotonic
        self._said_at = monotonic()
        self._found: list[Finding] = []
        self.counts: dict[str, int] = {}
        self.state = Walk()
        self._version = 0

    async def recover(self) -> None:
        """What was walked before, by whatever node."""
        history = await self._journal.recover()
        start = Walk() if history.snapshot is None else cast("Walk", history.snapshot)
        self.state = reduce(evolve, history.events, start)
        self._version = history.version
        self.counts = dict(self.state.counts)
        self._found = []  # what was found behind that place is found again

    async def asked(self) -> SurveyAsked | None:
        """What is asked, None when it was cancelled. Raises Unreadable."""
        entity_id = survey_entity(self._survey_id)
        try:
            events = [HISTORY.decode(each) for each in await self._store.read(entity_id, Version(0), 10)]
        except (UnknownType, Undecodable) as fault:
            raise Unreadable(entity_id, fault) from fault
        cancelled = any(isinstance(event, SurveyCancelled) for event in events)
        return None if cancelled else next(event for event in events if isinstance(event, SurveyAsked))

    async def emit(self, *events: WalkEvent) -> None:
        """Append, then apply. An append whose answer was lost is found by reading again, and not made twice."""
        try:
            self._version = await self._journal.append(self._version, events)
        except Conflict:
            await self.recover()
            raise
        self.state = reduce(evolve, events, self.state)

    def count(self, what: str, number: int = 1) -> None:
        self.counts[what] = self.counts.get(what, 0) + number

    async def found(self, *findings: Finding) -> None:
        self._found += findings
        while len(self._found) >= FINDINGS:
            await self.settle()

    async def settle(self) -> None:
        """Record the findings that wait."""
        some, self._found = self._found[:FINDINGS], self._found[FINDINGS:]
        if some:
            await self.emit(WalkFound(tuple(some)))

    async def progress(self, step: str, after: str, done: int, total: int) -> None:
        """Record how far it is, now and then; findings first, so that nobody who goes on from here misses one.

        Raises Cancelled.
        """
        if self._monotonic() - self._said_at < SAID_EVERY_S:
            return
        await self.arrived(step, after, done, total)

    async def arrived(self, step: str, after: str, done: int, total: int) -> None:
        """The same at once. Raises Cancelled."""
        if await self.asked() is None:
            raise Cancelled
        await self.settle()
        await self.emit(WalkProgressed(step, after, done, total, dict(self.counts)))
        self._said_at = self._monotonic()
