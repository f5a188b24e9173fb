"""Strange messages, and streams that change under a running job."""

from __future__ import annotations

import asyncio

from tests.faults import checker
from tests.faults.ledger import Raw
from tests.faults.registry import row
from tests.faults.world import World


def block(*lines: bytes) -> bytes:
    return b"NATS/1.0\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def odd(name: bytes) -> list[Raw]:
    """Everything that a client can be made to stumble over."""
    s = b"s." + name + b"."
    return [
        (s + b"plain", None, b"1"),
        (s + b"garbage7", b"garbage", b"2"),
        (s + b"garbage1", b"x", b"3"),
        (s + b"noend", b"NATS/1.0\r\nA: 1\r\n", b"4"),
        (s + b"status", block(b"Status: 404", b"Description: No Messages"), b"5"),
        (s + b"inline", b"NATS/1.0 404 No Messages\r\n\r\n", b"6"),
        (s + b"inline503", b"NATS/1.0 503\r\n\r\n", b"7"),
        (s + b"repeated", block(b"A: 1", b"a: 2", b"A: 3", b"A:"), b"8"),
        (s + b"latin", block(b"X: caf\xe9 \xff\xfe"), b"9"),
        (s + b"\xff\xfe\x80", None, b"10"),
        (s + "ünï.→".encode(), block("N: ü".encode()), b"11"),
        (s + b"x" * 3000, None, b"12"),
        (s + b"empty", None, b""),
        (s + b"onlyheader", block(b"A: 1"), b""),
        (s + b"emptyblock", block(), b"15"),
        (s + b"spaces", block(b"A:   1  ", b"B:\t2", b" C: 3"), b"16"),
        (s + b"nocolon", block(b"nocolon"), b"17"),
        (s + b"crlf", None, b"\r\nPUB x 1\r\n\r\nMSG"),
        (s + b"binary", None, bytes(range(256)) * 4),
        (s + b"bigheader", block(b"A: " + b"h" * 60_000), b"20"),
        (s + b"ours", block(b"Nats3-Stream: forged", b"Nats3-Orig-X: 1", b"Nats3-Header-Block: AAAA"), b"21"),
        (s + b"lf", b"NATS/1.0\nA: 1\n\n", b"22"),
        (s + b"double", b"NATS/1.0\r\n\r\nA: 1\r\n\r\n", b"23"),
        (s + b"nul", block(b"A: \0\x01\x7f"), b"\0" * 10),
    ]


@row("F51", "F52", "F53", sample=True)
async def odd_messages_come_back_byte_for_byte(world: World) -> None:
    await world.make_stream()
    await world.make_target()
    nats = await world.nats()
    await world.ledger.publish(nats, odd(world.name.encode()))
    await world.believe_the_stream()
    refused = world.ledger.unknown
    world.note(f"the server itself refused {[e.subject[-8:] for e in refused]}" if refused else "none refused")
    await world.publish(50)
    job = await world.store(max_count=7)
    await world.until_stored(job)
    found = await world.check_store(job)
    load = await world.load()
    await world.until_word(load, "load", "Success")
    await world.check_load(checker.plan_of(found))


@row("F51", "F52", "F53")
async def odd_messages_in_the_json_codec_to_their_own_subjects(world: World) -> None:
    await world.make_stream()
    nats = await world.nats()
    await world.ledger.publish(nats, odd(world.name.encode()))
    await world.believe_the_stream()
    job = await world.store(codec="json")
    await world.until_stored(job)
    found = await world.check_store(job)
    await nats.api(f"STREAM.DELETE.{world.source}")
    await world.make_target(subjects=[world.filter])
    load = await world.load(write_subject=None)
    await world.until_word(load, "load", "Success")
    await world.check_load(checker.plan_of(found), same=True)


CONTROL = [
    block(b"Nats-Rollup: sub"),
    block(b"Nats-Msg-Id: one"),
    block(b"Nats-Msg-Id: two", b"X: 1"),
    block(b"A: 1", b"Nats-TTL: 1h", b"B: 2"),
    block(b"Nats-Trace-Dest: somewhere"),
    block(b"Nats-Expected-Stream: {}"),
    block(b"Nats-Expected-Last-Sequence: 6"),
    block(b"nats-rollup: all"),
    block(b"Nats-Something-New: 1", b"Nats-Subject: x", b"Nats-Sequence: 5"),
]


