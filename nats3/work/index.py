"""The chunk index as workers ask it: the view `chunks`, after it has caught up with the log."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import fields
from uuid import UUID

from typing_extensions import override

from eventstore import EventStore, LogUnavailable, Position
from nats3.errors import Unavailable
from nats3.job.history import HISTORY
from nats3.job.loading import ChunkDeleteRequested, PlannedRange
from nats3.job.order import LoadOrder
from nats3.job.storing import ChunkFlushed
from nats3.views.chunk_queries import Chunks, Scope
from nats3.views.chunks import ChunkRow
from nats3.views.coverage_queries import Coverage
from nats3.work.abreast import Abreast
from nats3.work.lineage import SeenLife
from nats3.work.tools import Archived, ChunkIndex, IndexedChunk, PlanIndex

_FIELDS = tuple(field.name for field in fields(ChunkFlushed))
_PATIENCE_S = 10.0


class ViewIndex(ChunkIndex, PlanIndex):
    def __init__(self, store: EventStore, chunks: Chunks, coverage: Coverage, abreast: Abreast) -> None:
        self._store = store
        self._chunks = chunks
        self._coverage = coverage
        self._abreast = abreast

    @override
    async def fresh(self) -> int:
        return await self._abreast.fresh("chunks", patience_s=_PATIENCE_S)

    @override
    async def covering(self, job_id: str, life: str, seq: int) -> IndexedChunk | None:
        row = await self._chunks.covering(UUID(job_id), life, seq)
        return None if row is None else indexed(row)

    @override
    async def recorded(self, bucket: str, keys: Collection[str]) -> set[str]:
        return await self._chunks.recorded(bucket, keys)

    @override
    async def archived(self, order: LoadOrder, after: int, position: int) -> list[Archived]:
        return [
            Archived(
                str(e.job_id),
                e.life,
                e.ordinal,
                e.created,
                e.first,
                e.last,
                e.chunks,
                e.messages,
                e.first_time,
                e.last_time,
            )
            for e in await self._chunks.summary(Scope.of(order, position, above=after))
        ]

    @override
    async def lives(self, job_ids: Collection[str]) -> Sequence[SeenLife]:
        await self._abreast.fresh("coverage", patience_s=_PATIENCE_S)
        rows = await self._coverage.lives(*map(UUID, job_ids))
        return [SeenLife(str(row.job_id), row.life, row.created) for row in rows]

    @override
    async def page(
        self, order: LoadOrder, planned: PlannedRange, position: int, after_seq: int, limit: int
    ) -> list[IndexedChunk]:
        scope = Scope.of(order, position, deleted_after=position)
        rows = await self._chunks.of_life(scope, UUID(planned.job_id), planned.life, after_seq, limit)
        return [indexed(row) for row in rows if row.first <= planned.last]

    @override
    async def held(self, chunk: IndexedChunk) -> bytes:
        if chunk.deletion_position is None:
            return b""
        try:
            (event,) = await self._store.read_log(Position(chunk.deletion_position - 1), 1)
        except LogUnavailable as away:
            raise Unavailable("postgres", away.reason) from away
        said = HISTORY.decode(event)
        return said.held if isinstance(said, ChunkDeleteRequested) else b""


def indexed(row: ChunkRow) -> IndexedChunk:
    return IndexedChunk(str(row.job_id), row.position, flushed_of(row), row.deletion_position)


def flushed_of(row: ChunkRow) -> ChunkFlushed:
    """The event that recorded the chunk."""
    return ChunkFlushed(**{name: getattr(row, name) for name in _FIELDS})
