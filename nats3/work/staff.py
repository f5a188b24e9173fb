"""Makes the actor for a job, and does for a job without an actor what must still be done."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

from typing_extensions import override

from actors import errors as actor_errors
from actors.actor import Actor
from nats3.errors import Unavailable
from nats3.failpoint import Reach
from nats3.jetstream.server import JetStream
from nats3.jetstream.streams import StreamMissing
from nats3.job.order import StoreOrder
from nats3.job.running import RunFailed, fault_in
from nats3.job.storing import ConsumersForgotten
from nats3.work.bind import forget_consumers
from nats3.work.journal import FoldedState, Log, RunJournal
from nats3.work.kept import LOADING, STORING, job_of
from nats3.work.load_worker import LoadWorker
from nats3.work.office import Runnable, Staff
from nats3.work.run import Claimed
from nats3.work.store_worker import StoreWorker
from nats3.work.tidy import Forgetter
from nats3.work.tools import Tools


class JetStreams(Protocol):
    """The JetStreams that this node reaches."""

    def of(self, name: str) -> JetStream:
        """One whose every question raises Unavailable, where this node has no connection of that name."""
        ...


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
            return lambda: StoreWorker(claimed, order, self._journal(claimed, STORING), tools)
        return lambda: LoadWorker(
            claimed,
            order,
            self._journal(claimed, LOADING),
            tools,
            generation=runnable.generation,
            attempt=runnable.attempt,
        )

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
