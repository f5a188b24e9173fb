"""Makes the index anew from the chunks in a bucket, by event: an empty log knows afterwards what the full one knew.

Job by job, life by life, chunk by chunk, in the order of the links. Nothing in the bucket is changed. A run that the log
has already is gone on with, and what is recorded is passed over: so it may be begun as often as one likes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field

from nats3.chunk.object_key import FORMAT, ParsedKey, check_prefix, job_prefix, parse_key
from nats3.errors import Invalid
from nats3.job.rebuilding import (
    WINDOW,
    before_chunk,
    continues,
    is_hole,
    is_settled,
    life_of,
    next_found,
    opening_of,
    opens,
)
from nats3.job.storing import GapObserved, ObjectsCondemned
from nats3.job.surveying import Finding, SurveyAsked
from nats3.objects.store import Listed, ObjectStore
from nats3.work.head_reader import HeadReader, Read
from nats3.work.history_writer import HistoryWriter, Runs
from nats3.work.record import flushed
from nats3.work.tools import Tools
from nats3.work.verify import Catalogue
from nats3.work.walk import WalkLog

AT_ONCE = 16
_ORIGINAL = (".bin", ".json")


@dataclass(slots=True)
class Folder:
    """The objects of one life of one job, as their keys tell: so many, and who wrote last."""

    path: str
    first_key: str
    ordinal: int
    count: int = 0
    rank: tuple[int, int] = (0, 0)


@dataclass(slots=True)
class _Progress:
    done: int = 0
    total: int = 0
    jobs: set[str] = field(default_factory=set[str])


class Rebuild:
    """One walk over one bucket."""

    def __init__(
        self,
        asked: SurveyAsked,
        walk: WalkLog,
        catalogue: Catalogue,
        objects: ObjectStore,
        tools: Tools,
        runs: Runs,
    ) -> None:
        assert asked.bucket is not None, "checked where it enters"
        self._asked = asked
        self._bucket = asked.bucket
        self._walk = walk
        self._catalogue = catalogue
        self._objects = objects
        self._tools = tools
        self._runs = runs
        self._at = _Progress()
        self._reader = HeadReader(asked.bucket, objects, tools.in_thread, walk.found, deep=asked.deep)

    async def run(self) -> None:
        """What is recorded already is passed over. Raises Cancelled, and what the bucket refuses."""
        self._walk.counts.clear()  # a walk begins anew: what is recorded by now is soon passed over
        jobs = await self._list()
        for folders in jobs.values():
            await self._jobs_of(folders)
        await self._walk.arrived("chunks", "", self._at.done, self._at.total)

    # --- what is there

    async def _list(self) -> dict[tuple[str, str, str], list[Folder]]:
        """All folders of chunks, by prefix, stream and the first digits of the job's id."""
        folders: dict[str, Folder] = {}
        jobs: dict[tuple[str, str, str], list[Folder]] = {}
        prefix = check_prefix("prefix", self._asked.prefix or "")
        async for page in self._pages(f"{prefix}/" if prefix else "", ""):
            for listed in page:
                parsed = parse_key(listed.key)
                path = None if parsed is None else _folder_of(parsed, listed.key)
                if parsed is None or path is None:
                    self._count_stranger(listed.key)
                    continue
                if path not in folders:
                    folders[path] = Folder(path, listed.key, parsed.life)
                    jobs.setdefault((parsed.prefix, parsed.stream, parsed.job8), []).append(folders[path])
                self._at.total += 1
                folders[path].count += 1
                folders[path].rank = max(folders[path].rank, (parsed.activation, parsed.bind))
            await self._walk.progress("listing", page[-1].key, 0, self._at.total)
        return jobs

    def _count_stranger(self, key: str) -> None:
        original = key.endswith(_ORIGINAL) and f"{FORMAT}/" not in key
        self._walk.count("original" if original else "foreign")

    async def _pages(self, prefix: str, after: str) -> AsyncIterator[list[Listed]]:
        pages = self._objects.list(self._bucket, prefix, after)
        async with aclosing(pages):  # pyright: ignore[reportArgumentType] - the Protocol says iterator, all are generators
            async for page in pages:
                yield page

    # --- job by job

    async def _jobs_of(self, folders: list[Folder]) -> None:
        """Two jobs may share the first digits of their ids: then each takes of the folders what its headers name."""
        waiting = await self._ids(folders)
        seen: set[str] = set()
        while waiting:
            job_id = waiting.pop()
            seen.add(job_id)
            waiting |= await self._job(job_id, folders) - seen

    async def _ids(self, folders: list[Folder]) -> set[str]:
        ids: set[str] = set()
        for folder in folders:
            async for page in self._pages(folder.path, ""):
                read = await self._first_readable(page)
                if read is not None:
                    ids.add(read.header.origin.job_id)
                    break
        return ids

    async def _first_readable(self, page: list[Listed]) -> Read | None:
        for listed in page:
            read = await self._reader.read(listed, quiet=True)
            if read is not None:
                return read
        return None

    async def _job(self, job_id: str, folders: list[Folder]) -> set[str]:
        """Record what is missing of one job; the ids of others that were met in its folders."""
        async with self._runs.claimed(job_id) as run:
            if run is None:
                detail = "the job is in the log: its own next bind adopts what is not recorded"
                await self._walk.found(Finding("job_in_the_log", self._bucket, folders[0].path, job_id, detail=detail))
                self._at.done += sum(folder.count for folder in folders)
                return set()
            others: set[str] = set()
            for folder in sorted(folders, key=lambda each: (each.ordinal, tuple(-number for number in each.rank))):
                others |= await _OneLife(self, job_id, run).record(folder)
            self._walk.count("jobs")
            return others

    # --- for one life

    async def unrecorded(self, folder: Folder, run: HistoryWriter) -> AsyncIterator[list[Read]]:
        """Page after page, the readable objects of a folder that no event of this run refers to."""
        async for page in self._pages(folder.path, ""):
            await self._catalogue.fresh()
            known = await self._catalogue.known(self._bucket, [listed.key for listed in page])
            fresh = [each for each in page if each.key not in known and not run.has(each.key)]
            self._walk.count("passed over", len(page) - len(fresh))
            for start in range(0, len(fresh), AT_ONCE):
                yield await self._reader.read_all(fresh[start : start + AT_ONCE])
            self._at.done += len(page)
            await self._walk.progress("chunks", page[-1].key, self._at.done, max(self._at.total, self._at.done))

    async def recorded_before(self, job_id: str, read: Read) -> str | None:
        """The key under which these very bytes were recorded by an earlier walk."""
        life = read.header.origin.opening.uuid
        indexed = await self._tools.index.covering(job_id, life, read.header.first)
        return indexed.flushed.key if indexed is not None and indexed.flushed.sha256 == read.sha256 else None

    async def note(self, *findings: Finding) -> None:
        await self._walk.found(*findings)

    def count(self, what: str, number: int = 1) -> None:
        self._walk.count(what, number)

    @property
    def bucket(self) -> str:
        return self._bucket