@row("F55", sample=True)
async def control_headers_do_no_harm_at_the_target(world: World) -> None:
    await world.make_stream(allow_rollup_hdrs=True, deny_purge=False, allow_msg_ttl=True)
    await world.make_target(allow_rollup_hdrs=True, allow_msg_ttl=True)
    nats = await world.nats()
    subject = b"s.%b.control" % world.name.encode()
    raw = [(subject + b".%d" % n, b.replace(b"{}", world.source.encode()), b"%d" % n) for n, b in enumerate(CONTROL)]
    await world.ledger.publish(nats, raw)
    await world.believe_the_stream()
    world.note(f"the server refused {len(world.ledger.unknown)} of {len(raw)}")
    await world.publish(100)
    job = await world.store()
    await world.until_stored(job)
    found = await world.check_store(job)
    await nats.publish(world.write_subject.encode(), b"already there")
    load = await world.load()
    await world.until_word(load, "load", "Success")
    kept = await world.read(world.target)
    world.verdict.need(kept and kept[0].payload == b"already there", "the target was rolled up")
    checker.loaded(checker.plan_of(found), kept[1:], world.verdict, world.write_subject.encode())
    world.hold()


@row("F18", sample=True)
async def recreated_under_the_same_name_while_running(world: World) -> None:
    """The new life's data is stored although its seqs begin at 1 again; both lives stay."""
    await world.make_stream()
    await world.publish(500)
    job = await world.store()
    await world.until_stored(job)
    first = len(world.ledger.entries)
    nats = await world.nats()
    await nats.api(f"STREAM.DELETE.{world.source}")
    await world.make_stream()
    await world.publish(700)
    took = await world.until_stored(job, within=50)
    world.note(f"all of the new life stored after {took:.1f} s")
    found = await world.check_store(job)
    world.verdict.need(len(found.lives) == 2, f"{len(found.lives)} lives")
    world.verdict.need(sum(m.ordinal == 1 for m in found.messages) == first, "the first life's messages")
    await world.make_target()
    load = await world.load()
    await world.until_word(load, "load", "Success")
    await world.check_load(checker.plan_of(found))


@row("F18")
async def recreated_under_the_same_name_while_nats3_is_down(world: World) -> None:
    await world.make_stream()
    await world.publish(500)
    job = await world.store()
    await world.until_stored(job)
    await world.node.kill()
    nats = await world.nats()
    await nats.api(f"STREAM.DELETE.{world.source}")
    await world.make_stream()
    await world.publish(900)  # beyond the old cursor
    await world.node.start()
    await world.until_stored(job, within=40)
    found = await world.check_store(job)
    world.verdict.need(len(found.lives) == 2, f"{len(found.lives)} lives")
    await world.node.kill()
    await nats.api(f"STREAM.DELETE.{world.source}")
    await world.make_stream()
    await world.publish(100)  # below it
    await world.node.start()
    await world.until_stored(job, within=40)
    found = await world.check_store(job)
    world.verdict.need(len(found.lives) == 3, f"{len(found.lives)} lives")
    world.hold()


@row("F19")
async def purged_while_nats3_is_down(world: World) -> None:
    """What was purged unread is a recorded gap, exactly; what was read stays."""
    await world.make_stream()
    await world.publish(300)
    job = await world.store()
    await world.until_stored(job)
    await world.node.kill()
    await world.publish(200)
    nats = await world.nats()
    await nats.api(f"STREAM.PURGE.{world.source}")
    await world.publish(100)
    await world.node.start()
    await world.until_stored(job, 400)
    found = await asyncio.to_thread(world.archive, job)
    checker.stored(world.ledger.entries, found, world.verdict, lambda e: e.seq is not None and 300 < e.seq <= 500)
    world.verdict.need([gap[1:] for gap in found.gaps] == [(301, 500)], f"gaps {found.gaps}")
    world.hold()


@row("F19")
async def purged_while_running(world: World) -> None:
    await world.make_stream()
    await world.publish(300)
    job = await world.store()
    await world.until_stored(job)
    nats = await world.nats()
    await nats.api(f"STREAM.PURGE.{world.source}")
    await world.publish(300)
    await world.until_stored(job)
    found = await world.check_store(job)
    world.verdict.need(not found.gaps, f"gaps {found.gaps}")
    world.hold()


@row("F19")
async def messages_deleted_before_they_were_read_are_gaps(world: World) -> None:
    await world.make_stream()
    await world.publish(300)
    nats = await world.nats()
    for seq in (1, 7, 8, 9, 200, 300):
        await nats.api(f"STREAM.MSG.DELETE.{world.source}", {"seq": seq})
    await world.publish(10)
    job = await world.store(subject=">")
    await world.until_stored(job, 304)
    found = await asyncio.to_thread(world.archive, job)
    gone = {1, 7, 8, 9, 200, 300}
    checker.stored(world.ledger.entries, found, world.verdict, lambda e: e.seq in gone and e.seq != 1)
    world.verdict.wrong = [each for each in world.verdict.wrong if "[(0, 1)]" not in each]  # before the first bind
    gaps = sorted(gap[1:] for gap in found.gaps)
    world.verdict.need(gaps == [(7, 9), (200, 200), (300, 300)], f"gaps {gaps}")
    world.hold()


