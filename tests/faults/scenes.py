"""What goes on in a world while its node is struck at failpoints, and what must hold in the end."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from typing import Any, get_args
from uuid import uuid4

import httpx2
import psycopg
from psycopg.rows import dict_row

from nats3.failpoint import Place
from tests.faults import checker
from tests.faults.forked import ForkedNode
from tests.faults.world import Failed, Refused, World

FLOWS_WITHIN_S = 30.0
LOOK_S = 0.02
PIECE = 25
AGAIN_S = 0.4
"""Seconds between two pieces of work while a failpoint has not been reached."""


def places(*rooms: str, without: Collection[str] = ()) -> tuple[str, ...]:
    """Every failpoint of these rooms, so that a new one is struck without anybody's having to remember it."""
    return tuple(place for place in get_args(Place) if place.partition(".")[0] in rooms and place not in without)


UNDER_WAY = {409, 503}
"""What the API answers where the same request has not been answered yet, or its database is away."""
POLLING = ("load.after_extend",)
DELETING = ("load.before_delete", "load.after_delete")
"""Places that a load passes only where it polls, or deletes what it has loaded: scenes of their own strike there."""


class Scene(ABC):
    """One world. `feed` gives the node work until `enough` is set; `flows` waits until all of it is done."""

    places: tuple[str, ...] = ()

    def __init__(self, world: World, node: ForkedNode) -> None:
        self.world = world
        self.node = node
        self._sql: psycopg.AsyncConnection[Any] | None = None

    @abstractmethod
    async def begin(self) -> None:
        """Streams and jobs, on a node that is already there."""

    @abstractmethod
    async def feed(self, enough: asyncio.Event) -> None: ...

    @abstractmethod
    async def flows(self) -> None: ...

    @abstractmethod
    async def check(self) -> None:
        """After everything is done: the ledger, the bucket, the log and the targets."""

    async def ask(self, query: str, *values: object) -> Any:
        """The one value of the one row."""
        if self._sql is None:
            self._sql = await psycopg.AsyncConnection.connect(
                self.world.postgres_url, autocommit=True, row_factory=dict_row
            )
        cursor = await self._sql.execute(query.encode(), values or None)
        row = await cursor.fetchone()
        assert row is not None
        return next(iter(row.values()))

    async def until(self, what: str, query: str, least: int, *values: object) -> None:
        found: Any = None
        try:
            async with asyncio.timeout(FLOWS_WITHIN_S):
                while (found := await self.ask(query, *values)) < least:  # noqa: ASYNC110 - Postgres gives no signal
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            raise Failed(f"I11 not within {FLOWS_WITHIN_S:.0f} s: {what}: {found} of {least}") from None

    async def close(self) -> None:
        if self._sql is not None:
            await self._sql.close()

    async def publish(self) -> None:
        await self.world.publish(PIECE)

    async def stored(self, job: str) -> None:
        """Until all that the stream took is recorded."""
        query = (
            "SELECT coalesce(sum((data->>'count')::int), 0)::int AS n FROM es.event"
            " WHERE entity_id = %s AND type = 'chunk_flushed'"
        )
        await self.until("messages are archived", query, len(self.world.ledger.acknowledged), f"run/{job}")

    async def order(self, enough: asyncio.Event, **load: Any) -> None:
        """Order a load once, however often the node dies meanwhile and whether or not its answer arrives."""
        key = uuid4().hex
        while not enough.is_set():
            try:
                await self.world.load(key, **load)
            except (httpx2.HTTPError, OSError):
                pass
            except Refused as refused:
                if refused.status not in UNDER_WAY:
                    raise
            else:
                return
            await asyncio.sleep(LOOK_S)


class Storing(Scene):
    """A store job, and a polling load of what it stores."""

    places = places("run", "bind", "store")
    retention = "limits"

    async def begin(self) -> None:
        world = self.world
        await world.make_stream(retention=self.retention)
        await world.make_target()
        self.job = await world.store(max_count=10, max_age="200ms", drain=self.retention == "workqueue")
        self.load = await world.load(poll_interval="100ms")
        await self.until("the stream has a consumer", "SELECT count(*) FROM es.event WHERE type = 'life_opened'", 1)
        await self.publish()
        await self.stored(self.job)

    async def feed(self, enough: asyncio.Event) -> None:
        while not enough.is_set():
            await self.publish()
            with suppress(TimeoutError):
                async with asyncio.timeout(AGAIN_S):
                    await enough.wait()

    async def flows(self) -> None:
        await self.stored(self.job)

    async def check(self) -> None:
        world = self.world
        found = await world.check_store(self.job, stream=self.retention == "limits")
        await world.until_count(world.target, len(found.messages), FLOWS_WITHIN_S)
        await world.check_load(checker.plan_of(found))
        if self.retention == "workqueue":

            async def empty() -> bool:
                return await world.count(world.source) == 0

            await world.until("all is acknowledged", empty, 20)


class StoringInterest(Storing):
    retention = "interest"


class StoringWorkQueue(Storing):
    retention = "workqueue"


class Polling(Storing):
    """The same, struck where the polling load is."""

    places = (*POLLING, "load.after_verify", "load.after_publish", "load.after_progress")

    async def flows(self) -> None:
        await super().flows()
        world = self.world
        await world.until_count(world.target, len(world.ledger.acknowledged), FLOWS_WITHIN_S)


