"""The chunk index in memory: a fold of the histories it is given, for deterministic tests of the workers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace

from typing_extensions import override

from nats3.job.loading import ChunkDeleteRequested, PlannedRange
from nats3.job.order import LoadOrder
from nats3.job.storing import ChunkFlushed, LifeContinued, LifeOpened, ObjectsCondemned, ObjectsSwept
from nats3.work.lineage import SeenLife
from nats3.work.tools import Archived, ChunkIndex, Condemned, Due, IndexedChunk, PlanIndex


class MemoryIndex(ChunkIndex, PlanIndex):
    """`histories` gives (job id, events of its run) of every job; a chunk's position is its place among all events."""

    def __init__(self, histories: Callable[[], Iterable[tuple[str, list[object]]]]) -> None:
        self._histories = histories
        self._told: list[tuple[str, list[object]]] = []
        self._chunks: list[IndexedChunk] = []
        self._deletions: dict[str, tuple[int, ChunkDeleteRequested]] = {}

    def _all(self) -> list[IndexedChunk]:
        """The chunks of all histories. They are folded anew only when an event came or went."""
        histories = list(self._histories())
        if histories != self._told:  # compares by identity first, so that it is quick where nothing changed
            self._told = histories
            said = [(job_id, event) for job_id, events in histories for event in events]
            self._deletions = _deletions(event for _, event in said)
            self._chunks = [
                IndexedChunk(job_id, position, event, self._deletions.get(event.key, (None,))[0])
                for position, (job_id, event) in enumerate(said, 1)
                if isinstance(event, ChunkFlushed)
            ]
        return self._chunks

    @override
    async def fresh(self) -> int:
        return sum(len(events) for _, events in self._histories())

    @override
    async def covering(self, job_id: str, life: str, seq: int) -> IndexedChunk | None:
        for chunk in self._all():
            said = chunk.flushed
            if (chunk.job_id, said.life) == (job_id, life) and said.previous_seq < seq <= said.last:
                return chunk
        return None

    @override
    async def recorded(self, bucket: str, keys: Collection[str]) -> set[str]:
        wanted = set(keys)
        return {
            each.flushed.key for each in self._all() if each.flushed.key in wanted and each.flushed.bucket == bucket
        }

    @override
    async def archived(self, order: LoadOrder, after: int, position: int) -> list[Archived]:
        lives: dict[tuple[int, int, str, str], list[ChunkFlushed]] = {}
        for chunk in self._all():
            said = chunk.flushed
            if not chunk.deleted and _reads(order, said) and after < chunk.position <= position:
                lives.setdefault((said.created, said.ordinal, chunk.job_id, said.life), []).append(said)
        return [
            Archived(
                job_id,
                life,
                ordinal,
                created,
                chunks[0].first,
                chunks[-1].last,
                len(chunks),
                _count(chunks),
                min(chunk.first_time for chunk in chunks),
                max(chunk.last_time for chunk in chunks),
            )
            for (created, ordinal, job_id, life), chunks in sorted(lives.items())
        ]

    @override
    async def lives(self, job_ids: Collection[str]) -> Sequence[SeenLife]:
        found: dict[str, list[SeenLife]] = {}
        for job_id, event in ((job_id, event) for job_id, events in self._histories() for event in events):
            seen = found.setdefault(job_id, [])
            if isinstance(event, LifeOpened):
                opening = event.opening
                seen.append(SeenLife(job_id, opening.uuid, (opening.created,)))
            elif isinstance(event, LifeContinued):
                seen[-1] = replace(seen[-1], created=(*seen[-1].created, event.created))
        return [life for job_id in sorted(job_ids) for life in found.get(job_id, ())]

    @override
    async def page(
        self, order: LoadOrder, planned: PlannedRange, position: int, after_seq: int, limit: int
    ) -> list[IndexedChunk]:
        chunks = [
            chunk
            for chunk in self._all()
            if (chunk.job_id, chunk.flushed.life) == (planned.job_id, planned.life)
            and chunk.position <= position < (chunk.deletion_position or position + 1)
            and chunk.flushed.last > after_seq
            and chunk.flushed.first <= planned.last
            and _reads(order, chunk.flushed)
        ]
        return sorted(chunks, key=lambda chunk: chunk.flushed.last)[:limit]

    @override
    async def held(self, chunk: IndexedChunk) -> bytes:
        self._all()
        return self._deletions[chunk.flushed.key][1].held if chunk.deleted else b""


def _deletions(events: Iterable[object]) -> dict[str, tuple[int, ChunkDeleteRequested]]:
    """By key: the position of the first request, and what it said."""
    found: dict[str, tuple[int, ChunkDeleteRequested]] = {}
    for position, event in enumerate(events, 1):
        if isinstance(event, ChunkDeleteRequested):
            found.setdefault(event.key, (position, event))
    return found


def _reads(order: LoadOrder, chunk: ChunkFlushed) -> bool:
    return (
        chunk.bucket == order.bucket
        and chunk.stream == order.read_stream
        and (order.prefix is None or chunk.prefix == order.prefix)
        and (order.read_consumer is None or chunk.consumer == order.read_consumer)
    )


def _count(chunks: list[ChunkFlushed]) -> int:
    return sum(chunk.count for chunk in chunks)


class MemoryCondemned(Condemned):
    """`events` gives those of the one run there is. Time counts from when a condemnation was first seen here."""

    def __init__(self, events: Callable[[], Iterable[object]], monotonic: Callable[[], float]) -> None:
        self._events = events
        self._monotonic = monotonic
        self._seen: dict[str, float] = {}

    @override
    async def due(self, job_id: str, grace_s: float, limit: int) -> list[Due]:
        condemned: dict[str, Due] = {}
        for event in self._events():
            match event:
                case ObjectsCondemned(bucket=bucket, keys=keys):
                    condemned |= {key: Due(bucket, key) for key in keys}
                case ObjectsSwept(keys=keys):
                    condemned = {key: due for key, due in condemned.items() if key not in keys}
                case _:
                    pass
        now = self._monotonic()
        self._seen = {key: self._seen.get(key, now) for key in condemned}
        return [due for key, due in condemned.items() if now - self._seen[key] >= grace_s][:limit]
