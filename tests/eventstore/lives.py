"""Random lives of the log in memory. `python -m tests.eventstore.lives SEED [COUNT]`.

A seed decides everything: two nodes steal claims from each other, requests and answers are lost, some requests arrive
late, the store restarts, and one follower must see all of it once and in order.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Collection, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

from actors.testing import run_seeded
from eventstore import (
    Append,
    Appended,
    Backoff,
    Batcher,
    Conflict,
    Fence,
    Fenced,
    Limits,
    LogUnavailable,
    MemoryClaims,
    MemoryStore,
    NewEvent,
    Position,
    Recorded,
    Refused,
    Tail,
    Version,
    VersionConflict,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
ENTITIES = ("run/a", "run/b", "run/c")


class Shaky(MemoryStore):
    """Loses requests and answers, delivers some requests late, restarts now and then."""

    def __init__(self, chance: Random) -> None:
        super().__init__(clock=lambda: START + timedelta(seconds=asyncio.get_running_loop().time()))
        self.chance = chance
        self.calm = False
        self._late: list[Sequence[Append]] = []

    async def append(self, batch: Sequence[Append]) -> list[Appended | Conflict | Refused]:
        await self._pass_time()
        while self._late and self.chance.random() < 0.5:
            await super().append(self._late.pop(0))
        fate = 1.0 if self.calm else self.chance.random()
        if fate < 0.1:
            raise LogUnavailable("request lost")
        if fate < 0.2:
            self._late.append(batch)
            raise LogUnavailable("request late")
        outcomes = await super().append(batch)
        if fate < 0.35:
            raise LogUnavailable("answer lost")
        if fate < 0.38:
            self.restart()
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


class Activation:
    """One node that claims an entity again and again and writes to it until it is fenced; `data` draws what it says."""

    def __init__(
        self,
        store: MemoryStore,
        batcher: Batcher,
        entity_id: str,
        chance: Random,
        data: Callable[[Random], dict[str, bool]] = lambda _: {},
    ) -> None:
        self.claims = MemoryClaims(store)
        self.batcher = batcher
        self.entity_id = entity_id
        self.chance = chance
        self.data = data
        self.store = store
        self.acknowledged: dict[UUID, int] = {}
        self.denied: set[UUID] = set()
        self.claimed: list[tuple[Fence, Position]] = []

    async def live(self) -> None:
        for _ in range(self.chance.randint(1, 4)):
            claim = await self.claims.claim(self.entity_id)
            self.claimed.append((claim.fence, await self.store.head()))
            await self._write(claim.version, claim.fence)

    async def _write(self, version: int, fence: Fence) -> None:
        for _ in range(self.chance.randint(1, 6)):
            data = self.data(self.chance)
            events = tuple(NewEvent("said", data) for _ in range(self.chance.randint(1, 3)))
            append = Append(self.entity_id, Version(version), fence, events)
            try:
                appended = await self.batcher.append(append)
            except (Fenced, VersionConflict):
                self.denied.update(event.event_id for event in events)
                return
            for step, event in enumerate(events, 1):
                self.acknowledged[event.event_id] = version + step
            version = appended.version


async def live(seed: int) -> int:
    chance = Random(seed)
    store = Shaky(chance)
    quick = {"backoff": Backoff(0, 0), "limits": Limits(events=5, queued=2)}
    async with (
        Batcher(store, **quick) as one,
        Batcher(store, **quick) as two,
        Tail(store, interval=0.01, chance=chance) as tail,
    ):
        activations = [Activation(store, batcher, name, chance) for batcher in (one, two) for name in ENTITIES]
        async with asyncio.TaskGroup() as tasks:
            seen = tasks.create_task(_follow(tail))
            async with asyncio.TaskGroup() as writing:
                for activation in activations:
                    writing.create_task(activation.live())
            store.calm = True
            last = (await store.append([Append("job/end", Version(0), Fence(0), (NewEvent("end", {}),))]))[0]
            assert isinstance(last, Appended)
            followed = await seen
    log = await store.read_log(Position(0), 7)
    while page := await store.read_log(log[-1].position, 7):
        log += page
    assert followed == log[: len(followed)]
    assert followed[-1].type == "end"
    _judge(log, activations)
    return len(log)


async def _follow(tail: Tail) -> list[Recorded]:
    seen: list[Recorded] = []
    async with aclosing(tail.follow(Position(0))) as pages:
        async for page in pages:
            seen += page
            if seen[-1].type == "end":
                return seen
    return seen


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


def play(seed: int) -> int:
    """One life, the same for the same seed; how many events it left. A failure says how to replay it."""
    try:
        return run_seeded(seed, lambda: live(seed))
    except BaseException as fault:
        fault.add_note(f"replay: python -m tests.eventstore.lives {seed}")
        raise


def main(first: int, count: int = 1) -> None:
    events = sum(play(seed) for seed in range(first, first + count))
    print(f"{count} lives from seed {first}: {events} events, none wrong")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
