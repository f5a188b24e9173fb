"""Random lives of one durable entity on several nodes, with a log checker. `python -m tests.actors.lives SEED [COUNT]`.

A seed decides everything: what happens, and in which order the tasks run. Nodes take the entity over from each other
without asking, frozen owners wake up and go on writing, emits are cancelled after any number of steps, appends fail
before or after they were written, actors crash, are killed and are stopped.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import sys
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from actors.durable import DurableActor
from actors.errors import ActorError, AskFailed, AskTimeout, Conflict, MailboxClosed, Transient
from actors.system import ActorSystem
from actors.testing import MemoryJournal, MemoryLog, run_seeded

ENTITY = "run/a"
NODES = 3
STEPS = 40


class Done(NamedTuple):
    """An event: the order it answers, and the number that its writer believed it would get."""

    order: int
    number: int


class Crash(Exception):
    """A message that its reader raises."""


State = tuple[Done, ...]


@dataclass
class World:
    chance: random.Random
    log: MemoryLog[Done] = field(default_factory=MemoryLog)
    journals: list[MemoryJournal[Done]] = field(default_factory=list)
    acknowledged: set[int] = field(default_factory=set)
    orders: int = 0
    doubts: int = 0


class Worker(DurableActor[State, Done]):
    """Does each order once, however often it has to try."""

    def __init__(self, journal: MemoryJournal[Done], world: World) -> None:
        super().__init__(journal, snapshot_every=3)
        self.world = world

    def initial(self) -> State:
        return ()

    def evolve(self, state: State, event: Done) -> State:
        assert event.number == len(state) + 1, f"{event} cannot be number {len(state) + 1}"
        return (*state, event)

    async def receive(self, message: object) -> object:
        if isinstance(message, Crash):
            raise message
        assert isinstance(message, int)
        while all(done.order != message for done in self.state):
            await self._try(message)
        assert self.state == tuple(self.world.log.events(ENTITY))[: self.version], "state is no prefix of the log"
        return self.version

    async def _try(self, order: int) -> None:
        events = [Done(order, self.version + 1)]
        if self.world.chance.random() < 0.2:
            events.append(Done(-order, self.version + 2))
        try:
            await self._perhaps_cancelled(lambda: self.emit(*events))
        except (TimeoutError, Transient):
            self.world.doubts += 1
        except Conflict:
            await self.recover()
        else:
            return
        if self.world.chance.random() < 0.5:
            await self.recover()

    async def _perhaps_cancelled(self, work: Callable[[], Coroutine[object, object, int]]) -> None:
        async with asyncio.timeout(None) as scope:
            striker = self.context.spawn(partial(self._strike, scope), "striker")
            try:
                await work()
            finally:
                striker.cancel()

    async def _strike(self, scope: asyncio.Timeout) -> None:
        if self.world.chance.random() < 0.5:
            for _ in range(self.world.chance.randrange(12)):
                await asyncio.sleep(0)
            scope.reschedule(0)


async def take_over(world: World, node: ActorSystem) -> None:
    """Claim as after a lost lease: the owner before is not asked and may still be running elsewhere."""
    await node.stop(ENTITY, world.chance.choice([0, 5]))
    journal = world.log.claim(ENTITY)
    world.journals.append(journal)
    await node.start(ENTITY, lambda: Worker(journal, world), idle_after=world.chance.choice([None, 1.0]))


async def order(world: World, node: ActorSystem) -> None:
    worker = node.find(ENTITY)
    if worker is None:
        return
    world.orders += 1
    mine = world.orders
    try:
        await worker.ask(mine, 20)
    except (AskFailed, AskTimeout, MailboxClosed):
        return
    world.acknowledged.add(mine)


async def crash(world: World, node: ActorSystem) -> None:
    if worker := node.find(ENTITY):
        worker.tell(Crash())


async def stop(world: World, node: ActorSystem) -> None:
    await node.stop(ENTITY, world.chance.choice([0, 5]))


async def lose_connection(world: World, node: ActorSystem) -> None:
    if world.journals:
        world.chance.choice(world.journals).fail_next_append(Transient(), written=world.chance.random() < 0.5)


async def pause(world: World, node: ActorSystem) -> None:
    await asyncio.sleep(world.chance.choice([0, 0, 0.6, 2]))


HAPPENINGS = ((take_over, 2), (order, 10), (crash, 1), (stop, 1), (lose_connection, 3), (pause, 4))


async def live(chance: random.Random) -> World:
    world = World(chance)
    happenings, weights = zip(*HAPPENINGS, strict=True)
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(ActorSystem(chance=chance.random)) for _ in range(NODES)]
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        await take_over(world, nodes[0])
        for happening in chance.choices(happenings, weights, k=STEPS):
            owners = [node for node in nodes if node.find(ENTITY)] if happening is order else nodes
            node = chance.choice(owners or nodes)
            if happening is order:
                tasks.create_task(order(world, node))
            else:
                await happening(world, node)
    await check(world)
    return world


async def check(world: World) -> None:
    events, fences = world.log.events(ENTITY), world.log.fences(ENTITY)
    assert [event.number for event in events] == list(range(1, len(events) + 1)), "versions have a hole or a double"
    assert len({event.order for event in events}) == len(events), "an order was done twice"
    assert world.acknowledged <= {event.order for event in events}, "an acknowledged order is not in the log"
    assert fences == sorted(fences), "an old fence wrote after a new one"
    heir = Worker(world.log.claim(ENTITY), world)
    await heir.recover()
    assert heir.state == tuple(events), "snapshot and tail do not fold to the log"


def play(seed: int) -> World:
    """One life, the same for the same seed. A failure says how to replay it."""
    try:
        return run_seeded(seed, lambda: live(random.Random(seed)))
    except (AssertionError, ActorError, ExceptionGroup) as failure:
        failure.add_note(f"replay: python -m tests.actors.lives {seed}")
        raise


def main(first: int, count: int = 1) -> None:
    worlds = [play(seed) for seed in range(first, first + count)]
    digest = hashlib.sha256(repr([world.log.events(ENTITY) for world in worlds]).encode()).hexdigest()[:12]
    events = sum(len(world.log.events(ENTITY)) for world in worlds)
    orders, doubts = sum(world.orders for world in worlds), sum(world.doubts for world in worlds)
    print(
        f"{count} lives from seed {first}: {orders} orders, {doubts} emits in doubt, {events} events, none wrong; digest {digest}"
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
