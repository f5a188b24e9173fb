"""Bind a store job to its stream: make sure of where both stand before anything is read or written.

The order of the steps is the guarantee (docs/guarantees.md): the bucket before the log's word is taken, the stream's
state after that (a frozen activation may have stored what came meanwhile), its identity before its seqs are believed,
the gap before the consumer, and a consumer that nobody else ever had.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass

from nats3.chunk.object_key import job8, job_prefix, parse_key
from nats3.errors import Blocked, Unavailable
from nats3.jetstream.errors import MustBind, Reason
from nats3.jetstream.server import JetStream
from nats3.jetstream.source import Source
from nats3.jetstream.streams import ConsumerSpec, StreamInfo, Streams
from nats3.job.order import StoreOrder
from nats3.job.storing import (
    GapObserved,
    LifeContinued,
    LifeOpened,
    LifeReason,
    first_opening,
    gap_before_first,
    goes_on,
    next_opening,
)
from nats3.objects.store import AccessDenied, BucketMissing, ObjectStore
from nats3.subject import matches
from nats3.work.adopt import Adoption
from nats3.work.archive import Archive
from nats3.work.identity import Identity
from nats3.work.run import Claimed, StoringRun
from nats3.work.tools import Tools

_INACTIVE_S = 24 * 3600.0
_CONNECT_S = 2.0

_MAY_NEED_PARTS = 32 << 20
"""An order with chunks this large may make objects that are sent in parts."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A store job that may read: where it stands and what it reads from.

    `filtered` says that jumps in seq are no gaps, `explicit` that every message is acknowledged by itself.
    """

    info: StreamInfo
    consumer: str
    source: Source
    bind: int
    filtered: bool
    explicit: bool


class Binder:
    """Makes one binding after another for one activation."""

    def __init__(
        self, claimed: Claimed, order: StoreOrder, run: StoringRun, tools: Tools, objects: ObjectStore
    ) -> None:
        self._claimed = claimed
        self._order = order
        self._run = run
        self._tools = tools
        self._objects = objects
        self._streams = tools.nats.streams
        self._bind = 0

    async def bind(self) -> Bound:
        """Adopt what the bucket has, judge the stream's identity, record the gap, make the consumer; in this order."""
        self._bind = next(self._claimed.binds)
        epoch = await connected(self._tools.nats)
        await self._require_bucket()
        await self._sweep()
        await self._adopt()
        await self._tools.reach("bind.after_adopt")
        info = await self._streams.info(self._order.stream)
        await self._identify(info)
        await self._tools.reach("bind.after_identity")
        await self._record_gap(info)
        await self._tools.reach("bind.after_gap")
        return await self._consume(info, epoch)

    async def _require_bucket(self) -> None:
        """A missing bucket is said so: some stores would make it by themselves at the first PUT."""
        if not await self._tools.bucket_exists(self._order.bucket):
            raise BucketMissing(self._order.bucket)

    async def _sweep(self) -> None:
        """Take back the parts of large objects that an earlier bind did not finish: nobody else knows of them."""
        if self._order.limits.max_bytes < _MAY_NEED_PARTS:
            return
        prefix, mine = job_prefix(self._order.prefix or "", self._order.stream), job8(self._claimed.job_id)

        def owned(key: str) -> bool:
            parsed = parse_key(key)
            return parsed is not None and parsed.job8 == mine

        try:
            count = await self._tools.sweep(self._order.bucket, prefix, owned)
        except AccessDenied as denied:
            self._tools.signals.bound(self._order.name, f"unfinished uploads stay where they are: {denied}")
            return
        if count:
            self._tools.signals.bound(self._order.name, f"took back the parts of {count} unfinished uploads")

    async def _adopt(self) -> None:
        adoption = Adoption(self._claimed, self._order, self._bind, self._tools, self._objects)
        await adoption.run(self._run)

    async def _identify(self, info: StreamInfo) -> None:
        """Open the job's first life, go on with the current one, or open the next."""
        if self._run.state.life is None:
            opening = first_opening(self._tools.uuid(), info.created, info.first)
            await self._run.emit(LifeOpened(opening, "first", _config(info)))
            return
        identity = self._identity()
        seen = await identity.sight(info)
        if goes_on(self._run.state, seen):
            await self._unchanged(info)
            if info.created not in self._run.state.created:
                await self._run.emit(LifeContinued(info.created))
            return
        match = await identity.best_match(info)
        await self._unchanged(info)
        opening = next_opening(self._run.state, self._tools.uuid(), seen, match)
        reason: LifeReason = "recreated" if match is None else "rolled_back"
        await self._run.emit(LifeOpened(opening, reason, _config(info)))
        self._tools.signals.bound(self._order.name, f"life {opening.ordinal} opened: {reason}")

    def _identity(self) -> Identity:
        archive = Archive(self._objects, self._tools.index, self._tools.in_thread)
        job_id, state, sleep = self._claimed.job_id, self._run.state, self._tools.sleep
        return Identity(job_id, state, self._order, self._streams, archive=archive, sleep=sleep)

    async def _unchanged(self, info: StreamInfo) -> None:
        """What was read counts only if the stream was not replaced meanwhile."""
        now = await self._streams.info(self._order.stream)
        if now.created != info.created:
            raise MustBind(Reason.STREAM_CHANGED)

    async def _record_gap(self, info: StreamInfo) -> None:
        gap = gap_before_first(self._run.state, info.first)
        if gap is None or (_filtered(self._order, info) and info.retention != "limits"):
            return
        if _filtered(self._order, info):
            gap = GapObserved(gap.life, gap.first, gap.last, "unknown")
        await self._unchanged(info)
        await self._run.emit(gap)
        self._tools.signals.gap(self._order.name, gap.first, gap.last, gap.reason)

    async def _consume(self, info: StreamInfo, epoch: int) -> Bound:
        """A consumer of its own. On limits and interest the new one is made before older ones go, so that an interest
        stream never stands without; a work queue takes one consumer alone, so there the older one goes first.
        """
        spec = self._spec(info)
        drains = info.retention == "workqueue"
        if drains:
            self._require_drain()
            await self._delete_older(spec.name)
        await self._streams.make_consumer(spec)
        await self._tools.reach("bind.after_consumer")
        await self._unchanged(info)
        if not drains:
            await self._delete_older(spec.name)
        await self._tools.reach("bind.after_delete")
        require_unbroken(self._tools.nats, epoch)
        source = self._tools.nats.source(self._order.stream, spec.name, spec.ack)
        return Bound(info, spec.name, source, self._bind, _filtered(self._order, info), drains)

    def _spec(self, info: StreamInfo) -> ConsumerSpec:
        state = self._run.state
        life = state.lives[-1]
        base = self._order.consumer or f"nats3-{self._claimed.job_id[:8]}"
        drains = info.retention == "workqueue"
        return ConsumerSpec(
            stream=self._order.stream,
            name=f"{base}-{life.ordinal}-{self._claimed.fence}-{self._bind}",
            filter_subject=self._order.subject,
            start_seq=0 if drains else state.cursor + 1,
            ack="explicit" if drains else "all",
            ack_wait_s=2 * self._order.limits.max_age_s + 600,
            inactive_threshold_s=None if info.retention == "interest" else _INACTIVE_S,
            metadata={"nats3.job": self._claimed.job_id, "nats3.bind": f"{self._claimed.fence}-{self._bind}"},
        )

    def _require_drain(self) -> None:
        if not self._order.drain:
            reason = (
                f"stream {self._order.stream} is a work queue: to archive it is to consume it;"
                " order the job with drain: true, or archive a mirror of the stream"
            )
            raise Blocked("drain_not_ordered", reason)

    async def _delete_older(self, name: str) -> None:
        """Consumers of this job that an earlier activation or bind left behind."""
        for consumer in await self._streams.consumers(self._order.stream):
            mine = consumer.metadata.get("nats3.job") == self._claimed.job_id
            if mine and consumer.name != name and self._is_older(consumer.metadata.get("nats3.bind", "")):
                await self._streams.delete_consumer(self._order.stream, consumer.name)

    def _is_older(self, written: str) -> bool:
        activation, _, bind = written.partition("-")
        return (int(activation or 0), int(bind or 0)) < (self._claimed.fence, self._bind)

    async def forget(self) -> None:
        """The job is deleted: nothing may pin the stream's messages for it."""
        await forget_consumers(self._streams, self._order.stream, self._claimed.job_id)


