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
from nats3.jetstream.streams import ConsumerRefused, ConsumerSpec, StreamInfo
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
from nats3.work.own_consumer import OwnConsumer, forget_consumers, marks
from nats3.work.run import Claimed, StoringRun
from nats3.work.tools import Tools

_INACTIVE_S = 24 * 3600.0
_CONNECT_S = 2.0
_NS = 1_000_000_000

_MAY_NEED_PARTS = 32 << 20
"""An order with chunks this large may make objects that are sent in parts."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A store job that may read: where it stands and what it reads from.

    `filtered` says that jumps in seq are no gaps, `explicit` that every message is acknowledged by itself.
    """

    info: StreamInfo
    consumer: OwnConsumer
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
        """What was read counts only if the stream was not replaced meanwhile, and keeps what it kept."""
        now = await self._streams.info(self._order.stream)
        if (now.created, now.retention) != (info.created, info.retention):
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
        consumer = OwnConsumer(self._streams, self._spec(info))
        drains = info.retention == "workqueue"
        if drains:
            self._require_drain()
            await consumer.delete_older()
        await self._make(consumer, info)
        for consequence in what_limits_cost(info):
            self._tools.signals.bound(self._order.name, consequence)
        await self._tools.reach("bind.after_consumer")
        await self._unchanged(info)
        if not drains:
            await consumer.delete_older()
        await self._tools.reach("bind.after_delete")
        require_unbroken(self._tools.nats, epoch)
        source = self._tools.nats.source(self._order.stream, consumer.name, "explicit" if drains else "all")
        return Bound(info, consumer, source, self._bind, _filtered(self._order, info), drains)

    async def _make(self, consumer: OwnConsumer, info: StreamInfo) -> None:
        """Where the stream has no room for one more, limits lose nothing if older ones of ours go before."""
        try:
            await consumer.make()
        except ConsumerRefused as refused:
            if refused.code != ConsumerRefused.NO_ROOM:
                raise
            if info.retention == "interest":
                raise _no_room(info) from refused
            await self._unchanged(info)
            if not await consumer.delete_older():
                raise
            await consumer.make()

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
            inactive_threshold_s=_inactive_s(info),
            max_ack_pending=info.consumer_limits.get("max_ack_pending") or -1,
            metadata=marks(self._claimed.job_id, self._claimed.fence, self._bind),
        )

    def _require_drain(self) -> None:
        if not self._order.drain:
            reason = (
                f"stream {self._order.stream} is a work queue: to archive it is to consume it;"
                " order the job with drain: true, or archive a mirror of the stream"
            )
            raise Blocked("drain_not_ordered", reason)

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


def require_as_bound(now: StreamInfo, bound: StreamInfo) -> None:
    """Raises MustBind when the stream is another one, or configured otherwise, than when it was bound to."""
    if (now.created, now.config) != (bound.created, bound.config):
        raise MustBind(Reason.STREAM_CHANGED)


def _inactive_s(info: StreamInfo) -> float | None:
    """How long the server keeps a consumer that nobody uses. On interest for ever, if the stream lets it: without one
    the stream forgets what nobody has read.
    """
    allowed = info.consumer_limits.get("inactive_threshold", 0) / _NS or None
    if info.retention == "interest":
        return allowed
    return min(_INACTIVE_S, allowed or _INACTIVE_S)


def what_limits_cost(info: StreamInfo) -> list[str]:
    """What follows for a job from what the stream allows its consumers; nothing where it allows what nats3 wants."""
    found, kept_s, pending = list[str](), _inactive_s(info), info.consumer_limits.get("max_ack_pending", 0)
    if info.retention == "interest" and kept_s is not None:
        lost = "what is published later is lost until nats3 is back"
        found.append(f"stream {info.name} deletes a consumer that nobody uses for {kept_s:g} s: {lost}")
    if pending > 0:
        most = f"a chunk holds at most {most_unsettled(info)}"
        found.append(f"stream {info.name} lets {pending} messages be unacknowledged: {most}")
    return found


def most_unsettled(info: StreamInfo) -> int | None:
    """Messages that a chunk may hold where only so many may be unacknowledged: half of them, so that the next one fills
    while it is on its way. None: any number.
    """
    allowed = info.consumer_limits.get("max_ack_pending", 0)
    return max(1, allowed // 2) if allowed > 0 else None


def _no_room(info: StreamInfo) -> Blocked:
    reason = (
        f"the interest stream {info.name} has as many consumers as it may have. It keeps its messages only while it has"
        " one of ours, so the next is made before the last one goes: raise max_consumers by one"
    )
    return Blocked("consumer_refused", reason)


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
