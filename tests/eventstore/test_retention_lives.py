"""Random lives of `test_lives`, shorter, with two nodes that move the past out of the log meanwhile, each dying now and then.

A failing seed is named; replay it alone with `LIVES=seed python -m pytest tests/eventstore/test_retention_lives.py`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Sequence
from contextlib import aclosing
from datetime import timedelta
from random import Random

import pytest

from eventstore import (
    Append,
    Appended,
    Backoff,
    Batcher,
    Conflict,
    Fence,
    Hold,
    Kept,
    Limits,
    LogUnavailable,
    MemoryPartitions,
    MemorySegments,
    MemoryStore,
    NewEvent,
    Policy,
    Position,
    Recorded,
    Refused,
    Retention,
    Segments,
    Span,
    Tail,
    Version,
)
from tests.eventstore.lives import Activation

LIVES = 120
SIZE = 8
"""Positions of a partition."""

ENTITIES = ("run/a", "run/b", "run/c")


class Shaky(MemoryStore):
    """Loses requests and answers, delivers some requests late, restarts now and then."""

    def __init__(self, chance: Random, segments: Segments) -> None:
        super().__init__(ends=lambda event: event.data == {"over": True}, segments=segments)
        self.chance = chance
        self.all: list[Recorded] = []
        self.calm = False
        self._late: list[Sequence[Append]] = []

    async def append(self, batch: Sequence[Append]) -> list[Appended | Conflict | Refused]:
        await self._pass_time()
        while self._late and self.chance.random() < 0.5:
            await self._written(self._late.pop(0))
        fate = 1.0 if self.calm else self.chance.random()
        if fate < 0.1:
            raise LogUnavailable("request lost")
        if fate < 0.2:
            self._late.append(batch)
            raise LogUnavailable("request late")
        outcomes = await self._written(batch)
        if fate < 0.35:
            raise LogUnavailable("answer lost")
        if fate < 0.38:
            self.restart()
        return outcomes

    async def _written(self, batch: Sequence[Append]) -> list[Appended | Conflict | Refused]:
        outcomes = await super().append(batch)
        known = self.all[-1].position if self.all else 0
        self.all += [event for event, _ in self.rows if event.position > known]
        return outcomes

    async def read(self, entity_id: str, after: Version, limit: int) -> list[Recorded]:
        await self._pass_time()
        return await super().read(entity_id, after, limit)

    async def read_log(self, after: Position, limit: int, types: Collection[str] | None = None) -> list[Recorded]:
        await self._pass_time()
        return await super().read_log(after, min(limit, 7), types)

    async def _pass_time(self) -> None:
        for _ in range(self.chance.randint(0, 3)):
            await asyncio.sleep(0)
        if not self.calm and self.chance.random() < 0.05:
            raise LogUnavailable("away")


class ShakyPlace(MemorySegments):
    """Loses requests and answers."""

    def __init__(self, chance: Random) -> None:
        super().__init__()
        self.chance = chance
        self.calm = False

    async def put(self, name: str, body: bytes) -> None:
        await self._pass_time()
        await super().put(name, body)
        await self._pass_time()

    async def get(self, name: str) -> bytes:
        await self._pass_time()
        return await super().get(name)

    async def _pass_time(self) -> None:
        await asyncio.sleep(0)
        if not self.calm and self.chance.random() < 0.1:
            raise LogUnavailable("the bucket is away")


class Careful(MemoryPartitions):
    """Judges every drop by a rule of its own, and dies around steps."""

    def __init__(self, store: Shaky, follower: list[Recorded], snapshots: dict[str, int]) -> None:
        self.at: dict[str, int] = {"follower": 0}
        super().__init__(store, SIZE, self.at, snapshots)
        self._shaky = store
        self._follower = follower
        self._covered = snapshots
        self.dropped = 0

    async def keep(self, kept: Kept, spans: Sequence[Span]) -> bool:
        await self._die_now_and_then()
        done = await super().keep(kept, spans)
        await self._die_now_and_then()
        return done

    async def drop(self, name: str) -> list[Hold]:
        await self._die_now_and_then()
        self.at["follower"] = self._follower[-1].position if self._follower else 0
        before = self._shaky.index.low
        holds = await super().drop(name)
        if self._shaky.index.low != before:
            self.dropped += 1
            self._must_be_needless(before, self._shaky.index.low)
        await self._die_now_and_then()
        return holds

    def _must_be_needless(self, low: int, high: int) -> None:
        gone = [event for event in self._shaky.all if low <= event.position < high]
        assert self._shaky.all[-1].position >= high, "a partition was dropped that could get more events"
        assert self.at["follower"] >= high - 1, "an event was dropped that a follower has still to read"
        kept = sum(kept.events for kept, _ in self._shaky.index.kept if low <= kept.from_position < high)
        assert kept == len(gone), "an event was dropped that no segment holds"
        for event in gone:
            entity = self._shaky.entities[event.entity_id]
            covered = self._covered.get(event.entity_id, 0) >= event.version
            assert entity.closed or covered, "an event of an open entity was dropped that no snapshot covers"

    async def _die_now_and_then(self) -> None:
        await asyncio.sleep(0)
        if not self._shaky.calm and self._shaky.chance.random() < 0.1:
            raise LogUnavailable("it died")


async def move(store: Shaky, place: ShakyPlace, partitions: Careful, covered: dict[str, int]) -> None:
    """Rounds until told to end by a cancellation."""

    async def snapshot(entity_id: str) -> None:
        if store.chance.random() < 0.7:
            covered[entity_id] = store.entities[entity_id].version

    retention = Retention(partitions, store, place, Policy(timedelta(0), 0), snapshot, events=3)
    while True:
        try:
            await retention.round()
        except LogUnavailable:
            await asyncio.sleep(0)
        await asyncio.sleep(0)


def _sometimes_over(chance: Random) -> dict[str, bool]:
    return {"over": True} if chance.random() < 0.2 else {}


async def live(seed: int) -> int:
    """How many partitions were dropped."""
    chance = Random(seed)
    place, covered = ShakyPlace(chance), dict[str, int]()
    store, followed = Shaky(chance, place), list[Recorded]()
    nodes = [Careful(store, followed, covered) for _ in range(2)]
    quick = {"backoff": Backoff(0, 0), "limits": Limits(events=5, queued=2)}
    async with Batcher(store, **quick) as one, Batcher(store, **quick) as two, Tail(store, interval=0.0001) as tail:
        activations = [
            Activation(store, batcher, name, chance, _sometimes_over) for batcher in (one, two) for name in ENTITIES
        ]
        async with asyncio.TaskGroup() as tasks:
            moving = [tasks.create_task(move(store, place, node, covered)) for node in nodes]
            tasks.create_task(_follow(tail, followed))
            async with asyncio.TaskGroup() as writing:
                for activation in activations:
                    writing.create_task(activation.live())
            store.calm = place.calm = True
            last = (await store.append([Append("job/end", Version(0), Fence(0), (NewEvent("end", {}),))]))[0]
            assert isinstance(last, Appended)
            while not (followed and followed[-1].position >= last.last):  # noqa: ASYNC110 - a scheduler without a clock
                await asyncio.sleep(0)
            for each in moving:
                each.cancel()
    log = await store.read_log(Position(0), 7)
    while page := await store.read_log(log[-1].position, 7):
        log += page
    assert log == store.all, "what was moved is not what was written"
    assert followed == log[: len(followed)]
    _judge(log, activations)
    return sum(node.dropped for node in nodes)


async def _follow(tail: Tail, seen: list[Recorded]) -> None:
    async with aclosing(tail.follow(Position(0))) as pages:
        async for page in pages:
            seen += page
            if any(event.type == "end" for event in page):
                return


def _judge(log: list[Recorded], activations: list[Activation]) -> None:
    place = {event.event_id: event for event in log}
    assert len(place) == len(log), "an event is recorded twice"
    for name in ENTITIES:
        events = [event for event in log if event.entity_id == name]
        assert [event.version for event in events] == list(range(1, len(events) + 1)), "versions have a hole"
    for activation in activations:
        assert place.keys().isdisjoint(activation.denied), "what was denied is recorded"
        for fence, head in activation.claimed:
            later = [event.fence for event in log[head:] if event.entity_id == activation.entity_id]
            assert all(other >= fence for other in later), "an old fence wrote after a newer one was given"
        for event_id, version in activation.acknowledged.items():
            assert place[event_id].version == version, "what was acknowledged is not where it was said to be"


@pytest.mark.timeout(120)
async def test_no_random_life_loses_what_moves_out_of_the_log() -> None:
    seeds = [int(os.environ["LIVES"])] if "LIVES" in os.environ else range(LIVES)
    dropped = 0
    for seed in seeds:
        try:
            async with asyncio.timeout(20):
                dropped += await live(seed)
        except BaseException as fault:
            fault.add_note(f"seed {seed}")
            raise
    assert dropped > LIVES or "LIVES" in os.environ, "these lives say little of retention"
