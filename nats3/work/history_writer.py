"""Writes into the run of a job that nobody runs, under a claim of its own."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from functools import reduce
from typing import cast

from eventstore import Batcher, EventStore, LogUnavailable, Version
from nats3.job import ordering
from nats3.job.history import HISTORY
from nats3.job.storing import FOLD, ChunkFlushed, Storing, StoringEvent, evolve
from nats3.work.claiming import Claimant
from nats3.work.journal import FoldedState, Keeper, Log, RunJournal

BATCH = 100
"""Events that wait to be appended together."""

_PAGE = 1000
_STORING = FoldedState(Storing, FOLD)


class HistoryWriter:
    """The history of one run; `state` is ahead of the log by what waits to be appended."""

    def __init__(self, journal: RunJournal) -> None:
        self._journal = journal
        self._waiting: list[StoringEvent] = []
        self._keys: set[str] = set()
        self._version = 0
        self.state = Storing()

    async def recover(self) -> None:
        history = await self._journal.recover()
        start = Storing() if history.snapshot is None else cast("Storing", history.snapshot)
        self.state = reduce(evolve, history.events, start)
        self._version = history.version

    def has(self, key: str) -> bool:
        """Whether the key is condemned, or waits to be recorded."""
        return key in self.state.condemned or key in self._keys

    def add(self, *events: StoringEvent) -> None:
        self._waiting += events
        self._keys |= {event.key for event in events if isinstance(event, ChunkFlushed)}
        self.state = reduce(evolve, events, self.state)

    async def flush_some(self) -> None:
        if len(self._waiting) >= BATCH:
            await self.flush()

    async def flush(self) -> None:
        """Append what waits. Raises Fenced when somebody else has claimed the run meanwhile."""
        if self._waiting:
            self._version = await self._journal.append(self._version, self._waiting)
            self._waiting = []
            self._keys = set()


class Runs:
    """The runs of all jobs."""

    def __init__(self, claims: Claimant, store: EventStore, batcher: Batcher, snapshots: Keeper, *, node: str) -> None:
        self._claims = claims
        self._store = store
        self._log = Log(store, batcher, HISTORY, snapshots)
        self._node = node

    @asynccontextmanager
    async def claimed(self, job_id: str) -> AsyncGenerator[HistoryWriter | None]:
        """The history of a job that no order asks to run and no node runs; None for any other."""
        claims = [] if await self._is_ordered(job_id) else await self._claims.take([f"run/{job_id}"], 1)
        if not claims:
            yield None
            return
        journal = RunJournal(f"run/{job_id}", claims[0].fence, self._log, _STORING, actor=self._node)
        writer = HistoryWriter(journal)
        try:
            await writer.recover()
            yield writer
        finally:
            with suppress(LogUnavailable):  # it comes free with this node's lease
                await self._claims.release(claims[0].entity_id, claims[0].fence)

    async def _is_ordered(self, job_id: str) -> bool:
        events = await self._store.read(f"job/{job_id}", Version(0), _PAGE)
        if not all(map(HISTORY.reads, events)):
            return True  # a newer program knows what is wanted of it
        job = reduce(ordering.evolve, map(HISTORY.decode, events), None)
        return job is not None and job.wanted != "deleted"
