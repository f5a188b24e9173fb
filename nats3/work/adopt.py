"""Bucket ahead of log: what was stored but not recorded is adopted where it links, and condemned where it does not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from hashlib import sha256

from nats3.chunk.decode import decode
from nats3.chunk.layout import ChunkHeader, DecodeError
from nats3.chunk.object_key import Span, build_key, job8, job_prefix, life_prefix, parse_key
from nats3.job.gaps import unlooked_gap
from nats3.job.order import StoreOrder
from nats3.job.storing import Candidate, ObjectsCondemned, Storing, next_to_adopt, opening_events
from nats3.objects.store import Listed, ObjectMissing, ObjectShort, ObjectStore
from nats3.work.head_reader import candidate_of, header_of
from nats3.work.record import flushed
from nats3.work.run import Claimed, StoringRun
from nats3.work.tools import Tools

_AFTER_ALL = "~"
"""Sorts behind every character that a key has after its prefix."""


class Adoption:
    """Reconciles the job's objects with the log, for one bind."""

    def __init__(self, claimed: Claimed, order: StoreOrder, bind: int, tools: Tools, objects: ObjectStore) -> None:
        self._claimed = claimed
        self._order = order
        self._bind = bind
        self._tools = tools
        self._objects = objects

    async def run(self, run: StoringRun) -> None:
        """Afterwards every object of the job is in the log: as a chunk, or as condemned."""
        candidates, unreadable = await self._unrecorded(run.state)
        while (best := next_to_adopt(run.state, candidates.values())) is not None:
            if not await self._adopt(run, candidates.pop(best.key)):
                unreadable.append(best.key)
        doomed = (*candidates, *unreadable)
        if doomed:
            await run.emit(ObjectsCondemned(self._order.bucket, doomed, "no event refers to it and it does not link"))

    async def _unrecorded(self, state: Storing) -> tuple[dict[str, Candidate], list[str]]:
        """Objects of this job that no event names, by key, and the keys of those that cannot be read."""
        sizes = {listed.key: listed.size async for listed in self._own_objects(state)}
        if not sizes:
            return {}, []
        await self._tools.index.fresh()
        recorded = await self._tools.index.recorded(self._order.bucket, sizes)
        candidates: dict[str, Candidate] = {}
        unreadable: list[str] = []
        for key, size in sizes.items():
            if key in recorded or key in state.condemned:
                continue
            try:
                header = await header_of(self._objects, self._tools.in_thread, self._order.bucket, Listed(key, size))
            except (ObjectMissing, ObjectShort):
                continue
            except DecodeError:
                unreadable.append(key)
                continue
            if header.origin.job_id == self._claimed.job_id:
                candidates[key] = candidate_of(key, header)
        return candidates, unreadable

    async def _own_objects(self, state: Storing) -> AsyncIterator[Listed]:
        """Objects of this job behind the last recorded one: of its life, and of every later life of the stream."""
        root = job_prefix(self._order.prefix or "", self._order.stream)
        after = ""
        life, last = state.life, state.last_chunk
        if life is not None:
            folder = life_prefix(self._order.prefix or "", self._order.stream, life, self._claimed.job_id)
            after = last.key if last is not None and last.key.startswith(folder) else folder
        mine = job8(self._claimed.job_id)
        while page := await self._page(root, after):
            for listed in page:
                parsed = parse_key(listed.key)
                if parsed is not None and parsed.job8 == mine:
                    yield listed
            after = _behind(page[-1].key, mine)

    async def _page(self, root: str, after: str) -> list[Listed]:
        pages = self._objects.list(self._order.bucket, root, after)
        async with aclosing(pages):  # pyright: ignore[reportArgumentType] - the Protocol says iterator, all are generators
            async for page in pages:
                return page
        return []

    async def _adopt(self, run: StoringRun, candidate: Candidate) -> bool:
        """Write the object again under a key of this bind, then record that; False when its bytes are no chunk."""
        bucket = self._order.bucket
        try:
            body = await self._objects.get(bucket, candidate.key)
            decoded = await self._tools.in_thread(lambda: decode(body))
        except (ObjectMissing, DecodeError):
            return False
        header, digest = decoded.header, sha256(body).hexdigest()
        key = self._key(header, digest)
        await self._objects.put_new(bucket, key, body, digest)
        await self._tools.reach("bind.after_adopted_put")
        chunk = flushed(bucket, key, header, digest, len(body), sealed_by="adopted", adopted_from=candidate.key)
        condemned = ObjectsCondemned(bucket, (candidate.key,), f"adopted as {key}")
        origin = header.origin
        possible = unlooked_gap(origin.opening.uuid, origin.previous_seq, header.last, header.count, origin.gaps)
        before = [*opening_events(run.state, candidate), *([possible] if possible else [])]
        await run.emit(*before, chunk, condemned)
        self._tools.signals.bound(self._order.name, f"adopted {candidate.key}")
        return True

    def _key(self, header: ChunkHeader, digest: str) -> str:
        origin = replace(header.origin, activation=self._claimed.fence, bind=self._bind)
        span = Span(header.first, header.last, header.count, header.first_time)
        return build_key(origin, span, digest, header.codec)


def _behind(key: str, mine: str) -> str:
    """Where to go on listing: behind the key, or behind the whole folder when it is another job's."""
    parsed = parse_key(key)
    if parsed is None or parsed.job8 == mine:
        return key
    return key[: key.index(f"/{parsed.job8}/") + len(parsed.job8) + 2] + _AFTER_ALL
