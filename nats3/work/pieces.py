"""The archived messages of a plan, chunk by chunk, verified, selected, and merged where several jobs kept the same life."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from itertools import compress, groupby
from typing import Protocol

from nats3.chunk.held import from_bytes, to_bytes
from nats3.chunk.layout import DecodeError
from nats3.errors import Blocked
from nats3.job.loading import ChunkDeleteRequested, ChunkSkipped, Loading, PlannedRange
from nats3.job.order import LoadOrder
from nats3.job.storing import ChunkFlushed
from nats3.message import Batch
from nats3.selection import EVERYTHING, Selection, keep
from nats3.work.archive import Archive
from nats3.work.present import NOTHING_PRESENT, NOTHING_TAKEN, Known
from nats3.work.tools import IndexedChunk, InThread, PlanIndex

_PAGES = (10, 500)
"""Index rows read at once: at first no more than the first message waits for."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Messages of one rank to be published one after the other; `lives` names the life of each.

    `finishes` are the chunks of which nothing follows, `deletions` asks for those of them that the order says to delete
    because every message was selected, `skipped` one that was passed over by order. Up to seq `reaches` nothing is left once the piece is acknowledged;
    `known` are those of its messages that are in the target already and not in `batch`.
    """

    rank: int
    batch: Batch
    lives: Sequence[str]
    finishes: tuple[ChunkFlushed, ...] = ()
    deletions: tuple[ChunkDeleteRequested, ...] = ()
    skipped: ChunkSkipped | None = None
    known: Sequence[Known] = ()
    reaches: int = 0


@dataclass(slots=True)
class _Read:
    """A chunk that was read, as far as it is selected; `skipped` when it was bad."""

    chunk: ChunkFlushed
    batch: Batch = field(default_factory=Batch)
    deletions: tuple[ChunkDeleteRequested, ...] = ()
    skipped: ChunkSkipped | None = None


class Reading(Protocol):
    """What reading needs of a worker's tools."""

    @property
    def plans(self) -> PlanIndex: ...

    @property
    def in_thread(self) -> InThread: ...

    @property
    def sleep(self) -> Callable[[float], Awaitable[None]]: ...


