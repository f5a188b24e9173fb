"""Many jobs in one process, and more than one process for several jobs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from nats.aio.msg import Msg

from tests.bench.figures import Figure, at_least, at_most, middle, ratio
from tests.bench.house import BUCKET, LARGE, House, Timed
from tests.bench.rows import Size
from tests.bench.traffic import fill
from tests.bench.workers import with_workers

_KIB = 1024
_SETTLE_S = 70.0
"""Until each job has looked after its bucket for the first time, which it does a minute after it was bound, then hourly."""

_LOOK_S = 30.0
_STREAMS = 4
_NODES = 2


@dataclass(frozen=True, slots=True)
class Cost:
    """Of nats3 while nothing happens: part of a core, and requests a second to each of the three."""

    core: float
    nats: float
    s3: float
    postgres: float


async def quiet(house: House, size: Size) -> list[Figure]:
    """Store jobs on streams to which nobody publishes, and one hot job: alone, among them, and alone again."""
    count, hot = size.jobs // 5, "hot"
    look_s, settle_s = (_LOOK_S, _SETTLE_S) if size.warm else (2.0, 1.0)
    await fill(house.stack.nats_url, house.js, hot, 2 * size.messages, _KIB)
    alone = await _rates(house, hot, size)
    nobody = await _cost(house, look_s)
    jobs = await _quiet_jobs(house, count)
    await asyncio.sleep(settle_s)
    cost = await _cost(house, look_s)
    resident = house.nats3.resident_mib()
    among = await _rates(house, hot, size)
    for job in jobs:
        await house.ask("DELETE", f"/api/v2/jobs/{job}")
    await house.until(lambda: _none_bound(house, count))
    alone += await _rates(house, hot, size)
    for stream in (hot, *map(_name, range(count))):
        await house.js.delete_stream(stream)
    said = f"{count} quiet store jobs, looked at for {look_s:.0f} s"
    return [
        Figure("CPU of quiet store jobs", 100 * cost.core, "%", at_most(2), said=f"of a core; {said}"),
        Figure("CPU of a node without jobs", 100 * nobody.core, "%", said="the same, before they were ordered"),
        Figure("quiet store jobs, requests to NATS", cost.nats, "/s", said=said),
        Figure("quiet store jobs, requests to S3", cost.s3, "/s", said=said),
        Figure(
            "quiet store jobs, statements above a node without jobs", cost.postgres - nobody.postgres, "/s", said=said
        ),
        Figure("quiet store jobs, resident", resident, "MiB", said=said),
        Figure(
            "a hot job among quiet ones / alone",
            sorted(among)[len(among) // 2] / sorted(alone)[len(alone) // 2],
            "x",
            at_least(0.9),
            said=f"medians of {len(among)} among {count} and {len(alone)} alone, before and after",
        ),
    ]


def _name(number: int) -> str:
    return f"quiet{number}"


async def _quiet_jobs(house: House, count: int) -> list[str]:
    """Their ids, once all are bound."""
    jobs: list[str] = []
    for number in range(count):
        stream = _name(number)
        await house.js.add_stream(name=stream, subjects=[f"{stream}.>"])
        order = {"kind": "store", "stream": stream, "bucket": BUCKET, "prefix": "quiet"}
        jobs.append((await house.ask("POST", "/api/v2/jobs", order))["id"])
    await house.until(lambda: _all_bound(house, count))
    return jobs


async def _all_bound(house: House, count: int) -> bool:
    return all([await house.has_consumer(_name(number)) for number in range(count)])


async def _none_bound(house: House, count: int) -> bool:
    return not any([await house.has_consumer(_name(number)) for number in range(count)])


async def _rates(house: House, stream: str, size: Size) -> list[float]:
    count = 2 * size.messages
    return [(await house.store(stream, count, LARGE, quiet=True)).rate for _ in range(size.runs)]


async def _cost(house: House, look_s: float) -> Cost:
    """What nats3 does while this process only listens to what NATS is asked."""
    asked = 0

    async def hear(_: Msg) -> None:
        nonlocal asked
        asked += 1

    async with house.statements() as statements:
        heard = await house.client.subscribe("$JS.API.>", cb=hear)
        await house.client.flush()
        before = (house.nats3.cpu_s(), await house.requests(), statements(), time.perf_counter())
        asked = 0
        await asyncio.sleep(look_s)
        nats, seconds = asked, time.perf_counter() - before[3]
        cpu, said = house.nats3.cpu_s() - before[0], statements() - before[2]
        s3 = await house.requests() - before[1]
        await heard.unsubscribe()
    return Cost(cpu / seconds, nats / seconds, s3 / seconds, said / seconds)


async def workers(house: House, size: Size) -> list[Figure]:
    """Four store jobs at once, by one process and by two nodes beside one that answers requests: A B A B.

    Long enough that each would ask for all that its memory takes: with shorter ones it was not seen that a server ends a connection
    on which more than 64 MB wait.
    """
    count = 3 * size.messages
    streams = [f"part{number}" for number in range(_STREAMS)]
    for stream in streams:
        await fill(house.stack.nats_url, house.js, stream, count, _KIB)
    one: list[float] = []
    two: list[float] = []
    for _ in range(min(size.runs, 3)):
        one.append(await _together(house, streams, count))
        async with with_workers(house, _NODES):
            two.append(await _together(house, streams, count))
    for stream in streams:
        await house.js.delete_stream(stream)
    said = f"{_STREAMS} jobs of {count} messages of 1 KiB at once"
    return [
        middle(f"{_STREAMS} store jobs, one process", one, "msg/s", said=said),
        middle(f"{_STREAMS} store jobs, --workers {_NODES}", two, "msg/s", said=f"the same; {_nodes()}"),
        ratio(f"{_STREAMS} store jobs, --workers {_NODES} / one process", two, one),
    ]


def _nodes() -> str:
    return "two nodes with half of the memory each, and a process for the API"


async def _together(house: House, streams: Sequence[str], count: int) -> float:
    """Messages a second of all jobs, from the order of the first to the last recorded chunk."""
    async with asyncio.TaskGroup() as tasks:
        jobs = [tasks.create_task(house.store(stream, count, LARGE, quiet=True)) for stream in streams]
    timed: list[Timed] = [job.result() for job in jobs]
    return sum(each.messages for each in timed) / max(each.messages / each.rate for each in timed)
