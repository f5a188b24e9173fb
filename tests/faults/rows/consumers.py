"""The consumer of a store job, and what a bind has to put up with: other people's edits, limits, late owners."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any

from tests.faults.plain_nats import Refused
from tests.faults.registry import Skipped, row
from tests.faults.world import World

HOUR = 3600 * 1_000_000_000


async def _struck(world: World, failpoints: str) -> None:
    """Another node takes the place of the first, and will die or freeze where `failpoints` say."""
    await world.node.kill()
    armed = world.node_over(NATS3_FAILPOINTS=failpoints, NATS3_FAILPOINTS_ALLOWED="true")
    await armed.start()
    world.nodes.insert(0, world.nodes.pop())


async def _until_dead(world: World) -> None:
    node = world.node

    async def dead() -> bool:
        return not node.running

    await world.until("the node has died", dead)


async def _succeeded(world: World) -> None:
    """A node without failpoints takes the place of the last one."""
    node = world.node_over()
    await node.start()
    world.nodes.insert(0, world.nodes.pop())


@row("F07", within=120)
async def a_work_queue_gives_much_again_that_is_archived(world: World) -> None:
    """20,000 messages are recorded and not acknowledged: after the restart that is made good at once."""
    await world.make_stream(retention="workqueue")
    await _struck(world, "store.after_append=kill@1")
    job = await world.store(drain=True, limits={"max_bytes": 50_000_000, "max_count": 20_000, "max_age": "30s"})
    await world.until_bound()
    await world.publish(20_000)
    await _until_dead(world)
    await world.publish(10)
    began = monotonic()
    await _succeeded(world)
    up = monotonic() - began

    async def acknowledged() -> bool:
        return await world.count(world.source) <= 10

    took = await world.until("what was archived is acknowledged", acknowledged)
    world.note(f"up after {up:.1f} s, acknowledged {took:.1f} s later")
    world.verdict.need(took <= 10, f"it took {took:.1f} s")
    await world.until_stored(job, within=45)
    await world.check_store(job, stream=False)


async def _consumer(world: World) -> str:
    """The name of the only one that the source has."""

    async def one() -> list[str] | None:
        names: list[str] = (await (await world.nats()).api(f"CONSUMER.NAMES.{world.source}"))["consumers"]
        found[:] = names
        return names if len(names) == 1 else None

    found: list[str] = []
    await world.until("there is one consumer", one)
    return found[0]


async def _edit(world: World, **changes: Any) -> None:
    """A stranger's update of the job's consumer."""
    nats, name = await world.nats(), await _consumer(world)
    config = {**(await nats.api(f"CONSUMER.INFO.{world.source}.{name}"))["config"], **changes}
    action = f"CONSUMER.CREATE.{world.source}.{name}.{config['filter_subject']}"
    await nats.api(action, {"stream_name": world.source, "config": config, "action": "update"})


@row("F20", sample=True, within=150)
async def a_stranger_edits_the_consumer(world: World) -> None:
    """A narrower filter, no payloads, a pause: nothing is lost, altered or called a gap, and it flows on by itself."""
    await world.make_stream()
    await world.publish(200)
    job = await world.store(max_age="500ms", subject=world.filter)
    await world.until_stored(job)
    await _edit(world, filter_subject=f"s.{world.name}.1")
    await world.publish(700)
    world.note(f"another filter: all stored after {await world.until_stored(job, within=45):.1f} s")
    await _edit(world, headers_only=True)
    await world.publish(200)
    world.note(f"no payloads: all stored after {await world.until_stored(job, within=45):.1f} s")
    until = {"pause_until": "2099-01-01T00:00:00Z"}
    await (await world.nats()).api(f"CONSUMER.PAUSE.{world.source}.{await _consumer(world)}", until)
    await world.publish(200)
    world.note(f"a pause: all stored after {await world.until_stored(job, within=45):.1f} s")
    found = await world.check_store(job)
    world.verdict.need(not found.gaps, f"gaps {found.gaps}")
    world.hold()


@row("F20", within=90)
async def a_stranger_resets_the_consumer(world: World) -> None:
    """Forward, over messages that are not there yet."""
    await world.make_stream()
    await world.publish(200)
    job = await world.store(max_age="500ms")
    await world.until_stored(job)
    nats = await world.nats()
    for _ in range(3):
        seq = len(world.ledger.acknowledged) + 51
        try:
            await nats.api(f"CONSUMER.RESET.{world.source}.{await _consumer(world)}", {"seq": seq})
        except (Refused, TimeoutError) as refused:
            raise Skipped(f"this server resets no consumer: {refused}") from refused
        await world.publish(100)
        await world.until_stored(job, within=45)
    found = await world.check_store(job)
    world.verdict.need(not found.gaps, f"gaps {found.gaps}")
    world.hold()


@row("F47", within=150)
async def a_frozen_owner_makes_its_consumer_late(world: World) -> None:
    """It is taken over in the middle of its bind and woken up: on an interest stream its consumer would keep messages for ever."""
    await world.make_stream(retention="interest")
    job = await world.store(max_age="300ms")
    await world.until_bound()
    await world.publish(100)
    await world.until_stored(job)
    await world.node.kill()
    frozen = world.node_over(NATS3_FAILPOINTS="bind.after_gap=stop@1", NATS3_FAILPOINTS_ALLOWED="true")
    try:
        async with asyncio.timeout(20):
            await frozen.start()
    except (TimeoutError, OSError, RuntimeError) as late:  # it may freeze before it answers
        world.note(f"frozen while it started: {type(late).__name__}")
    await _succeeded(world)
    await world.publish(100)
    await world.until_stored(job, within=60)
    frozen.resume()

    async def two() -> bool:
        return len((await (await world.nats()).api(f"CONSUMER.NAMES.{world.source}"))["consumers"]) == 2

    await world.until("the late consumer is there", two)
    await world.publish(100)
    await world.until_stored(job)

    async def empty() -> bool:
        return await world.count(world.source) == 0

    took = await world.until("nothing that is archived is kept", empty, 45)
    world.note(f"let go after {took:.1f} s")
    await world.check_store(job, stream=False)


@row(within=90)
async def a_stream_with_room_for_one_consumer(world: World) -> None:
    """A crash leaves one behind: on limits it goes first, on interest the job says what to change."""
    await world.make_stream(max_consumers=1)
    await world.publish(50)
    job = await world.store()
    await world.until_stored(job)
    await world.node.kill()
    await world.node.start()
    await world.publish(50)
    await world.until_stored(job)
    await world.check_store(job, stream=False)  # to read it takes a consumer as well
    made = await world.make_stream(world.target, retention="interest", max_consumers=1)
    other = await world.store(name="interest", prefix="interest", stream=world.target, max_age="300ms")

    async def bound() -> bool:
        return len((await (await world.nats()).api(f"CONSUMER.NAMES.{world.target}"))["consumers"]) == 1

    await world.until("it is bound", bound)
    await world.node.kill()
    nats = await world.nats()
    await nats.publish(world.write_subject.encode(), b"while nats3 was away")
    await world.node.start()
    await world.until_word(other, "store", "Failure")
    reason = (await world.job(other))["reason"]
    world.verdict.need("max_consumers" in reason, reason)
    await nats.api(f"STREAM.UPDATE.{world.target}", {**made["config"], "max_consumers": 2})
    await world.until_stored(other, 1)
    world.hold()


@row(within=60)
async def a_stream_that_limits_its_consumers(world: World) -> None:
    await world.make_stream(consumer_limits={"inactive_threshold": HOUR, "max_ack_pending": 100})
    await world.publish(1000)
    job = await world.store(max_count=1000)
    took = await world.until_stored(job)
    world.note(f"stored after {took:.1f} s")
    config = (await (await world.nats()).api(f"CONSUMER.INFO.{world.source}.{await _consumer(world)}"))["config"]
    allowed = (config["inactive_threshold"], config["max_ack_pending"])
    world.verdict.need(allowed == (HOUR, 100), f"the consumer has {allowed}")
    await world.check_store(job)


@row("F42", within=90)
async def a_chunk_is_missing_that_the_stream_is_recognised_by(world: World) -> None:
    """The job says which, and goes on when it is back."""
    await world.make_stream(max_msgs_per_subject=1)
    nats, subject = await world.nats(), b"s.%b.k%%d" % world.name.encode()
    await world.ledger.publish(nats, [(subject % n, None, b"v%d" % n) for n in range(10)])
    job = await world.store(max_age="500ms")
    await world.until_stored(job, 10)
    await world.node.kill()
    (key,) = (each for each in world.bucket.keys(world.bucket_name) if each.endswith(".n3c"))
    body = world.bucket.get(world.bucket_name, key)
    world.bucket.delete(world.bucket_name, key)
    await world.ledger.publish(nats, [(subject % 9, None, b"new")])
    await world.node.start()
    await world.until_word(job, "store", "Failure")
    reason = (await world.job(job))["reason"]
    world.verdict.need(reason.startswith("chunk_missing") and key in reason, reason)
    await asyncio.sleep(12)
    world.verdict.need((await world.job(job))["state"] == "blocked", "it is not blocked any more")
    world.bucket.put(world.bucket_name, key, body)
    world.note(f"flows {await world.until_stored(job):.1f} s after it was put back")
    await world.check_store(job, stream=False)


@row("F41", "F07", within=90)
async def a_chunk_is_corrupt_that_a_work_queue_gives_again(world: World) -> None:
    """Nothing is acknowledged by bytes that cannot be compared; whole again, all is."""
    await world.make_stream(retention="workqueue")
    await _struck(world, "store.after_append=kill@1")
    job = await world.store(drain=True, max_count=100)
    await world.until_bound()
    await world.publish(100)
    await _until_dead(world)
    key = next(each for each in world.bucket.keys(world.bucket_name) if each.endswith(".n3c"))
    body = world.bucket.get(world.bucket_name, key) or b""
    middle = len(body) // 2
    world.bucket.put(world.bucket_name, key, body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :])
    await _succeeded(world)
    await world.until_word(job, "store", "Failure")
    reason = (await world.job(job))["reason"]
    world.verdict.need(reason.startswith("chunk_corrupt") and key in reason, reason)
    await asyncio.sleep(12)
    world.verdict.need(await world.count(world.source) == 100, "something was acknowledged")
    world.bucket.put(world.bucket_name, key, body)

    async def empty() -> bool:
        return await world.count(world.source) == 0

    await world.until("all is acknowledged", empty)
    await world.until_stored(job)
    await world.check_store(job, stream=False)