class Reader:
    """Reads what is left of a plan, in the order in which it is to be published."""

    def __init__(self, order: LoadOrder, archive: Archive, tools: Reading) -> None:
        self._order = order
        self._archive = archive
        self.tools = tools
        self._selection = selection_of(order)
        self.present = NOTHING_PRESENT
        self.taken = NOTHING_TAKEN
        """The same where they can only be counted."""
        self.subjects_of: Callable[[Sequence[bytes]], Sequence[bytes]] = lambda archived: archived
        """Where messages of these archived subjects are to be published. Raises Blocked."""

    async def pieces(self, state: Loading) -> AsyncGenerator[Piece]:
        """What is left of the plan, up to the order's limit.

        Raises Blocked at a bad chunk, unless the order says to pass it over.
        """
        left = None if self._order.limit is None else self._order.limit - state.published
        if left is not None and left <= 0:
            return
        before, pieces = 0, self._all_left(state)
        async with aclosing(pieces):
            async for piece in pieces:
                if left is not None and len(piece.batch) > left - before:
                    batch = piece.batch.slice(0, left - before)
                    lives = piece.lives[: left - before]
                    yield self._unknown(Piece(piece.rank, batch, lives, reaches=batch.seqs[-1]), before)
                    return
                yield self._unknown(piece, before)
                before += len(piece.batch)
                if before == left:
                    return

    def _unknown(self, piece: Piece, before: int) -> Piece:
        """The piece without what the target has already: after a refusal or a lost link there may be holes before it.

        `before` messages of the plan come before it.
        """
        batch = piece.batch
        if before < self.taken.count:
            known = self.taken.known(piece.lives, batch.seqs, before)
            there = len(known)
            return replace(piece, batch=batch.slice(there, len(batch)), lives=piece.lives[there:], known=known)
        if not self.present.seqs:
            return piece
        found = self.present.known(piece.rank, piece.lives, batch.seqs, lambda: self._subjects(batch))
        mask = [each is None for each in found]
        lives = list(compress(piece.lives, mask))
        return replace(piece, batch=keep(batch, mask), lives=lives, known=[each for each in found if each is not None])

    def _subjects(self, batch: Batch) -> Sequence[bytes | None]:
        """None for all where one may not be published: that blocks in its turn."""
        try:
            return self.subjects_of(batch.subjects)
        except Blocked:
            return [None] * len(batch)

    async def _all_left(self, state: Loading) -> AsyncGenerator[Piece]:
        ranges = [each for each in state.ranges if each.rank >= state.rank]
        for _, same in groupby(ranges, key=lambda each: each.rank):
            async with aclosing(self.of_rank(state, list(same))) as pieces:
                async for piece in pieces:
                    yield piece

    def of_rank(self, state: Loading, sources: list[PlannedRange]) -> AsyncGenerator[Piece]:
        """What is left of the ranges of one rank, whatever the order's limit."""
        after = state.seq if sources[0].rank == state.rank else 0
        masks = overlapping(state.ranges, sources)
        if len(sources) == 1 and not masks:
            return self._single(sources[0], state, after)
        return self._merged(sources, masks, state, after)

    async def _single(self, planned: PlannedRange, state: Loading, after: int) -> AsyncGenerator[Piece]:
        async with aclosing(self._reads(planned, state, after)) as reads:
            async for read in reads:
                lives = [planned.life] * len(read.batch)
                ends = ((read.chunk,), read.deletions, read.skipped)
                yield Piece(planned.rank, read.batch, lives, *ends, reaches=read.chunk.last)

    async def _merged(
        self, sources: list[PlannedRange], masks: list[PlannedRange], state: Loading, after: int
    ) -> AsyncGenerator[Piece]:
        """Several jobs archived the same life: each message comes once, from the first job that has it.

        `masks` are what was planned before of other jobs: their messages are read and left out.
        """
        heads = [_Head(source, self._reads(source, state, after, mask=True), mask=True) for source in masks]
        heads += [_Head(source, self._reads(source, state, after)) for source in sources]
        try:
            for head in heads:
                await head.advance()
            while any(head.read is not None and not head.mask for head in heads):
                live = [head for head in heads if head.read is not None]
                limit = min(head.last for head in live)
                yield _union(sources[0].rank, live, limit)
                for head in live:
                    await head.pass_by(limit)
        finally:
            for head in heads:
                await head.reads.aclose()

    async def _reads(
        self, planned: PlannedRange, state: Loading, after: int, *, mask: bool = False
    ) -> AsyncGenerator[_Read]:
        """The chunks of a range in seq order, read one by one; the queue behind keeps some ahead of need."""
        position = state.planned_at(planned.rank)
        async for indexed in self.rows(planned, position, after):
            if mask:
                yield _Read(indexed.flushed, _within(await self._known(indexed, planned, position), planned, after))
            else:
                yield await self._read(indexed, planned, after)

    async def rows(self, planned: PlannedRange, position: int, after: int) -> AsyncIterator[IndexedChunk]:
        """The index of a range that was planned at `position`, behind seq `after`."""
        after, most = max(after, planned.first - 1), _PAGES[0]
        while page := await self.tools.plans.page(self._order, planned, position, after, most):
            for indexed in page:
                yield indexed
            after, most = page[-1].flushed.last, _PAGES[1]

    async def _read(self, indexed: IndexedChunk, planned: PlannedRange, after: int) -> _Read:
        chunk = indexed.flushed
        try:
            # What is to be deleted is read whole: the deletion says what was in it.
            whole = self._order.delete_chunks
            batch = await self._content(indexed, EVERYTHING if whole else self._selection)
        except Blocked as blocked:
            if self._order.on_bad_chunk == "halt":
                raise
            return _Read(chunk, skipped=ChunkSkipped(chunk.key, chunk.first, chunk.last, chunk.count, str(blocked)))
        selected = await self.tools.in_thread(lambda: self._selection.select(batch)) if whole else batch
        deletions: tuple[ChunkDeleteRequested, ...] = ()
        if whole and len(selected) == chunk.count:
            held = await self.tools.in_thread(lambda: to_bytes(batch))
            deletions = (ChunkDeleteRequested(chunk.bucket, chunk.key, held),)
        return _Read(chunk, _within(selected, planned, after), deletions)

    async def _content(self, indexed: IndexedChunk, selection: Selection = EVERYTHING) -> Batch:
        """Verified messages of a chunk. Raises Blocked, also when it was deleted after it had been planned."""
        if indexed.deleted:
            reason = f"{indexed.flushed.key} was deleted by order of a load (log position {indexed.deletion_position})"
            remedy = "put the object back and retry the job with restart, or order quarantine"
            raise Blocked("chunk_missing", f"{reason} after this one had planned it: {remedy}")
        return await self._archive.confirmed(indexed.flushed, self.tools.sleep, selection)

    async def _known(self, indexed: IndexedChunk, planned: PlannedRange, position: int) -> Batch:
        """The messages of a chunk that was published before, to know them again in another: by seq and time.

        Raises Blocked whatever is ordered for bad chunks: to pass this one over would publish its messages twice.
        """
        if indexed.deleted:
            return await self._recall(indexed)
        try:
            return await self._content(indexed)
        except Blocked:
            last = indexed.flushed.last
            (now,) = await self.tools.plans.page(self._order, planned, position, last - 1, 1)
            if not now.deleted:  # else it went while we were about to read it
                raise
            return await self._recall(now)

    async def _recall(self, indexed: IndexedChunk) -> Batch:
        """What a deleted chunk held, out of the log."""
        try:
            return from_bytes(await self.tools.plans.held(indexed))
        except DecodeError as fault:
            reason = f"{indexed.flushed.key} was deleted, and which of its messages are in another chunk is not known"
            raise Blocked("chunk_missing", f"{reason} ({fault}); retry the job with restart") from fault


