"""A proxy between nats3 and one of its servers does wrong: S3 that errs, a TCP line that loses, delays and dies."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from time import monotonic

from tests.faults import checker
from tests.faults.registry import row
from tests.faults.s3_proxy import (
    WEAK,
    Answer,
    Delay,
    Fault,
    FlipBit,
    Hang,
    Late,
    LoseAnswer,
    Rewrite,
    S3Proxy,
    Truncate,
    is_get,
    is_put,
)
from tests.faults.servers import resident
from tests.faults.tcp_proxy import DOWN, UP, TcpProxy, in_front_of
from tests.faults.world import Failed, World

LOAD_S = 60
SILENT_S = 20
"""Noticed within two ping intervals (10 s), and then made good for."""


TOGETHER, TOGETHER_S = 12, 8
"""Jobs, and seconds without an answer."""

BUSY = 4


@asynccontextmanager
async def _s3(world: World) -> AsyncIterator[S3Proxy]:
    """nats3 sees S3 through a proxy."""
    access = world.s3
    async with S3Proxy(access.endpoint, access.access, access.secret, access.region) as proxy:
        await _restart_over(world, s3=replace(access, endpoint=proxy.endpoint))
        yield proxy
        await _end_nodes(world)


@asynccontextmanager
async def _tcp(world: World, what: str) -> AsyncIterator[TcpProxy]:
    """nats3 sees NATS, Postgres or S3 through a proxy."""
    url = {"nats": world.servers.nats.url, "postgres": world.postgres_url, "s3": world.s3.endpoint}[what]
    async with in_front_of(url) as (proxy, moved):
        over = {"s3": replace(world.s3, endpoint=moved)} if what == "s3" else {f"{what}_url": moved}
        await _restart_over(world, **over)
        yield proxy
        await _end_nodes(world)


async def _restart_over(world: World, **over: object) -> None:
    await world.node.stop()
    world.nodes.clear()
    await world.node_over(**over).start()  # type: ignore[arg-type]


async def _end_nodes(world: World) -> None:
    """Before the proxy goes, so that it does not wait for a connection that is held open."""
    for node in world.nodes:
        await node.kill()


async def _both_ways(world: World, job: str, within: float = LOAD_S) -> None:
    """Wait for the store, load it, and check all of it."""
    await world.until_stored(job, within=within)
    found = await world.check_store(job)
    await world.make_target()
    load = await world.load()
    await world.until_word(load, "load", "Success", within)
    await world.check_load(checker.plan_of(found))


async def _with_s3_fault(world: World, fault: Fault, part: float, *, puts: bool = True, gets: bool = True) -> None:
    """That part of the requests meets the fault, through a store and a load; then never again."""
    async with _s3(world) as proxy:
        await world.make_stream()
        await world.publish(2000)
        chance = random.Random(world.seed).random
        if puts:
            proxy.share(fault, part, chance, is_put)
        if gets:
            proxy.share(fault, part, chance, is_get)
        job = await world.store(max_count=100)
        await _both_ways(world, job)
        world.note(f"{len(proxy.requests)} requests")


@row("F37", within=150)
async def s3_answers_500_at_30_percent(world: World) -> None:
    await _with_s3_fault(world, Answer(500, "InternalError"), 0.3)


@row("F37", within=150)
async def s3_says_slow_down_at_30_percent(world: World) -> None:
    await _with_s3_fault(world, Answer(503, "SlowDown"), 0.3)


@row("F37", within=150)
async def s3_answers_429_at_30_percent(world: World) -> None:
    await _with_s3_fault(world, Answer(429, "TooManyRequests"), 0.3)


@row("F38", within=150)
async def s3_puts_and_loses_the_answer(world: World) -> None:
    await _with_s3_fault(world, LoseAnswer(), 0.3, gets=False)


@row("F38", within=150)
async def s3_puts_and_answers_500(world: World) -> None:
    await _with_s3_fault(world, Answer(500, "InternalError", applied=True), 0.3, gets=False)


@row("F39", within=150)
async def s3_answers_409_to_conditional_puts(world: World) -> None:
    await _with_s3_fault(world, Answer(409, "ConditionalRequestConflict"), 0.3, gets=False)


@row("F40", within=150)
async def s3_stores_a_body_truncated_and_says_200(world: World) -> None:
    await _with_s3_fault(world, Rewrite(body=lambda body: body[: len(body) // 2], echo=True), 0.3, gets=False)


@row("F41", within=150)
async def s3_gives_bodies_truncated(world: World) -> None:
    await _with_s3_fault(world, Truncate(500), 0.3, puts=False)


@row("F41", within=150)
async def s3_gives_bodies_truncated_and_says_so(world: World) -> None:
    await _with_s3_fault(world, Truncate(500, honest=True), 0.1, puts=False)


@row("F41", within=150)
async def s3_gives_bodies_with_a_flipped_bit(world: World) -> None:
    await _with_s3_fault(world, FlipBit(700, 3), 0.2, puts=False)


@row("F43", within=150)
async def s3_denies_for_a_while(world: World) -> None:
    async with _s3(world) as proxy:
        await world.make_stream()
        await world.publish(500)
        proxy.always(Answer(403, "AccessDenied"))
        job = await world.store(max_count=100)
        await world.until_word(job, "store", "Failure", 30)
        world.note((await world.job(job))["reason"][:80])
        proxy.clear()
        await _both_ways(world, job)


@row("F43", within=150)
async def s3_says_that_the_clock_is_skewed_for_a_while(world: World) -> None:
    async with _s3(world) as proxy:
        await world.make_stream()
        await world.publish(500)
        job = await world.store(max_count=100)
        await world.until_stored(job)
        proxy.always(Answer(403, "RequestTimeTooSkewed"))
        await world.publish(500)
        await asyncio.sleep(5)
        proxy.clear()
        await _both_ways(world, job)


@row("F44", within=150)
async def a_store_that_knows_neither_conditions_nor_checksums(world: World) -> None:
    async with _s3(world) as proxy:
        proxy.always(Rewrite(drop=WEAK), is_put)
        await world.make_stream()
        await world.publish(2000)
        proxy.share(Rewrite(body=lambda body: body[:-1]), 0.2, random.Random(world.seed).random, is_put)
        job = await world.store(max_count=100)
        await _both_ways(world, job)


@row("F28", "F29", within=150)
async def s3_hangs(world: World) -> None:
    async with _s3(world) as proxy:
        await world.make_stream()
        await world.publish(1000)
        job = await world.store(max_count=100)
        await world.until_stored(job)
        proxy.next(Hang(), times=3, when=is_put)
        await world.publish(1000)
        took = await world.until_stored(job, within=120)
        world.note(f"all stored after {took:.1f} s")
        await world.check_store(job)


@row("F28", within=150)
async def jobs_of_one_store_wait_for_it_together(world: World) -> None:
    """They ask no oftener than one while nobody answers, and all flow again when somebody does."""
    async with _s3(world) as proxy:
        await world.make_stream()
        jobs = [await world.store(max_age="200ms", name=f"store-{world.name}-{number}") for number in range(TOGETHER)]
        await world.publish(100)
        for job in jobs:
            await world.until_stored(job)
        proxy.always(Late())
        await world.publish(100)
        for job in jobs:
            await world.until_degraded(job)
        before = proxy.count()
        await asyncio.sleep(TOGETHER_S)
        asked = proxy.count() - before
        proxy.clear()
        for job in jobs:
            await world.until_stored(job)
            await world.check_store(job)
        world.note(f"{TOGETHER} jobs asked {asked} times in {TOGETHER_S} s")
        if asked > 8 * TOGETHER_S:  # a question is sent twice where its connection is reset
            raise Failed(f"{TOGETHER} jobs asked {asked} times in {TOGETHER_S} s for a store that did not answer")


@row("F25", within=150)
async def busy_jobs_share_one_connection(world: World) -> None:
    """A server ends a connection on which more than 64 MB wait; each job alone would ask for as much as its memory takes."""
    await world.make_stream()
    await world.publish(150_000, size=900, within=60)
    limits = {"max_bytes": 20_000_000, "max_count": 10_000, "max_age": "1s"}
    jobs = [await world.store(limits=limits, name=f"store-{world.name}-{number}") for number in range(BUSY)]
    for job in jobs:
        await world.until_stored(job, within=90)
    await world.check_store(jobs[0], stream=False)
    lost = world.node.log.read_text("utf-8").count("NATS connection lost")
    world.verdict.need(lost == 0, f"the connection was lost {lost} times")
    world.hold()


async def _silenced(world: World, what: str) -> None:
    """While a store and a load are under way, all that is connected to it waits for ever; who connects anew is served."""
    async with _tcp(world, what) as proxy:
        await world.make_stream()
        await world.make_target()
        await world.publish(3000)
        job = await world.store(max_count=50)
        await world.until_stored(job)
        found = await world.check_store(job)
        load = await world.load(pace={"messages_per_s": 200})
        await world.until_count(world.target, 200)
        silent, began = proxy.silence(), monotonic()
        await world.publish(1000)
        took = await world.until_stored(job, within=60)
        await world.until_word(load, "load", "Success", 60)
        world.note(
            f"{silent} connections; all stored {took:.1f} s later, the load ended {monotonic() - began:.1f} s later"
        )
        if took > SILENT_S:
            raise Failed(f"stored only {took:.1f} s after the connections to {what} went silent")
        await world.check_load(checker.plan_of(found))
        await world.check_store(job)


@row("F29", within=150)
async def open_connections_to_nats_go_silent(world: World) -> None:
    await _silenced(world, "nats")


@row("F29", within=150)
async def open_connections_to_postgres_go_silent(world: World) -> None:
    await _silenced(world, "postgres")


@row("F29", within=150)
async def open_connections_to_s3_go_silent(world: World) -> None:
    await _silenced(world, "s3")


@row("F03", within=120)
async def killed_in_the_middle_of_a_put_that_lands_late(world: World) -> None:
    """The request reaches the store long after its sender is dead and its successor has gone on."""
    async with _s3(world) as proxy:
        await world.make_stream()
        await world.publish(3000)
        job = await world.store(max_count=100)
        await world.until_stored(job, 500)
        for _ in range(3):
            count = proxy.count(is_put)
            proxy.next(Late(), times=2, when=is_put)
            await world.publish(1000)
            async with asyncio.timeout(30):
                await proxy.until(lambda count=count: proxy.count(is_put) >= count + 2)
            await world.node.kill()
            await world.node.start()
            await proxy.land()
        await world.until_stored(job, within=60)
        await world.check_store(job)


@row("F28", within=150)
async def nats_flaps_every_two_seconds(world: World) -> None:
    async with _tcp(world, "nats") as proxy:
        await world.make_stream()
        await world.publish(6000)
        job = await world.store(max_count=50)
        for _ in range(5):
            await asyncio.sleep(1.5)
            proxy.reset()
            await proxy.refuse()
            await asyncio.sleep(0.5)
            await proxy.accept()
        await _both_ways(world, job)


@row("F28", within=150)
async def postgres_flaps_every_two_seconds(world: World) -> None:
    async with _tcp(world, "postgres") as proxy:
        await world.make_stream()
        await world.publish(6000)
        job = await world.store(max_count=50)
        for _ in range(5):
            await asyncio.sleep(1.5)
            proxy.reset()
            await proxy.refuse()
            await asyncio.sleep(0.5)
            await proxy.accept()
        await _both_ways(world, job)


@row("F28", "F29", within=150)
async def nats_answers_do_not_arrive_for_a_while(world: World) -> None:
    """One way only: what nats3 says arrives, what NATS says waits."""
    async with _tcp(world, "nats") as proxy:
        await world.make_stream()
        await world.publish(4000)
        job = await world.store(max_count=50)
        await world.until_stored(job, 200)
        proxy.hold(DOWN)
        await world.stays_running(job, "store", 20)
        proxy.resume()
        took = await world.until_stored(job)
        world.note(f"all stored {took:.1f} s after the return")
        await _both_ways(world, job)


@row("F09", within=150)
async def acknowledgements_are_lost_on_the_wire(world: World) -> None:
    """A work queue whose acks do not arrive: what comes again is known, acknowledged and dropped."""
    async with _tcp(world, "nats") as proxy:
        await world.make_stream(retention="workqueue")
        await world.publish(2000)
        job = await world.store(max_count=100, drain=True)
        for _ in range(3):
            await world.until_stored(job, len(world.ledger.entries) - 1500)
            proxy.hold(UP)
            await asyncio.sleep(0.3)
            proxy.reset()
            proxy.resume()
            await world.publish(500)
        await world.until_stored(job, within=60)
        await world.check_store(job, stream=False)

        async def empty() -> bool:
            return await world.count(world.source) == 0

        await world.until("the work queue is empty", empty, 30)


@row("F11", sample=True, within=150)
async def publish_acknowledgements_are_lost(world: World) -> None:
    """The connection dies with PubAcks in it, again and again: nothing is published twice."""
    async with _tcp(world, "nats") as proxy:
        await world.make_stream()
        await world.make_target()
        await world.publish(10_000)
        job = await world.store(max_count=500)
        await world.until_stored(job)
        found = await world.check_store(job)
        load = await world.load()
        for n in range(4):
            proxy.cut_after(DOWN, 60_000 + 20_000 * n)
            await world.until_count(world.target, min(9_000, 1500 * (n + 1)))
        await world.until_word(load, "load", "Success", 60)
        world.note(f"{proxy.accepted} connections")
        await world.check_load(checker.plan_of(found))


@row("F06", within=150)
async def a_commit_is_applied_and_its_reply_lost(world: World) -> None:
    """The line to Postgres dies behind what was sent, again and again: one event, never two."""
    async with _tcp(world, "postgres") as proxy:
        await world.make_stream()
        await world.publish(4000)
        chance = random.Random(world.seed)
        job = await world.store(max_count=40)
        for n in range(12):
            await world.until_stored(job, min(3900, 40 + 300 * n), 40)
            proxy.cut_after(DOWN, chance.randrange(50, 3000))
        await _both_ways(world, job)
        world.note(f"{proxy.accepted} connections")


@row("F30", within=150)
async def slow_lines(world: World) -> None:
    """Latency on every piece, little bandwidth."""
    async with _tcp(world, "nats") as proxy:
        for lane in proxy.lanes.values():
            lane.latency, lane.bandwidth = 0.1, 256 * 1024 / 8 * 4
        await world.make_stream()
        await world.publish(1000)
        job = await world.store(max_count=200)
        await _both_ways(world, job, 120)


@row("F25", within=150)
async def a_node_slower_than_its_producer(world: World) -> None:
    """S3 takes a fraction of a second per object: memory stays flat, nothing is lost."""
    async with _s3(world) as proxy:
        proxy.always(Delay(0.25), is_put)
        await world.make_stream()
        job = await world.store(max_count=500)
        await world.publish(1000)
        await world.until_stored(job)
        idle, most = resident(world.node.pid), 0
        await world.publish(20_000, size=2000)
        while (await world.job(job))["progress"]["messages"] < len(world.ledger.acknowledged):
            most = max(most, resident(world.node.pid))
            await asyncio.sleep(0.2)
        world.note(f"memory {idle >> 20} MiB before, {most >> 20} MiB at most")
        world.verdict.need(most - idle < 256 << 20, "memory grew by 256 MiB and more")
        await world.check_store(job)