LOADS = "SELECT count(*) FROM es.event WHERE type = 'job_created' AND data->>'kind' = 'load'"
DONE = "SELECT count(*) FROM es.event WHERE type = 'load_completed'"


class Loading(Scene):
    """An archive of 200 messages, loaded into one target after the other."""

    places = places("run", "load", without=(*POLLING, *DELETING))
    mode = "dedupe"

    async def begin(self) -> None:
        world = self.world
        await world.make_stream()
        job = await world.store(max_count=40)
        await world.publish(200)
        await self.stored(job)
        self.found = await world.check_store(job)
        await world.call("POST", f"/store/job/pause?job_id={job}")
        await world.until_word(job, "store", "Paused")
        self.targets = 0

    async def target(self) -> str:
        """A new one; the subject that it takes."""
        self.targets += 1
        subject = f"{self.world.write_subject}.{self.targets}"
        name = f"{self.world.target}-{self.targets}"
        await self.world.make_stream(name, **{"subjects": [subject], **self.config(subject, name)})
        return subject

    def config(self, subject: str, name: str) -> dict[str, Any]:
        """What a target is but a stream that takes `subject`."""
        del subject, name
        return {}

    async def feed(self, enough: asyncio.Event) -> None:
        while not enough.is_set():
            subject = await self.target()
            await self.order(enough, write_subject=subject, mode=self.mode, name=subject)
            with suppress(TimeoutError):
                async with asyncio.timeout(2 * AGAIN_S):
                    await enough.wait()

    async def flows(self) -> None:
        await self.until("loads are complete", DONE, await self.ask(LOADS))

    async def loads(self) -> dict[str, str]:
        """The loads that were taken, by id: the names of their targets."""
        rows = self.world.log.ask(
            "SELECT entity_id, data->'order'->>'write_subject' AS subject FROM es.event WHERE type = 'job_created'"
            " AND data->>'kind' = 'load' ORDER BY position"
        )
        return {
            row["entity_id"].removeprefix("job/"): f"{self.world.target}-{row['subject'].rpartition('.')[2]}"
            for row in rows
        }

    async def check(self) -> None:
        world = self.world
        planned = checker.plan_of(self.found)
        for load, name in (await self.loads()).items():
            kept = await world.read(name)
            kept = [each for each in kept if not each.subject.startswith(b"nats3.mark.")]
            subject = f"{world.write_subject}.{name.rpartition('-')[2]}".encode()
            if self.mode == "at_least_once":
                checker.loaded_at_least_once(planned, kept, world.verdict, subject)
            else:
                checker.loaded(planned, kept, world.verdict, subject)
            checker.ended(world.log.events(f"run/{load}"), len({each.payload for each in kept}), world.verdict)
            world.verdict.counts["loads"] += 1
        world.hold()


class LoadingExclusive(Loading):
    mode = "exclusive"


class LoadingAtLeastOnce(Loading):
    mode = "at_least_once"


class LoadingAtomic(Loading):
    mode = "atomic"

    def config(self, subject: str, name: str) -> dict[str, Any]:
        return {"subjects": [subject, f"nats3.mark.{name}.>"], "allow_atomic": True}


class Deleting(Loading):
    """Loads that delete what they have loaded, one after the other, while the store goes on."""

    places = (*DELETING, "load.after_progress", "load.before_completed")

    async def begin(self) -> None:
        world = self.world
        await world.make_stream()
        self.job = await world.store(max_count=10, max_age="100ms")
        await self.publish()
        await self.stored(self.job)
        self.targets = 0

    async def feed(self, enough: asyncio.Event) -> None:
        while not enough.is_set():
            await self.publish()
            await self._nothing_under_way(enough)
            if not enough.is_set():
                subject = await self.target()
                await self.order(enough, write_subject=subject, name=subject, delete_chunks=True)
            await asyncio.sleep(AGAIN_S)

    async def _nothing_under_way(self, enough: asyncio.Event) -> None:
        """No load reads what the next one would read too: both would publish it, each into its target."""
        while not enough.is_set() and await self.ask(DONE) < await self.ask(LOADS):  # noqa: ASYNC110 - see until
            await asyncio.sleep(LOOK_S)

    async def flows(self) -> None:
        await self.stored(self.job)
        await super().flows()

    async def check(self) -> None:
        """Every message is in one target once, or still in the bucket; and what was loaded is gone from there."""
        world = self.world
        found = await asyncio.to_thread(world.archive, self.job, deleted=True)
        got: Counter[tuple[bytes | None, bytes]] = Counter()
        for name in (await self.loads()).values():
            got.update((checker.given_back(kept.header), kept.payload) for kept in await world.read(name))
        got.update((m.message.header, m.message.payload) for m in found.messages)
        want = Counter((entry.header, entry.payload) for entry in world.ledger.acknowledged)
        world.verdict.none([repr(each)[:160] for each in (want - got)], "I8 messages are neither loaded nor archived")
        unknown = Counter((entry.header, entry.payload) for entry in world.ledger.unknown)
        world.verdict.none([repr(each)[:160] for each in (got - want - unknown)], "I8 messages are there twice")
        world.hold()


SCENES: dict[str, type[Scene]] = {
    "store/limits": Storing,
    "store/interest": StoringInterest,
    "store/workqueue": StoringWorkQueue,
    "load/dedupe": Loading,
    "load/exclusive": LoadingExclusive,
    "load/at_least_once": LoadingAtLeastOnce,
    "load/atomic": LoadingAtomic,
    "load/polling": Polling,
    "load/deleting": Deleting,
}