@dataclass(slots=True)
class _Head:
    """Where a merge stands in one source."""

    source: PlannedRange
    reads: AsyncGenerator[_Read]
    read: _Read | None = None
    mask: bool = False

    @property
    def last(self) -> int:
        """Up to which seq this source is known."""
        assert self.read is not None
        return self.read.chunk.last

    async def advance(self) -> None:
        self.read = await anext(self.reads, None)

    async def pass_by(self, limit: int) -> None:
        """Nothing up to `limit` is needed any more."""
        assert self.read is not None
        if self.read.chunk.last <= limit:
            await self.advance()
        else:
            batch = self.read.batch
            self.read.batch = batch.slice(bisect_right(batch.seqs, limit), len(batch))


def _union(rank: int, heads: list[_Head], limit: int) -> Piece:
    """All messages up to `limit`, each once, by seq; equal seq and time is the same message."""
    union: dict[tuple[int, int], tuple[_Head, Batch, int]] = {}
    for head in heads:
        assert head.read is not None
        batch = head.read.batch
        for at in range(bisect_left(batch.seqs, limit + 1)):
            union.setdefault((batch.seqs[at], batch.times[at]), (head, batch, at))
    merged, lives = Batch(), []
    for _, (head, batch, at) in sorted(union.items(), key=lambda item: item[0]):
        if not head.mask:
            merged.extend(batch.slice(at, at + 1))
            lives.append(head.source.life)
    finished = [head.read for head in heads if head.read is not None and head.last <= limit and not head.mask]
    skipped = next((read.skipped for read in finished if read.skipped), None)
    deletions = tuple(each for read in finished for each in read.deletions)
    return Piece(rank, merged, lives, tuple(read.chunk for read in finished), deletions, skipped, reaches=limit)


def _within(batch: Batch, planned: PlannedRange, after: int) -> Batch:
    """The messages of the range behind `after`."""
    start = bisect_right(batch.seqs, max(after, planned.first - 1))
    return batch.slice(start, bisect_right(batch.seqs, planned.last))


def overlapping(ranges: Sequence[PlannedRange], sources: Sequence[PlannedRange]) -> list[PlannedRange]:
    """The parts of earlier ranges that may hold the same messages as `sources`, by another job."""
    rank = sources[0].rank
    first, last = min(each.first for each in sources), max(each.last for each in sources)
    return [
        replace(each, first=max(each.first, first), last=min(each.last, last))
        for each in ranges
        if each.rank < rank and each.first <= last and each.last >= first
        if any(_may_share(each, source) for source in sources)
    ]


def _may_share(one: PlannedRange, other: PlannedRange) -> bool:
    """Whether two jobs may have archived the same message: of one stream, or of streams that were restored from one another,
    whoever knows of that. Of a stream that was made anew no message is as old as those of the one before.
    """
    at_one_time = one.first_time <= other.last_time and other.first_time <= one.last_time
    return one.job_id != other.job_id and at_one_time


def selection_of(order: LoadOrder) -> Selection:
    return Selection(
        subjects=() if ">" in order.filters else order.filters,
        from_time=order.from_time,
        to_time=order.to_time,
        first_seq=order.from_seq,
        last_seq=order.to_seq,
        headers=order.read_headers,
    )
