"""What the stream of a filtered job may have dropped before it was read: to such a job a jump of seqs says nothing."""

from __future__ import annotations

from collections.abc import Sequence

from nats3.chunk.layout import ChunkHeader
from nats3.jetstream.streams import StreamInfo, Streams
from nats3.job.gaps import Kept, PossibleGap, kept_after, possible_gap
from nats3.work.bind import Bound, require_as_bound
from nats3.work.run import StoringRun

_NAMED = 10_000
"""Most deleted seqs that are asked for one by one."""


class Drops:
    """Of one binding."""

    def __init__(self, bound: Bound, run: StoringRun, streams: Streams) -> None:
        self._bound = bound
        self._run = run
        self._streams = streams
        self._kept = Kept(bound.info.first, 0, ())

    async def over(self, chunks: Sequence[ChunkHeader]) -> list[PossibleGap]:
        """What may be missing in these chunks, which are complete and about to be recorded. Raises MustBind.

        Only streams that drop by limits are looked at: from the others messages go because somebody has consumed them.
        """
        if not self._bound.filtered or self._bound.info.retention != "limits":
            return []
        now = await self._streams.info(self._bound.info.name)
        require_as_bound(now, self._bound.info)
        deleted = await self._deleted(now)
        self._kept = kept_after(self._kept, now.first, now.last, now.num_deleted, deleted)
        state, last = self._run.state, chunks[-1].last
        if last - state.cursor == sum(chunk.count for chunk in chunks):
            return []
        found = possible_gap(state.lives[-1].uuid, state.cursor, last, self._kept)
        return [found] if found else []

    async def _deleted(self, info: StreamInfo) -> list[int] | None:
        if info.num_deleted > _NAMED:
            return None
        return await self._streams.deleted(info.name) if info.num_deleted else []
