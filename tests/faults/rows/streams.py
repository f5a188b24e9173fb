"""Streams that keep little, or change what they keep while they are read; messages as large as the server takes."""

from __future__ import annotations

import asyncio
import re

from tests.faults import checker
from tests.faults.checker import Archive
from tests.faults.plain_nats import Plain
from tests.faults.registry import row
from tests.faults.world import World


async def _accounted(world: World, job: str) -> Archive:
    """Every message is archived, or lies in a gap that is recorded; no gap holds one that is there to be read."""
    found = await asyncio.to_thread(world.archive, job)
    checker.stored(world.ledger.entries, found, world.verdict, lambda _: True)
    there = {kept.seq for kept in await world.read(world.source)} | {each.message.seq for each in found.messages}
    in_gaps = {seq for _, first, last in found.gaps for seq in range(first, last + 1)}
    world.verdict.none(sorted(there & in_gaps), "messages that are there are called gaps")
    world.note(f"{len(found.messages)} archived, {len(in_gaps)} in gaps")
    world.hold()
    return found


async def _until_accounted(world: World, job: str) -> None:
    """The last message of the stream is archived."""
    last = (await (await world.nats()).api(f"STREAM.INFO.{world.source}"))["state"]["last_seq"]

    async def reached() -> bool:
        rows = world.log.events(f"run/{job}")
        return any(each["type"] == "chunk_flushed" and each["data"]["last"] == last for each in rows)

    await world.until(f"seq {last} is archived", reached, 60)


@row("F21", within=120)
async def limits_become_interest_under_a_running_job(world: World) -> None:
    """The server takes the edit, and forgets what is acknowledged from then on: nothing may be lost for it."""
    made = await world.make_stream()
    await world.publish(500)
    job = await world.store()
    await world.until_stored(job)
    nats = await world.nats()
    await nats.api(f"STREAM.UPDATE.{world.source}", {**made["config"], "retention": "interest"})
    await world.publish(500)
    await world.until_stored(job, within=60)
    await world.node.kill()
    await world.publish(300)
    await world.node.start()
    await world.until_stored(job, within=60)

    async def kept_for_ever() -> bool:
        """Once bound anew to what is an interest stream, its consumer never runs out."""
        consumers = (await nats.api(f"CONSUMER.LIST.{world.source}"))["consumers"]
        return len(consumers) == 1 and not consumers[0]["config"].get("inactive_threshold")

    await world.until("it has a consumer for an interest stream", kept_for_ever, 45)

    async def empty() -> bool:
        return await world.count(world.source) == 0

    await world.until("all is acknowledged", empty)
    found = await world.check_store(job, stream=False)
    world.verdict.need(not found.gaps, f"gaps {found.gaps}")
    world.hold()


@row("F21", within=120)
async def a_slow_reader_of_a_stream_that_keeps_few_messages(world: World) -> None:
    """It is frozen while the stream drops what it has not read: that is a gap, and exactly that."""
    await world.make_stream(max_msgs=400)
    await world.publish(300)
    job = await world.store(subject=">")
    await world.until_stored(job)
    for _ in range(3):
        world.node.pause()
        await world.publish(1500)
        world.node.resume()
        await world.publish(100)
        await _until_accounted(world, job)
    await _accounted(world, job)


@row("F19", "F21", within=120)
async def a_slow_reader_of_a_part_of_a_stream_that_keeps_few_messages(world: World) -> None:
    """To a filter a jump of seqs says nothing: where the stream dropped messages, the log says that some may be missing."""
    await world.make_stream(max_msgs=400)
    wanted = f"s.{world.name}.1"
    await world.publish(300)
    job = await world.store(subject=wanted, max_age="300ms")

    async def archived() -> bool:
        mine = [each for each in world.ledger.acknowledged if each.subject == wanted.encode()]
        events = world.log.events(f"run/{job}")
        return any(each["type"] == "chunk_flushed" and each["data"]["last"] == mine[-1].seq for each in events)

    await world.until("the last one is archived", archived)
    events = world.log.events(f"run/{job}")
    world.verdict.need(not any("gap" in each["type"] for each in events), "a gap, where nothing was dropped")
    for _ in range(3):
        world.node.pause()
        await world.publish(1500)
        world.node.resume()
        await world.publish(100)
        await world.until("the last one is archived", archived)
    found = await asyncio.to_thread(world.archive, job)
    told = [each["data"] for each in world.log.events(f"run/{job}") if each["type"] in {"possible_gap", "gap_observed"}]
    found.gaps += [(each["life"], each["first"], each["last"]) for each in told]
    mine = [each for each in world.ledger.entries if each.subject == wanted.encode()]
    checker.stored(mine, found, world.verdict, lambda _: True)
    world.note(f"{len(found.messages)} of {len(mine)} archived, {len(told)} times told that some may be missing")
    world.hold()


