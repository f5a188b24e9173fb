"""The actor of a load job: plans, binds its target, publishes what is planned, and ends when it is all there."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from functools import cache

from typing_extensions import override

from actors.journal import Journal
from nats3.jetstream.atomic import Marker
from nats3.jetstream.publisher import Publisher
from nats3.jetstream.streams import StreamInfo
from nats3.job.loading import (
    ChunkDeleted,
    LoadCompleted,
    Loading,
    LoadingEvent,
    LoadProgressed,
    TargetBound,
    evolve,
)
from nats3.job.order import LoadOrder
from nats3.work.archive import Archive
from nats3.work.bind import connected, require_unbroken
from nats3.work.load_flow import CHECKPOINT_S, LoadFlow, endings
from nats3.work.load_plan import Planner
from nats3.work.marks import Mark, plan_digest
from nats3.work.outgoing import Dresser, Takes
from nats3.work.pieces import Piece, Reader
from nats3.work.run import Claimed
from nats3.work.sent import Line
from nats3.work.target import Target
from nats3.work.tools import Tools
from nats3.work.worker import Trouble, Worker


class LoadWorker(Worker[Loading, LoadingEvent]):
    """One activation of a load job's run. `generation` and `attempt` are those that the job was ordered to be in."""

    kind = "load"

    def __init__(
        self,
        claimed: Claimed,
        order: LoadOrder,
        journal: Journal[LoadingEvent],
        tools: Tools,
        *,
        generation: int,
        attempt: int,
    ) -> None:
        super().__init__(claimed, journal, tools)
        self._order = order
        self._generation = generation
        self._attempt = attempt
        self._objects = tools.objects(Trouble("s3", self.tell_myself, self.retried))
        self._archive = Archive(self._objects, tools.index, tools.in_thread)
        self._planner = Planner(order, tools.plans)
        self._target = Target(claimed.job_id, order, tools.nats)
        self._flow: LoadFlow | None = None
        self._marked_at = 0

    @override
    def initial(self) -> Loading:
        return Loading()

    @override
    def evolve(self, state: Loading, event: LoadingEvent) -> Loading:
        return evolve(state, event)

    @override
    async def round(self) -> bool:
        """Plan once, publish what is left of it. The round that finds nothing left, and the target still to have all of
        it, completes the load; a polling load then looks for more.
        """
        if self._is_complete():
            return True
        await self._plan()
        await self._delete_requested()
        if await self._publish_rest() or self.ending:
            return False
        if self._order.poll_interval_s is None or self._reached_limit():
            await self.tools.reach("load.before_completed")
            await self.emit(LoadCompleted(self.state.published, self.state.skipped))
            await self.tools.reach("load.after_completed")
            self.signal("completed_with_gaps" if self.state.skipped else "completed")
            return True
        await self.progressed()
        await self.wait(self._order.poll_interval_s)
        extension = None if self.ending else await self._planner.extension(self.state)
        if extension is not None:
            await self.emit(extension)
            await self.tools.reach("load.after_extend")
        return False

    @override
    def finish(self) -> bool:
        if self._flow is not None:
            self._flow.finish()
        return self._flow is not None

    @override
    async def progressed(self) -> None:
        await super().progressed()
        await self._delete_requested()

    def _is_complete(self) -> bool:
        """Whether the run that is ordered has ended before, in whatever activation."""
        ordered = (self._generation, self._attempt)
        return self.state.completed and (self.state.generation, self.state.attempt) >= ordered

    def _reached_limit(self) -> bool:
        return self._order.limit is not None and self.state.published >= self._order.limit

    async def _plan(self) -> None:
        planned = self.state.planned and self.state.generation == self._generation
        if not planned or (self.state.completed and self.state.attempt < self._attempt):
            await self.emit(await self._planner.plan(self.state, self._generation, self._attempt))
            await self.tools.reach("load.after_plan")
        self.tools.signals.load_progressed(self._order.name, self.state.published, self.state.planned_messages)

    async def _publish_rest(self) -> bool:
        """False when nothing that is planned is left, and the target still has it: then nothing is published."""
        reader = Reader(self._order, self._archive, self.tools)
        first = await self._pass_over(reader) or await self._lost_again(reader)
        if first is None:
            return False
        epoch = await connected(self.tools.nats)
        dresser = Dresser(self.claimed.job_id, self._order, self.state.generation)
        reader.subjects_of = dresser.subjects_of
        (subject,) = dresser.subjects_of([first])
        info = await self._bind(subject.decode(errors="replace"))
        assert self.state.target is not None
        line = Line(self.state.farthest)
        publisher = await self._publisher(info, self.state.target, reader, line, epoch)
        limits = Takes.of(info, self.tools.nats.max_payload, self.state.target.mode)
        self._flow = LoadFlow(
            self._order,
            self,
            reader,
            dresser,
            publisher,
            self.tools,
            line=line,
            limits=limits,
            progressed=self.progressed,
        )
        try:
            await self._flow.run()
        finally:
            self._flow = None
        return True

    async def _publisher(
        self, info: StreamInfo, bound: TargetBound, reader: Reader, line: Line, epoch: int
    ) -> Publisher:
        """A publisher in the mode that was bound, behind what the target has of ours already."""
        if bound.mode == "atomic":
            marker = Marker(
                self._target.mark_subject(info.name).encode(), self._marked_at, self._marks(line), line.joined
            )
            require_unbroken(self.tools.nats, epoch)
            return self.tools.nats.atomic_publisher(info.name, marker)
        reader.present = await self._target.present(self.state, bound, info)
        if bound.mode == "exclusive":
            reader.taken = await self._target.taken(self.state, bound, info)
        require_unbroken(self.tools.nats, epoch)
        behind = self.state.farthest
        if bound.mode == "exclusive":
            return self.tools.nats.publisher(info.name, info.last, behind=behind)
        return self.tools.nats.publisher(info.name, behind=behind, strict=self._order.strict_order)

    def _marks(self, line: Line) -> Callable[[int], bytes]:
        """What the marker says once so many messages are stored."""
        state, job_id = self.state, self.claimed.job_id

        @cache
        def digest(rank: int) -> str:
            return plan_digest(state.ranges, rank)

        def payload(sent: int) -> bytes:
            rank, life, seq = line.place(sent - 1)
            published = state.published + sent
            return Mark(job_id, state.generation, digest(rank), rank, life, seq, published).to_bytes()

        return payload

    async def _pass_over(self, reader: Reader) -> bytes | None:
        """Record how far there is nothing to publish, and what was skipped; the archived subject of the first message
        behind that, None when there is none.
        """
        passed: list[Piece] = []
        due = self.tools.monotonic() + CHECKPOINT_S
        async with aclosing(reader.pieces(self.state)) as pieces:
            async for piece in pieces:
                if len(piece.batch):
                    await self._record_passed(passed)
                    return piece.batch.subjects[0]
                passed.append(piece)
                if self.tools.monotonic() >= due:
                    await self._record_passed(passed)
                    passed, due = [], self.tools.monotonic() + CHECKPOINT_S
        await self._record_passed(passed)
        await self._delete_requested()
        return None

    async def _record_passed(self, passed: list[Piece]) -> None:
        if passed:
            reached = replace(self._as_recorded(), rank=passed[-1].rank, seq=passed[-1].reaches)
            await self.emit(reached, *(event for piece in passed for event in endings(piece)))

    def _as_recorded(self) -> LoadProgressed:
        state = self.state
        return LoadProgressed(state.rank, state.seq, state.published, state.duplicates, state.target_seq, state.bytes)

    async def _bind(self, subject: str) -> StreamInfo:
        """Find the target, make sure that it is still the same, and believe what it has of ours."""
        info = await self._target.find(subject)
        await self._target.require_no_loop(info.name)
        bound = self.state.target
        if bound is None or (bound.created != info.created and not self.state.published):
            await self.emit(TargetBound(info.name, info.created, info.last, await self._target.mode(info)))
        else:
            self._target.recognise(bound, info)
        await self._believe(info)
        await self.tools.reach("load.after_bind")
        return info

    async def _lost_again(self, reader: Reader) -> bytes | None:
        """By the record all is published: the subject of the first message that the target has lost since, if any.

        A server that comes back from an older copy says nothing of it, and nothing more may be published that would meet it.
        """
        bound, published = self.state.target, self.state.published
        if bound is None or not published:
            return None
        epoch = await connected(self.tools.nats)
        info = await self.tools.nats.streams.info(bound.stream)
        self._target.recognise(bound, info)
        await self._believe(info)
        require_unbroken(self.tools.nats, epoch)
        return await self._pass_over(reader) if self.state.published < published else None

    async def _believe(self, info: StreamInfo) -> None:
        """What the target has of ours counts, not what is recorded."""
        if self.state.target is not None and self.state.target.mode == "atomic":
            await self._believe_marker(self.state.target)
        else:
            await self._correct(info)

    async def _believe_marker(self, bound: TargetBound) -> None:
        """A batch in doubt is in the target or not: the marker says it, and is right also where it says less."""
        marked = await self._target.marked(self.state, bound)
        self._marked_at = marked.at
        mark = marked.mark
        if mark is not None and mark.published != self.state.published:
            there = replace(self._as_recorded(), rank=mark.rank, seq=mark.seq, published=mark.published)
            await self.emit(replace(there, target_seq=marked.at))

    async def _correct(self, info: StreamInfo) -> None:
        """Where the target has less of ours than is recorded, the target is right."""
        assert self.state.target is not None
        stand = await self._target.stand(self.state, self.state.target, info)
        if stand is None:
            return
        published = self.state.published + stand.count
        back = replace(
            self._as_recorded(), rank=stand.rank, seq=stand.seq, published=published, target_seq=stand.target_seq
        )
        await self.emit(back)

    async def _delete_requested(self) -> None:
        """The second step of a deletion: the event that asked for it is in the log, and outlives any crash."""
        for bucket, key in sorted(self.state.to_delete):
            await self.tools.reach("load.before_delete")
            await self._objects.delete(bucket, key)
            await self.tools.reach("load.after_delete")
            await self.emit(ChunkDeleted(bucket, key))
