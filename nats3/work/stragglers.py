"""Finds objects that were stored too late: by a writer that was frozen, behind what the log has reached since.

A bind lists only what lies ahead of the log, so these are found by a full listing, slowly, page after page. They are
condemned by event, which the run's version guards: whatever was recorded meanwhile makes that append fail.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing

from nats3.chunk.layout import DecodeError
from nats3.chunk.object_key import job8, job_prefix, parse_key
from nats3.job.order import StoreOrder
from nats3.job.storing import ObjectsCondemned, is_beyond_recall
from nats3.objects.store import Listed, ObjectMissing, ObjectShort, ObjectStore
from nats3.work.head_reader import candidate_of, header_of
from nats3.work.run import Claimed, StoringRun
from nats3.work.tools import ChunkIndex, InThread


class Stragglers:
    """For one bind of a store job, whose number is `bind`: what this bind itself stores is under way, not late."""

    def __init__(
        self,
        claimed: Claimed,
        order: StoreOrder,
        bind: int,
        run: StoringRun,
        objects: ObjectStore,
        *,
        index: ChunkIndex,
        in_thread: InThread,
    ) -> None:
        self._claimed = claimed
        self._order = order
        self._own = (claimed.fence, bind)
        self._run = run
        self._objects = objects
        self._index = index
        self._in_thread = in_thread
        self._mine = job8(claimed.job_id)

    async def look(self, rest: Callable[[], Awaitable[None]]) -> int:
        """One listing of everything below the stream's folder, resting after each page; how many were condemned."""
        found = 0
        pages = self._objects.list(self._order.bucket, job_prefix(self._order.prefix or "", self._order.stream))
        async with aclosing(pages):  # pyright: ignore[reportArgumentType] - the Protocol says iterator, all are generators
            async for page in pages:
                found += await self._condemn([listed for listed in page if self._is_older(listed.key)])
                await rest()
        return found

    def _is_older(self, key: str) -> bool:
        """Whether the name says that an earlier bind of this job stored it."""
        parsed = parse_key(key)
        return parsed is not None and parsed.job8 == self._mine and (parsed.activation, parsed.bind) < self._own

    async def _condemn(self, older: Sequence[Listed]) -> int:
        unknown = [listed for listed in older if listed.key not in self._run.state.condemned]
        if not unknown:
            return 0
        await self._index.fresh()
        recorded = await self._index.recorded(self._order.bucket, [listed.key for listed in unknown])
        late = [each for each in unknown if each.key not in recorded and await self._is_lost(each)]
        if late:
            reason = "stored too late: what is recorded goes on without it"
            await self._run.emit(ObjectsCondemned(self._order.bucket, tuple(each.key for each in late), reason))
        return len(late)

    async def _is_lost(self, listed: Listed) -> bool:
        """Whether it is this job's, and no bind will ever adopt it. What cannot be read stays, for a person to judge."""
        try:
            header = await header_of(self._objects, self._in_thread, self._order.bucket, listed)
        except (ObjectMissing, ObjectShort, DecodeError):
            return False
        if header.origin.job_id != self._claimed.job_id:
            return False
        return is_beyond_recall(self._run.state, candidate_of(listed.key, header))