@row("F20", within=120)
async def a_stranger_acknowledges_what_an_interest_stream_has_for_us(world: World) -> None:
    """What it took is gone for ever; that is a gap in the log, and nothing else is missing."""
    await world.make_stream(retention="interest")
    job = await world.store(subject=">", max_age="500ms")
    await world.until_bound()
    await world.publish(300)
    await world.until_stored(job)
    nats = await world.nats()
    for _ in range(2):
        (name,) = (await nats.api(f"CONSUMER.NAMES.{world.source}"))["consumers"]
        world.node.pause()
        await world.publish(100)
        given = (await nats.api(f"CONSUMER.INFO.{world.source}.{name}"))["delivered"]
        place = f"1.{given['stream_seq']}.{given['consumer_seq']}.0.0"
        await nats.request(f"$JS.ACK.{world.source}.{name}.{place}".encode(), b"+ACK")
        await world.node.kill()
        await world.node.start()
        await world.publish(100)
        await _until_accounted(world, job)
    found = await _accounted(world, job)
    world.verdict.need([gap[1:] for gap in found.gaps] == [(301, 400), (501, 600)], f"gaps {found.gaps}")
    world.hold()


@row("F21", within=120)
async def a_bucket_of_keys_that_keeps_one_value_each(world: World) -> None:
    """Values that were overwritten before they were read are gaps, and exactly those; the last of each key is archived."""
    await world.make_stream(max_msgs_per_subject=1)
    nats, subject = await world.nats(), b"s.%b.k%%d" % world.name.encode()
    job = await world.store(subject=">", max_age="300ms")
    await world.until_bound()
    for n in range(4):
        await world.ledger.publish(nats, [(subject % (k % 37), None, b"%d.%d" % (n, k)) for k in range(500)])
        await _until_accounted(world, job)
        world.node.pause()
        await world.ledger.publish(nats, [(subject % (k % 41), None, b"%d.%d asleep" % (n, k)) for k in range(500)])
        world.node.resume()
        await _until_accounted(world, job)
    found = await _accounted(world, job)
    archived = {(each.message.subject, each.message.payload) for each in found.messages}
    values = [(kept.subject, kept.payload) for kept in await world.read(world.source)]
    world.verdict.none([value for value in values if value not in archived], "values are not archived")
    world.hold()


MOST = 1024 * 1024
"""The server's max_payload, as it comes."""


@row("F54", within=120)
async def a_payload_as_large_as_the_server_takes(world: World) -> None:
    """It is archived, one byte more is not even taken. What with our lines is as large is published, and one byte more is said
    before anything is sent.
    """
    await world.make_stream()
    await world.make_target()
    await world.publish(20)
    nats, subject = await world.nats(), b"s.%b.most" % world.name.encode()
    await world.ledger.publish(nats, [(subject, None, b"m" * MOST)])
    async with await Plain.connect(world.servers.nats.url) as other:
        acks = await other.publish_all([(subject, None, b"m" * (MOST + 1))], within=2.0)
    world.verdict.need(acks == [None], "the server took one byte more")
    job = await world.store(limits={"max_bytes": 4_000_000, "max_count": 100, "max_age": "1s"})
    await world.until_stored(job)
    added = await _too_large(world, from_seq=1) - MOST
    await world.ledger.publish(
        nats, [(subject, None, b"f" * (MOST - added)), (subject, None, b"f" * (MOST - added + 1))]
    )
    await world.until_stored(job)
    found = await world.check_store(job)
    load = await world.load(name="fits", from_seq=22, to_seq=22)
    await world.until_word(load, "load", "Success")
    size = await _too_large(world, from_seq=23)
    world.verdict.need(size == MOST + 1, f"{size} bytes")
    await world.check_load(checker.plan_of(found)[21:22])


async def _too_large(world: World, from_seq: int) -> int:
    """A load from there is blocked by a message of so many bytes, and publishes nothing."""
    before = await world.count(world.target)
    load = await world.load(name=f"from-{from_seq}", from_seq=from_seq)
    await world.until_word(load, "load", "Failure", 20)
    reason = (await world.job(load))["reason"]
    said = re.match(r"message_too_large: .* has (\d+) bytes", reason)
    world.verdict.need(said is not None, reason)
    world.verdict.need(await world.count(world.target) == before, "something of the chunk was published")
    world.hold()
    assert said is not None
    await world.call("DELETE", f"/api/v2/jobs/{load}")
    return int(said[1])