class _OneLife:
    """Puts the chunks of one folder into the order of their history."""

    def __init__(self, walk: Rebuild, job_id: str, run: HistoryWriter) -> None:
        self._walk = walk
        self._job_id = job_id
        self._run = run
        self._window: list[Read] = []
        self._opened = False
        self._recorded: dict[tuple[int, int, str], str] = {}

    async def record(self, folder: Folder) -> set[str]:
        """Everything of the folder that links; the ids of other jobs that were met."""
        others: set[str] = set()
        async for reads in self._walk.unrecorded(folder, self._run):
            others |= {read.header.origin.job_id for read in reads} - {self._job_id}
            self._window += [read for read in reads if read.header.origin.job_id == self._job_id]
            while len(self._window) >= WINDOW and await self._take_one():
                pass
        while self._window and await self._take_one():
            pass
        await self._run.flush()
        return others

    async def _take_one(self) -> bool:
        """Record the next chunk, or put aside what cannot be one any more; False when the window is as it was."""
        self._open()
        best = next_found(self._run.state, [read.found for read in self._window])
        if best is not None:
            read = next(read for read in self._window if read.found is best)
            self._window.remove(read)
            await self._record(read)
        state = self._run.state
        aside = [read for read in self._window if best is None or is_settled(state, read.found)]
        self._window = [read for read in self._window if read not in aside]
        for read in aside:
            await self._put_aside(read)
        return best is not None or bool(aside)

    def _open(self) -> None:
        """The folder's life is opened once, by what was written last of the first window."""
        if self._opened:
            return
        self._opened = True
        opening = life_of(read.found for read in self._window)
        if opening is not None and not continues(self._run.state, opening) and opens(self._run.state, opening):
            self._run.add(opening_of(opening))
            self._walk.count("lives")

    async def _record(self, read: Read) -> None:
        state = self._run.state
        gaps = before_chunk(state, read.found)
        if is_hole(state, read.found):
            await self._tell_hole(read, gaps)
        self._run.add(*gaps)
        bucket = self._walk.bucket
        self._run.add(flushed(bucket, read.key, read.header, read.sha256, read.size, sealed_by="rebuilt"))
        self._recorded[read.header.first, read.header.last, read.sha256] = read.key
        self._forget_old()
        self._walk.count("recorded")
        self._walk.count("messages", read.header.count)
        self._walk.count("bytes", read.size)
        await self._run.flush_some()

    async def _tell_hole(self, read: Read, gaps: Iterable[object]) -> None:
        gap = next((gap for gap in gaps if isinstance(gap, GapObserved)), None)
        first, last = (gap.first, gap.last) if gap else (None, None)
        detail = f"the chunk before this one ({read.header.origin.previous_sha256[:16]}) is not in the bucket"
        await self._walk.note(Finding("hole", self._walk.bucket, read.key, self._job_id, first, last, detail))

    def _forget_old(self) -> None:
        """Copies stand side by side in the order of keys: only the latest need to be known."""
        while len(self._recorded) > WINDOW:
            del self._recorded[next(iter(self._recorded))]

    async def _put_aside(self, read: Read) -> None:
        """Condemned where its very bytes are recorded under another key; anything else is left, and told."""
        same = (read.header.first, read.header.last, read.sha256)
        twin = self._recorded.get(same) or await self._walk.recorded_before(self._job_id, read)
        if twin is not None:
            self._run.add(ObjectsCondemned(self._walk.bucket, (read.key,), f"the same bytes are recorded as {twin}"))
            self._walk.count("condemned")
            await self._run.flush_some()
            return
        header = read.header
        detail = "what was recorded goes on without it: it is neither recorded nor condemned"
        await self._walk.note(
            Finding("left", self._walk.bucket, read.key, self._job_id, header.first, header.last, detail)
        )


def _folder_of(parsed: ParsedKey, key: str) -> str | None:
    """The folder of the life, as nats3 itself would write it; None for a key that only looks like one of ours."""
    try:
        start = job_prefix(parsed.prefix, parsed.stream)
    except Invalid:
        return None
    path = f"{start}{parsed.created}/{parsed.life:04d}/{parsed.job8}/"
    return path if key.startswith(path) else None
