"""Is this still the stream that was archived? Judged by messages, since a server may reuse both name and seqs."""

from __future__ import annotations

from nats3.jetstream.streams import StreamInfo, Streams
from nats3.job.order import StoreOrder
from nats3.job.storing import Match, Sighting, Storing, lineage
from nats3.life import Opening
from nats3.message import Message
from nats3.work.archive import Archive, Sleep

_LOOKS = 100
"""How many present but never archived messages (restored into a gap) are looked past."""


class Identity:
    """Compares what the stream shows with what is archived, by a number of reads that grows with log(seqs).

    Raises Blocked where what is archived cannot be read.
    """

    def __init__(
        self, job_id: str, state: Storing, order: StoreOrder, streams: Streams, *, archive: Archive, sleep: Sleep
    ) -> None:
        self._job_id = job_id
        self._state = state
        self._order = order
        self._streams = streams
        self._archive = archive
        self._sleep = sleep

    async def sight(self, info: StreamInfo) -> Sighting:
        """What must be known to say whether the life goes on."""
        top = min(self._state.cursor, info.last)
        newest, equal = await self._newest_archived(info.first, top)
        ahead = False
        if info.created not in self._state.created and len(self._state.lives) > 1:
            ahead = await self._another_life_is_ahead()
        return Sighting(info.created, info.first, info.last, newest, equal, ahead)

    async def _newest_archived(self, first: int, top: int) -> tuple[int | None, bool | None]:
        """The newest present message at or below `top` that was archived, and whether it is the archived one."""
        life = self._state.lives[-1]
        never_restored = len(self._state.created) == 1
        for _ in range(_LOOKS):
            present = await self._last_present(first, top)
            if present is None:
                return await self._where_the_last_was(life, first, top)
            equal = await self._equal(life, present)
            if equal is not None:
                return present.seq, equal
            if never_restored:  # a seq that was settled as a gap is in use: it was given out again
                return present.seq, False
            top = present.seq - 1
        return None, None

    async def _where_the_last_was(self, life: Opening, first: int, top: int) -> tuple[int | None, bool | None]:
        """Nothing that is wanted is present: what stands at the last archived seq may not be wanted, and says as much."""
        last = self._state.last_chunk
        if last is None or last.life != life.uuid or not first <= last.last <= top:
            return None, None
        there = await self._streams.message(self._order.stream, last.last)
        return (None, None) if there is None else (last.last, await self._equal(life, there))

    async def _last_present(self, first: int, top: int) -> Message | None:
        """The present message of the filter with the greatest seq in [first, top], by bisection over 'next after'."""
        if top < first:
            return None
        found = await self._next(top)
        if found is not None and found.seq <= top:
            return found
        low, high, best = first, top, None
        while low <= high:
            middle = (low + high) // 2
            found = await self._next(middle)
            if found is None or found.seq > top:
                high = middle - 1
            else:
                best, low = found, found.seq + 1
        return best

    async def _next(self, seq: int) -> Message | None:
        return await self._streams.message(self._order.stream, max(seq, 1), self._order.subject or ">")

    async def _equal(self, life: Opening, message: Message) -> bool | None:
        """Whether the life holds this very message at its seq; None when nothing was archived there."""
        holder = lineage(self._state, life, message.seq)
        return None if holder is None else await self._archive.holds(self._job_id, holder, message, self._sleep)

    async def _another_life_is_ahead(self) -> bool:
        above = await self._next(self._state.cursor + 1)
        if above is None:
            return False
        for life in self._state.lives[:-1]:
            if await self._equal(life, above):
                return True
        return False

    async def best_match(self, info: StreamInfo) -> Match | None:
        """The life with the greatest equal seq; the stream's own current life when `created` is unchanged."""
        same = info.created in self._state.created
        lives = self._state.lives[-1:] if same else tuple(reversed(self._state.lives))
        matches = [await self._match(life, info) for life in lives]
        best = max(matches, key=lambda match: match.equal)
        return best if same or best.equal > 0 else None

    async def _match(self, life: Opening, info: StreamInfo) -> Match:
        """Below the greatest equal seq all is equal, above it all differs: so it is found by bisection."""
        low, high = info.first, min(info.last, self._state.ends[life.uuid])
        equal, differs = 0, None
        while low <= high:
            middle = (low + high) // 2
            found = await self._next(middle)
            if found is None or found.seq > high:
                high = middle - 1
            elif await self._equal(life, found):
                equal, low = found.seq, found.seq + 1
            else:
                differs, high = found.seq, middle - 1
        return Match(life, equal, differs)
