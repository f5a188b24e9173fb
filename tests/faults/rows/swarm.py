"""Many faults, one after the other as chance has it, while a producer of its own goes on."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Awaitable, Callable
from time import monotonic

from tests.faults import checker, ledger
from tests.faults.held import Held, bounded
from tests.faults.registry import row
from tests.faults.servers import descriptors, resident
from tests.faults.world import Failed, World

Fault = Callable[[World], Awaitable[None]]
SETTLED_WITHIN_S = 40.0
FLAT_FROM_S = 300.0
"""So long a swarm tells whether memory stays flat: before, caches still fill."""


async def _kill_node(world: World) -> None:
    await world.node.kill()
    await world.node.start()


async def _freeze_node(world: World) -> None:
    world.node.pause()
    await asyncio.sleep(3)
    world.node.resume()


async def _kill(world: World, name: str) -> None:
    server = getattr(world.servers, name)
    await server.kill()
    await asyncio.sleep(1)
    await server.start()


async def _freeze(world: World, name: str) -> None:
    server = getattr(world.servers, name)
    server.pause()
    await asyncio.sleep(3)
    server.resume()


FAULTS: dict[str, Fault] = {
    "node killed": _kill_node,
    "node frozen": _freeze_node,
    "NATS killed": lambda world: _kill(world, "nats"),
    "NATS frozen": lambda world: _freeze(world, "nats"),
    "Postgres killed": lambda world: _kill(world, "postgres"),
    "Postgres frozen": lambda world: _freeze(world, "postgres"),
    "S3 killed": lambda world: _kill(world, "s3"),
    "S3 frozen": lambda world: _freeze(world, "s3"),
}


async def _swarm(world: World, seconds: float, rate: int) -> None:
    """A store, a polling load that runs beside it, a producer of its own, and a random subset of the faults."""
    chance = random.Random(world.seed)
    subset = chance.sample(sorted(FAULTS), chance.randrange(2, len(FAULTS) + 1)) if chance.random() < 0.75 else []
    world.note("faults: " + (", ".join(subset) or "none"))
    survivor = world.node_over()  # is never struck itself, so that its memory tells
    await survivor.start()
    await world.make_stream()
    await world.make_target()
    job = await world.store(max_count=200, max_age="500ms")
    load = await world.load(poll_interval="300ms")
    path = world.directory / "producer"
    subject = world.subject.decode()
    producer = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.faults.ledger", world.servers.nats.url, subject, str(path)),
        *("--count", str(int(rate * seconds)), "--rate", str(rate), "--seed", str(world.seed)),
        stdout=asyncio.subprocess.DEVNULL,
    )
    end, hits, held = monotonic() + seconds, 0, list[Held]()
    while monotonic() < end:
        if subset:
            await FAULTS[chance.choice(subset)](world)
            hits += 1
        await asyncio.sleep(chance.uniform(0.5, 3.0))
        held.append(Held(resident(survivor.pid), descriptors(survivor.pid)))
    await world.servers.heal()
    await producer.wait()
    entries = ledger.read(path)
    acknowledged = sum(entry.seq is not None for entry in entries)
    world.note(f"{hits} faults, {len(entries) - acknowledged} of {len(entries)} unknown")
    took = await world.until_stored(job, acknowledged, SETTLED_WITHIN_S)
    world.note(f"all stored {took:.1f} s after the last fault")
    in_stream = await world.read(world.source)
    await world.until_stored(job, len(in_stream), 20)
    found = await asyncio.to_thread(world.archive, job)
    checker.stored(entries, found, world.verdict)
    checker.as_in_stream(in_stream, found, world.verdict)
    world.hold()
    await world.until_count(world.target, len(found.messages), SETTLED_WITHIN_S)
    word = await world.word(load, "load")
    if word != "Running":
        raise Failed(f"the polling load says {word}: {await world.job(load)}")
    await world.check_load(checker.plan_of(found))
    world.note(bounded(held, world.verdict, flat=seconds >= FLAT_FROM_S))
    world.hold()


async def swarm_of(world: World, seconds: float) -> None:
    await _swarm(world, seconds, 400)


@row("F72", within=240)
async def a_swarm_of_a_minute(world: World) -> None:
    await _swarm(world, 60, 400)


@row("F72", within=240)
async def another_swarm_of_a_minute(world: World) -> None:
    world.seed += 1
    await _swarm(world, 60, 400)


@row("F01", "F02", "F04", "F07", "F08", "F10", within=240)
async def forty_kills_at_moments_of_chance(world: World) -> None:
    """A store and a polling load at once, killed as soon as they have begun to flow again."""
    chance = random.Random(world.seed)
    await world.make_stream()
    await world.make_target()
    job = await world.store(max_count=20, max_age="200ms")
    load = await world.load(poll_interval="100ms")
    for _ in range(40):
        await world.publish(400)
        await asyncio.sleep(chance.uniform(0.0, 1.5))
        await world.node.kill()
        await world.node.start()
    took = await world.until_stored(job, within=60)
    world.note(f"all stored {took:.1f} s after the last kill")
    found = await world.check_store(job)
    await world.until_count(world.target, len(found.messages), 60)
    world.verdict.need(await world.word(load, "load") == "Running", "the load ended")
    await world.check_load(checker.plan_of(found))