async def connected(nats: JetStream) -> int:
    """Wait a moment for NATS, and give the connection's epoch. Raises Unavailable, so that a longer outage is said."""
    try:
        async with asyncio.timeout(_CONNECT_S):
            await nats.wait_connected()
    except TimeoutError:
        raise Unavailable("nats", "there is no connection") from None
    return nats.epoch


def require_unbroken(nats: JetStream, epoch: int) -> None:
    """Called where a source or publisher is opened: what was read of the stream since `epoch` counts for it.

    Raises MustBind when the connection was lost meanwhile, because the server may have come back without what was read.
    """
    if nats.epoch != epoch:
        raise MustBind(Reason.CONNECTION_LOST, "while the stream was being recognised")


async def forget_consumers(streams: Streams, stream: str, job_id: str) -> None:
    """Delete every consumer that any activation of the job made."""
    for consumer in await streams.consumers(stream):
        if consumer.metadata.get("nats3.job") == job_id:
            await streams.delete_consumer(stream, consumer.name)


def _filtered(order: StoreOrder, info: StreamInfo) -> bool:
    """Whether the stream may hold messages that the job does not want: then a jump in seq says nothing."""
    if order.subject in {"", ">"}:
        return False
    if info.config.get("sources") or info.config.get("mirror") or info.config.get("subject_transform"):
        return True
    subjects = info.config.get("subjects") or []
    return not subjects or not all(_covers(order.subject, subject) for subject in subjects)


def _covers(pattern: str, subject: str) -> bool:
    """Whether everything that a stream's subject (with wildcards) takes matches the pattern."""
    open_ended = subject.endswith(">") and not pattern.endswith(">")
    return not open_ended and matches(pattern, subject.encode())


def _config(info: StreamInfo) -> str:
    return json.dumps(info.config, sort_keys=True, separators=(",", ":"))
