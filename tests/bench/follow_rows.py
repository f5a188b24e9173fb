"""The log live: as many followers as a node takes, at a thousand events a second: none misses any, and how late they hear."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from eventstore import Append, Batcher, Fence, PostgresStore, Version
from nats3.api.services import STREAMS
from nats3.job.history import HISTORY, job_entity, run_entity
from nats3.job.order import StoreOrder
from nats3.job.ordering import JobCreated, JobPaused
from nats3.job.running import RunActivated
from tests.bench.figures import Figure, at_least, at_most, latencies
from tests.bench.house import House
from tests.bench.rows import Size

RATE = 1000
_EACH = 50
"""Events in one append."""

_WITHIN_S = 30
"""For the last events to come after the last append."""

_EVENT = re.compile(rb"^id: (\d+)\nevent: ", re.MULTILINE)


@dataclass
class Follower:
    """What one client saw: positions in the order in which they came, and when it first had read so far."""

    positions: list[int] = field(default_factory=list[int])
    read: dict[int, float] = field(default_factory=dict[int, float])

    async def follow(self, port: int, entity: str, last: asyncio.Future[int], ready: asyncio.Event) -> None:
        """Read until the last position has come."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
        with closing(writer):
            ask = f"GET /api/v2/events?follow=true&entity={entity} HTTP/1.1\r\nHost: localhost\r\n\r\n"
            writer.write(ask.encode())
            rest = b""
            while not (last.done() and self.positions and self.positions[-1] >= last.result()):
                part = await reader.read(1 << 20)
                now, whole = time.perf_counter(), rest + part
                cut = whole.rfind(b"\n\n") + 2
                rest = whole[cut:]
                found = [int(each) for each in _EVENT.findall(whole[:cut])]
                self.positions += found
                self.read |= dict.fromkeys(found, now)
                if b"\nid: " in whole:
                    ready.set()


async def followers(house: House, size: Size) -> list[Figure]:
    """All take the events of one run, which are appended at a steady rate whatever became of those before."""
    entity, seconds = run_entity(uuid4()), 20 if size.warm else 3
    last: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    clients = [(Follower(), asyncio.Event()) for _ in range(STREAMS)]
    async with asyncio.timeout(10 * seconds + _WITHIN_S), asyncio.TaskGroup() as tasks:
        for client, ready in clients:
            tasks.create_task(client.follow(house.server.port, entity, last, ready))
        for _, ready in clients:
            await ready.wait()
        begun, rate = await _append(house, entity, seconds)
        last.set_result(max(begun))
    wanted = [position for first in begun for position in range(first - _EACH + 1, first + 1)]
    missed = sum(len(set(wanted).difference(client.positions)) for client, _ in clients)
    disorder = sum(client.positions != sorted(set(client.positions)) for client, _ in clients)
    took = [client.read[end] - at for client, _ in clients for end, at in begun.items() if end in client.read]
    what = f"{STREAMS} followers at {RATE} events/s"
    said = f"{len(wanted)} events in {seconds} s"
    return [
        Figure(f"{what}, events appended", rate, "/s", at_least(0.98 * RATE), said=said),
        Figure(f"{what}, events missed", missed, "", at_most(0), said="of all followers together"),
        Figure(f"{what}, followers that saw one twice or too early", disorder, "", at_most(0)),
        *latencies(f"{what}, from the append to the follower", took),
    ]


async def _append(house: House, entity: str, seconds: int) -> tuple[dict[int, float], float]:
    """When each append was begun, by its last position; and how many events a second there were."""
    store, begun = PostgresStore(house.stack.postgres_url), dict[int, float]()
    try:
        async with Batcher(store) as batcher:
            await batcher.append(_ordered(entity))
            start = due = time.perf_counter()
            for turn in range(seconds * RATE // _EACH):
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                events = tuple(HISTORY.encode(RunActivated(turn * _EACH + at, "bench")) for at in range(_EACH))
                at = time.perf_counter()
                begun[(await batcher.append(Append(entity, Version(turn * _EACH), Fence(0), events))).last] = at
                due += _EACH / RATE
            took = max(due, time.perf_counter()) - start
    finally:
        await store.close()
    return begun, len(begun) * _EACH / took


def _ordered(entity: str) -> Append:
    """A job that is paused before anybody works on it."""
    events: Sequence[object] = (JobCreated("store", StoreOrder("followed", "none", ">", "bench")), JobPaused("bench"))
    job = job_entity(UUID(entity.partition("/")[2]))
    return Append(job, Version(0), Fence(0), tuple(HISTORY.encode(event) for event in events), "bench")