@row("F20")
async def a_stranger_deletes_the_consumer(world: World) -> None:
    await world.make_stream()
    await world.publish(500)
    job = await world.store()
    await world.until_stored(job)
    nats = await world.nats()
    for _ in range(3):
        for name in (await nats.api(f"CONSUMER.NAMES.{world.source}"))["consumers"]:
            await nats.api(f"CONSUMER.DELETE.{world.source}.{name}")
        await world.publish(300)
        await world.until_stored(job, within=40)
    await world.check_store(job)


@row("F20", within=90)
async def a_stranger_pulls_and_acknowledges_on_our_consumer(world: World) -> None:
    await world.make_stream()
    await world.publish(500)
    job = await world.store(max_age="500ms")
    await world.until_stored(job)
    nats = await world.nats()
    for _ in range(3):
        (name,) = (await nats.api(f"CONSUMER.NAMES.{world.source}"))["consumers"]
        # It takes its turn among the waiting pulls, so some of what comes goes to it.
        for _ in range(5):
            await nats.steal(world.source, name)
        await world.publish(300)
        await world.until_stored(job, within=60)
    await world.check_store(job)


@row("F21")
async def the_stream_is_edited_while_it_is_read(world: World) -> None:
    """More subjects, then other limits: the job goes on and what it wants is all there."""
    made = await world.make_stream()
    await world.publish(500)
    job = await world.store(subject=">")
    await world.until_stored(job)
    nats = await world.nats()
    config = made["config"]
    config["subjects"] = [*config["subjects"], f"more.{world.name}.>"]
    await nats.api(f"STREAM.UPDATE.{world.source}", config)
    await world.ledger.publish(nats, [(b"more.%b.%d" % (world.name.encode(), n), None, b"m%d" % n) for n in range(50)])
    config["max_msgs"] = 10_000
    await nats.api(f"STREAM.UPDATE.{world.source}", config)
    await world.publish(500)
    await world.until_stored(job, within=60)
    await world.check_store(job)


@row("F54")
async def a_target_that_takes_less_than_the_source(world: World) -> None:
    await world.make_stream()
    await world.make_target(max_msg_size=2000)
    await world.publish(50)
    nats = await world.nats()
    await world.ledger.publish(nats, [(b"s.%b.big" % world.name.encode(), None, b"x" * 5000)])
    await world.publish(49)
    job = await world.store()
    await world.until_stored(job)
    found = await world.check_store(job)
    load = await world.load()
    await world.until_word(load, "load", "Failure", 20)
    world.verdict.need(await world.count(world.target) == 0, "something of the chunk was published")
    config = (await nats.api(f"STREAM.INFO.{world.target}"))["config"]
    await nats.api(f"STREAM.UPDATE.{world.target}", {**config, "max_msg_size": -1})
    await world.until_word(load, "load", "Success", 75)
    await world.check_load(checker.plan_of(found))


@row("F21")
async def a_full_target_blocks_the_load_until_there_is_room(world: World) -> None:
    await world.make_stream()
    made = await world.make_target(max_msgs=300, discard="new")
    await world.publish(1000)
    job = await world.store()
    await world.until_stored(job)
    found = await world.check_store(job)
    load = await world.load()
    await world.until_word(load, "load", "Failure", 20)
    world.verdict.need(await world.count(world.target) <= 300, "more than the target takes")
    await (await world.nats()).api(f"STREAM.UPDATE.{world.target}", {**made["config"], "max_msgs": -1})
    await world.until_word(load, "load", "Success", 75)
    await world.check_load(checker.plan_of(found))


@row("F21")
async def the_target_is_deleted_and_made_again_during_a_load(world: World) -> None:
    """It says so and never calls it a success."""
    await world.make_stream()
    await world.make_target()
    await world.publish(500)
    job = await world.store(max_age="200ms")
    await world.until_stored(job)
    load = await world.load(poll_interval="200ms")
    await world.until_count(world.target, 500)
    nats = await world.nats()
    await nats.api(f"STREAM.DELETE.{world.target}")
    await world.make_target()
    await world.publish(500)
    await world.until_word(load, "load", "Failure", 40)
    reason = (await world.job(load))["reason"]
    world.verdict.need(reason.startswith("target_recreated"), reason)
    world.hold()
