"""The index as a survey asks it: the views `chunks` and `leftovers`, after they have caught up with the log."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from typing_extensions import override

from nats3.job.surveying import SurveyAsked
from nats3.views.chunk_queries import ChunkFilter, Chunks
from nats3.views.leftover_queries import Leftovers
from nats3.work.abreast import Abreast
from nats3.work.index import indexed
from nats3.work.tidy import Untidy
from nats3.work.tools import Condemned, Due, IndexedChunk
from nats3.work.verify import Catalogue

_VIEWS = ("chunks", "leftovers")
_PATIENCE_S = 10.0


class ViewCatalogue(Catalogue):
    def __init__(self, abreast: Abreast, chunks: Chunks, leftovers: Leftovers) -> None:
        self._abreast = abreast
        self._chunks = chunks
        self._leftovers = leftovers

    @override
    async def fresh(self) -> int:
        return await self._abreast.fresh(*_VIEWS, patience_s=_PATIENCE_S)

    @override
    async def chunks(self, asked: SurveyAsked, after: int, limit: int) -> list[IndexedChunk]:
        return [indexed(row) for row in await self._chunks.page(_filter(asked), limit, after)]

    @override
    async def total(self, asked: SurveyAsked) -> int:
        return await self._chunks.total(_filter(asked))

    @override
    async def places(self, asked: SurveyAsked) -> list[tuple[str, str, str]]:
        return await self._chunks.places(_filter(asked, deleted=None))

    @override
    async def known(self, bucket: str, keys: Sequence[str]) -> set[str]:
        if not keys:
            return set()
        return await self._chunks.recorded(bucket, keys) | await self._leftovers.condemned(bucket, keys)


def _filter(asked: SurveyAsked, *, deleted: bool | None = False) -> ChunkFilter:
    job_id = None if asked.job_id is None else UUID(asked.job_id)
    return ChunkFilter(job_id=job_id, bucket=asked.bucket, deleted=deleted)


class ViewCondemned(Condemned):
    """Ages are by the database's clock."""

    def __init__(self, leftovers: Leftovers) -> None:
        self._leftovers = leftovers

    @override
    async def due(self, job_id: str, grace_s: float, limit: int) -> list[Due]:
        return [Due(row.bucket, row.key) for row in await self._leftovers.due(UUID(job_id), grace_s, limit)]


class ViewUntidy(Untidy):
    def __init__(self, abreast: Abreast, leftovers: Leftovers) -> None:
        self._abreast = abreast
        self._leftovers = leftovers

    @override
    async def untidy(self) -> list[str]:
        return [str(job_id) for job_id in await self._leftovers.untidy()]

    @override
    async def caught_up(self) -> int:
        head = await self._abreast.head()
        await self._abreast.reached("leftovers", head, _PATIENCE_S)
        return head
