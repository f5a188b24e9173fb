"""How soon it flows again: after its own restart, after a take-over, after a dependency came back; on the real program."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import monotonic
from typing import Any

from tests.faults.play import world
from tests.faults.servers import servers
from tests.faults.world import World

AWAY_S = 2.0
LOOK_S = 0.02
WITHIN_S = 60.0

Sample = Callable[[World, str, random.Random], Awaitable[float]]


async def _recorded(made: World, job: str) -> int:
    """Chunks of the job in the log."""
    rows = await asyncio.to_thread(
        made.log.ask,
        "SELECT count(*) AS n FROM es.event WHERE entity_id = %s AND type = 'chunk_flushed'",
        f"run/{job}",
    )
    return rows[0]["n"]


async def _until_more(made: World, job: str, before: int) -> None:
    async with asyncio.timeout(WITHIN_S):
        while await _recorded(made, job) <= before:  # noqa: ASYNC110 - another program's database has no signal for us
            await asyncio.sleep(LOOK_S)


async def _own_restart(made: World, job: str, chance: random.Random) -> float:
    """From the start of the program to the next recorded chunk; messages are waiting."""
    del chance
    await made.node.kill()
    await made.publish(100)
    before, began = await _recorded(made, job), monotonic()
    await made.node.start()
    await _until_more(made, job, before)
    return monotonic() - began


async def _take_over(made: World, job: str, chance: random.Random) -> float:
    """From the owner's SIGKILL to the next chunk, which another node recorded. The dead one comes back afterwards."""
    del chance
    owner = await _owner(made, job)
    await made.publish(100)
    await made.until_stored(job)
    before, began = await _recorded(made, job), monotonic()
    await owner.kill()
    await made.publish(100)
    await _until_more(made, job, before)
    took = monotonic() - began
    await owner.start()
    return took


async def _owner(made: World, job: str) -> Any:
    """The node whose log said last that it runs the job; it becomes the other one that is asked."""
    rows = await asyncio.to_thread(
        made.log.ask,
        "SELECT n.name FROM es.entity e JOIN es.node n ON n.node_id = e.owner WHERE e.entity_id = %s",
        f"run/{job}",
    )
    owner = next(node for node in made.nodes if f":{node.port} " in rows[0]["name"])
    made.nodes.sort(key=lambda node: node is owner)  # the other one is asked
    return owner


async def _dependency(made: World, job: str, chance: random.Random) -> float:
    """From the moment at which it answers again to the next chunk.

    SeaweedFS that was killed takes connections at once and, now and then, its first PUT only after 5 to 20 s, whoever sends it.
    """
    server = getattr(made.servers, chance.choice(("nats", "postgres", "s3")))
    if server is made.servers.nats:
        await made.publish(100)
        await made.until_stored(job)
    before = await _recorded(made, job)
    await server.kill()
    if server is not made.servers.nats:
        await made.publish(100)
    await asyncio.sleep(AWAY_S + chance.random() * 3)
    await server.start()
    if server is made.servers.s3:
        await asyncio.to_thread(made.bucket.put, made.bucket_name, "somebody else's", b"")
    began = monotonic()
    if server is made.servers.nats:
        await made.publish(100)
    await _until_more(made, job, before)
    return monotonic() - began


KINDS: dict[str, tuple[Sample, int, str, Callable[[dict[str, Any]], bool]]] = {
    "its own restart": (_own_restart, 1, "p50 <= 2 s", lambda found: found["p50"] <= 2.0),
    "a take-over": (_take_over, 2, "p99 <= 18 s", lambda found: found["p99"] <= 18.0),
    "a dependency's return": (_dependency, 1, "p99 <= 5 s", lambda found: found["p99"] <= 5.0),
}


async def measure(samples: int, seed: int, say: Callable[[str], None]) -> list[dict[str, Any]]:
    found = []
    with tempfile.TemporaryDirectory(prefix="nats3-figures-", ignore_cleanup_errors=True) as directory:
        async with servers() as started:
            for what, (sample, nodes, goal, holds) in KINDS.items():
                async with world(started, Path(directory), seed) as made:
                    times = await _samples(made, sample, nodes, samples, random.Random(seed))
                row = {"what": what, "samples": samples, "goal": goal, **_percentiles(times)}
                row["holds"] = holds(row)
                found.append(row)
                said = ", ".join(f"{each:.1f}" for each in sorted(times))
                say(f"{what}: p50 {row['p50']:.1f} s, p99 {row['p99']:.1f} s, goal {goal}: {row['holds']}; {said}")
    return found


async def _samples(made: World, sample: Sample, nodes: int, samples: int, chance: random.Random) -> list[float]:
    for _ in range(nodes - 1):
        await made.node_over().start()
    await made.make_stream()
    job = await made.store(max_count=50, max_age="200ms")
    await made.publish(100)
    await made.until_stored(job)
    times = [await sample(made, job, chance) for _ in range(samples)]
    await made.until_stored(job, within=WITHIN_S)
    await made.check_store(job)
    return times


def _percentiles(times: list[float]) -> dict[str, float]:
    """By the nearest rank: of few samples the 99th percentile is the longest."""
    line = sorted(times)

    def at(share: float) -> float:
        return round(line[min(len(line) - 1, int(share * len(line)))], 3)

    return {"p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "longest": round(line[-1], 3)}
