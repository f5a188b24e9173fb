"""The demo: messages leave a stream for S3, the stream is emptied, and they come back, every byte of them compared."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import zip_longest
from time import perf_counter
from typing import Any

from rich.progress import Progress, TaskID

from nats3.dev.demo_api import Api
from nats3.dev.demo_data import Data
from nats3.dev.demo_report import Archived, Outcome
from nats3.dev.natswire import Said, Wire
from nats3.errors import Nats3Error
from nats3.headers import restored

BUCKET = "nats3-demo"
LIMITS = {"max_bytes": 16_000_000, "max_count": 20_000, "max_age": "1s"}
Job = dict[str, Any]

LOOK_AGAIN_S = 0.05
STALLED_AFTER_S = 120.0
SHOWN = 5


class Stalled(Nats3Error):
    """Nothing moved for two minutes: the server's log says why."""

    def __init__(self, phase: str, done: int, total: int) -> None:
        super().__init__(f"{phase} stands at {done:,} of {total:,} messages for {STALLED_AFTER_S:.0f} s")


class NotArchived(Nats3Error):
    """The log does not hold what was published: nothing was purged."""

    def __init__(self, kept: Archived, total: int) -> None:
        super().__init__(f"{total:,} messages were published and {kept.messages:,} archived: the stream is left alone")


@dataclass(slots=True)
class Demo:
    """One walk through it, over a NATS and a nats3 that stand. `seconds` fills as the phases pass."""

    data: Data
    wire: Wire
    api: Api
    progress: Progress
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    store_id: str = ""
    load_id: str = ""

    async def run(self) -> Outcome:
        total = self.data.total()
        async with self._phase("publish", total) as task:
            await self._publish(task)
        async with self._phase("store", total) as task:
            await self._store(task, total)
        kept = await self._empty(total)
        async with self._phase("load", total) as task:
            await self._load(task, total)
        async with self._phase("compare", total) as task:
            differences, count = await self._compare(task)
        return Outcome(self.data.title, total, kept, self.seconds, differences, count)

    @asynccontextmanager
    async def _phase(self, name: str, total: int) -> AsyncGenerator[TaskID]:
        start = perf_counter()
        task = self.progress.add_task(name, total=total)
        yield task
        self.seconds[name] = perf_counter() - start
        self.progress.update(task, completed=total)

    async def _publish(self, task: TaskID) -> None:
        config = {"name": self.data.stream, "subjects": [self.data.subjects]}
        await self.wire.api(f"STREAM.CREATE.{self.data.stream}", config)
        async for done in self.wire.publish(self.data.messages()):
            self.progress.update(task, completed=done)

    async def _store(self, task: TaskID, total: int) -> None:
        self.store_id = await self.api.store(
            {
                "name": "demo-store",
                "stream": self.data.stream,
                "subject": self.data.subjects,
                "bucket": BUCKET,
                "limits": LIMITS,
            }
        )
        await self._watch("store", task, total, _archived, _all_of(total))

    async def _empty(self, total: int) -> Archived:
        """Make sure that all is recorded; purge. The job is paused, lest it archives what comes back."""
        await self.api.pause_store(self.store_id)
        progress = (await self.api.job(self.store_id))["progress"]
        kept = Archived(*(progress[name] for name in ("chunks", "messages", "raw_bytes", "stored_bytes")))
        if kept.messages != total:
            raise NotArchived(kept, total)
        await self.wire.api(f"STREAM.PURGE.{self.data.stream}")
        return kept

    async def _load(self, task: TaskID, total: int) -> None:
        self.load_id = await self.api.load(
            {
                "name": "demo-load",
                "bucket": BUCKET,
                "read_stream": self.data.stream,
                "read_subject": self.data.subjects,
            }
        )
        await self._watch("load", task, total, _published, lambda job, _: job["state"] == "completed")

    async def _compare(self, task: TaskID) -> tuple[list[str], int]:
        """The first differences as sentences, and how many there are."""
        published, shown, count, number = self.data.messages(), list[str](), 0, 0
        async for came in self.wire.read(self.data.stream):
            number += 1
            if number % 1000 == 0:
                self.progress.update(task, completed=number)
            if fault := difference(next(published, None), came):
                count += 1
                shown += [f"message {number}: {fault}"][: SHOWN - len(shown)]
        missing = sum(1 for _ in published)
        return shown + [f"{missing:,} messages did not come back"][: 1 if missing else 0], count + missing

    async def _watch(
        self,
        phase: str,
        task: TaskID,
        total: int,
        measure: Callable[[Job], Awaitable[int]],
        is_over: Callable[[Job, int], bool],
    ) -> None:
        """Show how far a job is until it is over. Raises JobStuck, Stalled."""
        seen, since = -1, perf_counter()
        while True:
            job = await self.api.job(self.load_id or self.store_id)
            done = await measure(job)
            if is_over(job, done):
                return
            self.progress.update(task, completed=done)
            if done != seen:
                seen, since = done, perf_counter()
            if perf_counter() - since > STALLED_AFTER_S:
                raise Stalled(phase, done, total)
            await asyncio.sleep(LOOK_AGAIN_S)


def _all_of(total: int) -> Callable[[Job, int], bool]:
    return lambda _, done: done >= total


async def _archived(job: Job) -> int:
    return job["progress"]["messages"]


async def _published(job: Job) -> int:
    return job["progress"]["published"]


def difference(published: Said | None, came: Said) -> str:
    """What is not equal, as a sentence; nothing where all is. Headers are compared without what nats3 added."""
    if published is None:
        return f"nothing was published there, but {came.subject!r} came back"
    came = came._replace(header=restored(came.header))
    return "; ".join(
        f"{name} is {now!r} and was {was!r}"
        for name, was, now in zip_longest(Said._fields, published, came)
        if was != now
    )
