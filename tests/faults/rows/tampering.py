"""Objects that vanish or change behind our back, and what a bucket's outage leaves."""

from __future__ import annotations

import asyncio
import random

from tests.faults import checker
from tests.faults.checker import Archive
from tests.faults.registry import row
from tests.faults.world import World

CHUNK = 100


async def _stored(world: World, count: int = 1000) -> Archive:
    await world.make_stream()
    await world.make_target()
    await world.publish(count)
    job = await world.store(max_count=CHUNK)
    await world.until_stored(job)
    return await world.check_store(job)


async def _never_success(world: World, load: str, most: int) -> None:
    """The load does not succeed, names the chunk, and has published nothing of the bad chunk or behind it."""
    await world.until_word(load, "load", "Failure", 40)
    job = await world.job(load)
    world.note(f"{job['state']}: {job['reason'][:60]}...")
    await asyncio.sleep(1)
    world.verdict.need(await world.word(load, "load") == "Failure", "not a failure any more")
    count = await world.count(world.target)
    world.verdict.need(count <= most, f"{count} messages are published, at most {most} may be")
    world.hold()


@row("F42", sample=True)
async def an_object_is_deleted_before_the_load(world: World) -> None:
    found = await _stored(world)
    key = found.rows[4]["key"]
    body = world.bucket.get(world.bucket_name, key)
    assert body is not None
    world.bucket.delete(world.bucket_name, key)
    load = await world.load()
    await _never_success(world, load, 4 * CHUNK)
    world.verdict.need(key in (await world.job(load))["reason"], "the reason does not name the chunk")
    world.bucket.put(world.bucket_name, key, body)
    took = await world.until_word(load, "load", "Success", 75)
    world.note(f"Success {took:.1f} s after it was put back")
    await world.check_load(checker.plan_of(found))


@row("F41", sample=True, within=90)
async def a_bit_flips_in_an_object(world: World) -> None:
    found = await _stored(world)
    chance = random.Random(world.seed)
    chunk = found.rows[chance.randrange(1, 9)]
    body = world.bucket.get(world.bucket_name, chunk["key"])
    assert body is not None
    at = chance.randrange(8 * len(body))
    bad = bytearray(body)
    bad[at // 8] ^= 1 << at % 8
    world.note(f"bit {at} of {8 * len(body)}")
    world.bucket.put(world.bucket_name, chunk["key"], bytes(bad))
    load = await world.load()
    await _never_success(world, load, chunk["first"] - 1)
    await world.call("POST", f"/load/job/resume?job_id={load}")
    await asyncio.sleep(2)
    await _never_success(world, load, chunk["first"] - 1)
    world.bucket.put(world.bucket_name, chunk["key"], body)
    await world.until_word(load, "load", "Success", 75)
    await world.check_load(checker.plan_of(found))


@row("F41", within=120)
async def a_bit_flips_in_each_part_of_an_object(world: World) -> None:
    """Header, frame, index, seek table: wherever it is, nothing of the chunk is published."""
    found = await _stored(world, 3 * CHUNK)
    chunk = found.rows[0]
    body = world.bucket.get(world.bucket_name, chunk["key"])
    assert body is not None
    loads = []
    for n, at in enumerate([9, 40, len(body) // 3, len(body) // 2, len(body) - 400, len(body) - 20, len(body) - 1]):
        bad = bytearray(body)
        bad[at] ^= 1 << n
        world.bucket.put(world.bucket_name, chunk["key"], bytes(bad))
        loads.append(await world.load())
        await _never_success(world, loads[-1], 0)
        await world.call("DELETE", f"/load/job?job_id={loads[-1]}")


@row("F42", within=90)
async def an_object_is_swapped_for_another_chunk(world: World) -> None:
    found = await _stored(world)
    third, fourth = (world.bucket.get(world.bucket_name, found.rows[n]["key"]) for n in (3, 4))
    assert third is not None
    assert fourth is not None
    world.bucket.put(world.bucket_name, found.rows[3]["key"], fourth)
    load = await world.load()
    await _never_success(world, load, 3 * CHUNK)
    world.bucket.put(world.bucket_name, found.rows[3]["key"], third)
    await world.until_word(load, "load", "Success", 75)
    await world.check_load(checker.plan_of(found))


@row("F42", within=90)
async def an_object_is_truncated(world: World) -> None:
    found = await _stored(world)
    key = found.rows[0]["key"]
    body = world.bucket.get(world.bucket_name, key)
    assert body is not None
    for cut in (len(body) - 1, len(body) // 2, 16, 0):
        world.bucket.put(world.bucket_name, key, body[:cut])
        load = await world.load()
        await _never_success(world, load, 0)
        await world.call("DELETE", f"/load/job?job_id={load}")


@row("F42", within=90)
async def a_bad_chunk_passed_over_by_order_is_no_success_either(world: World) -> None:
    found = await _stored(world)
    bad = found.rows[2]
    world.bucket.delete(world.bucket_name, bad["key"])
    load = await world.load(on_bad_chunk="quarantine")
    await world.until_word(load, "load", "Failure", 40)

    async def ended() -> bool:
        return (await world.job(load))["state"] == "completed_with_gaps"

    await world.until("the load ended with gaps", ended, 40)
    await world.check_load(checker.plan_of(found, lambda m: not bad["first"] <= m.seq <= bad["last"]))


@row("F42", within=90)
async def the_bucket_is_gone_and_comes_back_during_a_store(world: World) -> None:
    """A missing bucket blocks the job with the reason, is never made by us, and its return is enough."""
    await world.make_stream()
    await world.publish(300)
    job = await world.store(bucket=f"{world.bucket_name}-later")
    await world.until_word(job, "store", "Failure", 40)
    world.note((await world.job(job))["reason"][:80])
    await world.servers.s3.make_bucket(f"{world.bucket_name}-later")
    took = await world.until_stored(job, within=75)
    world.note(f"stored {took:.1f} s after the bucket was made")
    await world.check_store(job)
