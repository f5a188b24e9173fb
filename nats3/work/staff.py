"""Makes the actor for a job, and does for a job without an actor what must still be done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Protocol

from typing_extensions import override

from actors import errors as actor_errors
from actors.actor import Actor
from actors.journal import History, Journal
from nats3.errors import Unavailable
from nats3.failpoint import Reach
from nats3.jetstream.server import JetStream
from nats3.jetstream.streams import StreamMissing
from nats3.job.order import StoreOrder
from nats3.job.running import RUN_EVENTS, Condition, RunBlocked, RunFailed, condition_after, fault_in
from nats3.job.storing import ConsumersForgotten
from nats3.work.endure import NEWER_EVENT
from nats3.work.journal import FoldedState, Log, RunJournal, Unreadable
from nats3.work.kept import LOADING, STORING, job_of
from nats3.work.load_worker import LoadWorker
from nats3.work.office import Runnable, Staff
from nats3.work.own_consumer import forget_consumers
from nats3.work.run import Claimed
from nats3.work.store_worker import StoreWorker
from nats3.work.tidy import Forgetter
from nats3.work.tools import Tools


class JetStreams(Protocol):
    """The JetStreams that this node reaches."""

    def of(self, name: str) -> JetStream:
        """One whose every question raises Unavailable, where this node has no connection of that name."""
        ...


@dataclass(frozen=True, slots=True)
class _Ordered(Journal[Any]):
    """The history of a run, read only where that of its order can be read too: a view may not know what is wanted by now."""

    log: Log
    job_id: str
    run: RunJournal

    @override
    async def recover(self) -> History[Any]:
        await job_of(self.log, self.job_id)
        return await self.run.recover()

    @override
    async def append(self, expected: int, events: Sequence[Any]) -> int:
        return await self.run.append(expected, events)

    @override
    async def save(self, version: int, state: object) -> None:
        await self.run.save(version, state)


class Workers(Staff, Forgetter):
    """Store and load workers over the event log."""

    def __init__(self, log: Log, tools: Tools, jetstreams: JetStreams) -> None:
        """`tools` are those of a job that names no connection of NATS."""
        self._log = log
        self._tools = tools
        self._jetstreams = jetstreams

    @property
    def reach(self) -> Reach:
        return self._tools.reach

    @override
    def actor(self, runnable: Runnable, claimed: Claimed) -> Callable[[], Actor]:
        """A factory: each activation is a new actor on the same claim."""
        order = runnable.order
        tools = replace(self._tools, nats=self._jetstreams.of(order.nats))
        if isinstance(order, StoreOrder):
            return lambda: StoreWorker(claimed, order, self._ordered(claimed, STORING), tools)
        return lambda: LoadWorker(
            claimed,
            order,
            self._ordered(claimed, LOADING),
            tools,
            generation=runnable.generation,
            attempt=runnable.attempt,
        )

    def _ordered(self, claimed: Claimed, codec: FoldedState) -> _Ordered:
        return _Ordered(self._log, claimed.job_id, self._journal(claimed, codec))

    def _journal(self, claimed: Claimed, codec: FoldedState) -> RunJournal:
        return RunJournal(f"run/{claimed.job_id}", claimed.fence, self._log, codec, actor=self._tools.node)

    @override
    async def failed(self, claimed: Claimed, reason: str) -> None:
        """Somebody else's claim or write in between makes this record worthless: then it is left out."""
        journal = self._journal(claimed, STORING)  # of whatever kind: only the version matters
        with suppress(actor_errors.ActorError):
            history = await journal.recover()
            await journal.append(history.version, [RunFailed(reason, fault_in(reason))])

    @override
    async def left(self, claimed: Claimed, why: Unreadable) -> None:
        """Where it is the order that cannot be read, the run says so, once; a run that cannot be read stays as it is."""
        self._tools.signals.left(claimed.name, str(why))
        journal = self._journal(claimed, STORING)  # of whatever kind, as above
        said = RunBlocked(NEWER_EVENT, str(why))
        with suppress(actor_errors.ActorError):
            history = await journal.recover()
            if _condition(history) != condition_after(said):
                await journal.append(history.version, [said])

    @override
    async def forget(self, job_id: str, fence: int) -> None:
        """Consumers that a deleted store job left behind are deleted; that nothing is left is recorded."""
        try:
            job, _ = await job_of(self._log, job_id)
        except actor_errors.Transient as away:
            raise Unavailable("postgres", str(away)) from away
        if job is None or job.wanted != "deleted" or not isinstance(job.order, StoreOrder):
            return
        stream = job.order.stream
        with suppress(StreamMissing):
            await forget_consumers(self._jetstreams.of(job.order.nats).streams, stream, job_id)
        journal = RunJournal(f"run/{job_id}", fence, self._log, STORING, actor=self._tools.node)
        await journal.append((await journal.recover()).version, [ConsumersForgotten(stream)])


def _condition(history: History[Any]) -> Condition | None:
    """How the run says that it is."""
    said = [event for event in history.events if isinstance(event, RUN_EVENTS)]
    return condition_after(said[-1]) if said else getattr(history.snapshot, "condition", None)
