"""Walks the surveys that were asked for, one after the other, on whichever node comes first; another goes on when it dies."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Protocol

from typing_extensions import override

from actors import errors as actor_errors
from eventstore import Background, Batcher, Claim, EventStore, LogRewound, LogUnavailable, Position, Tail
from nats3.errors import Nats3Error, Unavailable
from nats3.job.history import HISTORY, types_of
from nats3.job.surveying import FOLD, SurveyAsked, SurveyOutcome, Walk, WalkBegun, WalkEnded, WalkWaits, walk_entity
from nats3.objects.store import ObjectStore
from nats3.work.claiming import Claimant
from nats3.work.endure import sole
from nats3.work.history_writer import Runs
from nats3.work.journal import FoldedState, Keeper, Log, RunJournal, Unreadable
from nats3.work.rebuild import Rebuild
from nats3.work.tools import Tools
from nats3.work.verify import Catalogue, Verify
from nats3.work.walk import Cancelled, WalkLog

LOOK_S = 5.0
"""How often a node looks for surveys whose node has died."""

IDLE_S = 60.0
"""The same where none is open: what is asked is heard of in the log, and this only heals what cannot be."""

ATTEMPTS = 8
"""Requests in a row that S3 may leave unanswered, some 3 s, before a walk says that it waits, and why."""

_AGAIN_S = 1.0
_PAGE = 1000
_START = Position(0)
_WALK = FoldedState(Walk, FOLD)
_ASKED = types_of(SurveyAsked)
_TYPES = _ASKED | types_of(WalkEnded)
_PASSING = (Unavailable, LogUnavailable, actor_errors.Transient, actor_errors.Conflict)


class SurveySignals(Protocol):
    """What a surveyor tells."""

    def walked(self, task: str, outcome: str, reason: str) -> None: ...

    def left(self, survey_id: str, reason: str) -> None:
        """This program cannot read what was asked, or what was walked of it."""
        ...


@dataclass
class Surveyor(Background):
    """One per node; an async context manager. `objects` is patient for a while: it waits out what is short."""

    store: EventStore
    batcher: Batcher
    snapshots: Keeper
    claims: Claimant
    tail: Tail
    tools: Tools
    catalogue: Catalogue
    objects: ObjectStore
    signals: SurveySignals
    _open: set[str] = field(default_factory=set[str])
    _left: set[str] = field(default_factory=set[str])
    _read_to: Position = field(default=_START)
    _seen: Position = field(default=_START)
    _rewinds: int = 0

    @override
    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self._look()
                walked = await self._walk_one()
                patience = LOOK_S if self._open - self._left else IDLE_S
            except (*_PASSING, actor_errors.Fenced):
                walked, patience = False, LOOK_S
            if not walked:
                await self._until_asked(patience)

    async def _until_asked(self, patience: float) -> None:
        """Wait for something to be asked, or a while."""
        try:
            async with asyncio.timeout(patience), aclosing(self.tail.follow(self._seen)) as pages:
                async for page in pages:
                    if any(event.type in _TYPES for event in page):
                        return
        except (TimeoutError, LogRewound, LogUnavailable):
            return

    async def _look(self) -> None:
        """What is asked and not walked to its end; a log that was restored from an older copy is read anew."""
        self._seen = await self.store.head()
        if self._seen < self._read_to or self._rewinds != self.tail.rewinds:
            self._open, self._left, self._read_to, self._rewinds = set(), set(), _START, self.tail.rewinds
        while page := await self.store.read_log(self._read_to, _PAGE, _TYPES):
            for event in page:
                survey_id = event.entity_id.partition("/")[2]
                if event.type in _ASKED:
                    self._open.add(survey_id)
                else:
                    self._open.discard(survey_id)
            self._read_to = page[-1].position

    async def _walk_one(self) -> bool:
        """Whether there was one that no living node walks."""
        for claim in await self.claims.take([walk_entity(each) for each in sorted(self._open - self._left)], 1):
            try:
                await self._walk(claim)
            except Unreadable as why:
                self._leave(claim, why)
            finally:
                await self._release(claim)
            return True
        return False

    def _leave(self, claim: Claim, why: Unreadable) -> None:
        """Whoever can read it may have it at once."""
        survey_id = claim.entity_id.partition("/")[2]
        self._left.add(survey_id)
        self.signals.left(survey_id, str(why))

    async def _release(self, claim: Claim) -> None:
        try:
            await self.claims.release(claim.entity_id, claim.fence)
        except LogUnavailable:
            return  # it comes free with this node's lease

    async def _walk(self, claim: Claim) -> None:
        survey_id = claim.entity_id.partition("/")[2]
        log = Log(self.store, self.batcher, HISTORY, self.snapshots)
        journal = RunJournal(claim.entity_id, claim.fence, log, _WALK, actor=self.tools.node)
        walk = WalkLog(survey_id, self.store, journal, self.tools.monotonic)
        begun = False
        while True:
            try:
                await walk.recover()
                if walk.state.ended is not None:
                    return
                if not begun:
                    await walk.emit(WalkBegun(claim.fence, self.tools.node))
                    begun = True
                await self._end(walk, *await self._outcome(walk))
            except Unreadable as why:
                if begun:  # then it is only what was asked that cannot be read
                    await _tell_what_it_waits_for(walk, why)
                raise
            except _PASSING as fault:
                await _tell_what_it_waits_for(walk, fault)
                await self.tools.sleep(_AGAIN_S)
            else:
                return

    async def _outcome(self, walk: WalkLog) -> tuple[SurveyOutcome, str, str]:
        """How it ended, why, and what was asked; faults that pass are raised."""
        asked = await walk.asked()
        if asked is None:
            return "cancelled", "", ""
        try:
            await self._perform(asked, walk)
        except Cancelled:
            return "cancelled", "", asked.task
        except (*_PASSING, actor_errors.Fenced):
            raise
        except Exception as fault:  # noqa: BLE001 - whatever it met is told to who asked for it
            return "failed", _reason(fault), asked.task
        return "done", "", asked.task

    async def _perform(self, asked: SurveyAsked, walk: WalkLog) -> None:
        try:
            if asked.task == "verify":
                await Verify(asked, walk, self.catalogue, self.objects, self.tools).run()
            else:
                runs = Runs(self.claims, self.store, self.batcher, self.snapshots, node=self.tools.node)
                await Rebuild(asked, walk, self.catalogue, self.objects, self.tools, runs).run()
        except BaseExceptionGroup as group:
            raise sole(group) from None

    async def _end(self, walk: WalkLog, outcome: SurveyOutcome, reason: str, task: str) -> None:
        await walk.settle()
        await walk.emit(WalkEnded(outcome, dict(walk.counts), reason))
        self.signals.walked(task, outcome, reason)


async def _tell_what_it_waits_for(walk: WalkLog, fault: BaseException) -> None:
    """So that who asked need not read the log of a node. Whatever keeps it from being recorded is tried again anyway."""
    if isinstance(fault, Unavailable | Unreadable) and not walk.state.waits:
        with suppress(*_PASSING):
            await walk.emit(WalkWaits(_reason(fault)))


def _reason(fault: Exception) -> str:
    text = str(fault) if isinstance(fault, Nats3Error | Unreadable) else f"{type(fault).__name__}: {fault}"
    return text[:1000]
