"""Holds index and bucket against each other, from both sides, and changes nothing.

From the index: every recorded chunk is there, with the size and SHA-256 that were recorded; `deep` reads every byte of it.
From the bucket: every object with the name of a chunk is recorded or condemned. Nothing else in it is ours.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Protocol

from nats3.chunk.layout import DecodeError
from nats3.chunk.object_key import job8, job_prefix, parse_key
from nats3.job.surveying import Finding, SurveyAsked
from nats3.objects.store import ObjectMissing, ObjectShort, ObjectStore
from nats3.work.archive import Archive
from nats3.work.tools import IndexedChunk, Tools
from nats3.work.walk import WalkLog

PAGE = 200
SHALLOW_AT_ONCE = 16
DEEP_AT_ONCE = 2
"""Chunks that are held in memory at a time."""

LOOKS = 3
"""How often something is looked at before it is said to be missing or not recorded."""

LOOK_S = 1.0
SUSPECTS = 5000
"""Objects that wait to be looked at once more, at most: those of jobs at work are recorded a moment after they are stored."""


class Catalogue(Protocol):
    """The index and what is condemned. Every method raises Unavailable when Postgres is away."""

    async def fresh(self) -> int:
        """Wait until it holds what the log holds now."""
        ...

    async def chunks(self, asked: SurveyAsked, after: int, limit: int) -> list[IndexedChunk]:
        """Chunks that were not deleted by order, behind log position `after`, in the order of the log."""
        ...

    async def total(self, asked: SurveyAsked) -> int: ...

    async def places(self, asked: SurveyAsked) -> list[tuple[str, str, str]]:
        """Bucket, prefix and stream under which recorded chunks lie."""
        ...

    async def known(self, bucket: str, keys: Sequence[str]) -> set[str]:
        """Those of the object keys that are recorded or condemned."""
        ...


class Verify:
    """One walk over index and bucket."""

    def __init__(
        self, asked: SurveyAsked, walk: WalkLog, catalogue: Catalogue, objects: ObjectStore, tools: Tools
    ) -> None:
        self._asked = asked
        self._walk = walk
        self._catalogue = catalogue
        self._objects = objects
        self._tools = tools
        self._archive = Archive(objects, tools.index, tools.in_thread)
        self._suspects: list[tuple[str, str]] = []

    async def run(self) -> None:
        """Goes on where another node stopped. Raises Cancelled, and what the bucket refuses."""
        await self._catalogue.fresh()
        step, after = self._walk.state.step, self._walk.state.after
        if step in ("", "chunks"):
            await self._chunks(int(after or 0))
            step, after = "objects", ""
        await self._all_objects(after)
        await self._look_again()
        await self._walk.settle()

    # --- from the index

    async def _chunks(self, after: int) -> None:
        done, total = self._walk.state.done, await self._catalogue.total(self._asked)
        while page := await self._catalogue.chunks(self._asked, after, PAGE):
            at_once = DEEP_AT_ONCE if self._asked.deep else SHALLOW_AT_ONCE
            for start in range(0, len(page), at_once):
                part = page[start : start + at_once]
                async with asyncio.TaskGroup() as tasks:
                    looks = [tasks.create_task(self._look(each)) for each in part]
                await self._walk.found(*[found for look in looks if (found := look.result()) is not None])
                done, after = done + len(part), part[-1].position
                self._walk.count("chunks", len(part))
                self._walk.count("bytes", sum(each.flushed.stored_bytes for each in part))
                await self._walk.progress("chunks", str(after), done, max(total, done))
        await self._walk.arrived("objects", "", done, max(total, done))

    async def _look(self, chunk: IndexedChunk) -> Finding | None:
        """What is wrong with a chunk, looked at several times before it is believed; nothing when it was deleted meanwhile."""
        wrong: tuple[str, str] | None = None
        for attempt in range(LOOKS):
            if attempt:
                await self._tools.sleep(LOOK_S)
            wrong = await self._fault(chunk)
            if wrong is None:
                return None
        if await self._is_deleted(chunk):
            return None
        kind, detail = wrong or ("", "")
        said = chunk.flushed
        found = "missing" if kind == "missing" else "corrupt"
        return Finding(found, said.bucket, said.key, chunk.job_id, said.first, said.last, detail)

    async def _fault(self, chunk: IndexedChunk) -> tuple[str, str] | None:
        said = chunk.flushed
        try:
            if self._asked.deep:
                await self._archive.chunk(said)
                return None
            head = await self._objects.head(said.bucket, said.key)
        except ObjectMissing as fault:
            return "missing", str(fault)
        except (DecodeError, ObjectShort) as fault:
            return "corrupt", str(fault)
        if head.size != said.stored_bytes:
            return "corrupt", f"the object has {head.size} bytes, {said.stored_bytes} were recorded"
        if head.sha256 not in {None, said.sha256}:
            return "corrupt", f"the SHA-256 of the object is {head.sha256}, {said.sha256} was recorded"
        return None

    async def _is_deleted(self, chunk: IndexedChunk) -> bool:
        await self._catalogue.fresh()
        said = chunk.flushed
        now = await self._tools.index.covering(chunk.job_id, said.life, said.last)
        return now is None or now.deleted or now.flushed.key != said.key

    # --- from the bucket

    async def _all_objects(self, after: str) -> None:
        """Place after place; `after` is the number of the place and the last key that was looked at there."""
        first, _, key = after.partition(":")
        places = await self._places()
        for number in range(int(first or 0), len(places)):
            bucket, prefix = places[number]
            async for page in self._listed(bucket, prefix, key):
                await self._objects_of(bucket, page)
                at = f"{number}:{page[-1]}"
                await self._walk.progress("objects", at, self._walk.state.done, self._walk.state.total)
            key = ""

    async def _places(self) -> list[tuple[str, str]]:
        """Buckets and the prefixes to list there: of a job its own folders only."""
        found = await self._catalogue.places(self._asked)
        if self._asked.job_id is not None:
            return [(bucket, job_prefix(prefix, stream)) for bucket, prefix, stream in found]
        buckets = {bucket for bucket, _, _ in found} | ({self._asked.bucket} if self._asked.bucket else set[str]())
        return [(bucket, "") for bucket in sorted(buckets)]

    async def _listed(self, bucket: str, prefix: str, after: str) -> AsyncIterator[list[str]]:
        pages = self._objects.list(bucket, prefix, after)
        async with aclosing(pages):  # pyright: ignore[reportArgumentType] - the Protocol says iterator, all are generators
            async for page in pages:
                yield [listed.key for listed in page]

    async def _objects_of(self, bucket: str, keys: list[str]) -> None:
        ours: list[str] = []
        for key in keys:
            parsed = parse_key(key)
            if parsed is None:
                self._walk.count("foreign")
            elif self._asked.job_id is None or parsed.job8 == job8(self._asked.job_id):
                ours.append(key)
        self._walk.count("objects", len(ours))
        known = await self._catalogue.known(bucket, ours)
        self._suspects += [(bucket, key) for key in ours if key not in known]
        if len(self._suspects) >= SUSPECTS:
            await self._look_again()

    async def _look_again(self) -> None:
        """What is not recorded after a while, and still there, is not recorded."""
        for _ in range(LOOKS if self._suspects else 0):
            await self._tools.sleep(LOOK_S)
            await self._catalogue.fresh()
            known = await self._known(self._suspects)
            self._suspects = [each for each in self._suspects if each not in known]
        suspects, self._suspects = self._suspects, []
        for bucket, key in suspects:
            try:
                await self._objects.head(bucket, key)
            except ObjectMissing:
                continue
            await self._walk.found(unrecorded(bucket, key))

    async def _known(self, suspects: list[tuple[str, str]]) -> set[tuple[str, str]]:
        known: set[tuple[str, str]] = set()
        for bucket in {bucket for bucket, _ in suspects}:
            keys = [key for of, key in suspects if of == bucket]
            known |= {(bucket, key) for key in await self._catalogue.known(bucket, keys)}
        return known


def unrecorded(bucket: str, key: str) -> Finding:
    parsed = parse_key(key)
    detail = "no event refers to it: if its job is at work, its next bind adopts or condemns it"
    if parsed is None:
        return Finding("unrecorded", bucket, key, detail=detail)
    return Finding("unrecorded", bucket, key, None, parsed.first, parsed.last, detail)
