"""Objects and index rows that an attacker wrote together: whole in form and hash, hostile in content."""

from __future__ import annotations

import random
from hashlib import sha256
from typing import Any

import psycopg

from tests.faults import chunk_reader, forge
from tests.faults.forge import Parts, apart, together
from tests.faults.registry import row
from tests.faults.servers import resident
from tests.faults.world import World

MOST_MORE = 64 << 20
BOMB = 1 << 30


async def _archive(world: World) -> dict[str, Any]:
    """One chunk of a hundred messages; its recorded fields."""
    await world.make_stream()
    await world.publish(100)
    job = await world.store(max_count=100)
    await world.until_stored(job)
    return (await world.check_store(job)).rows[0]


def _forge(world: World, recorded: dict[str, Any], body: bytes, **fields: Any) -> None:
    """Object and index row agree in everything that the row says of the object."""
    world.bucket.put(world.bucket_name, recorded["key"], body)
    told = {"sha256": sha256(body).hexdigest(), "stored_bytes": len(body), **fields}
    columns = ", ".join(f"{name} = %s" for name in told)
    with psycopg.connect(world.postgres_url, autocommit=True) as connection:
        connection.execute(f"UPDATE chunks SET {columns} WHERE key = %s".encode(), [*told.values(), recorded["key"]])


async def _refused(world: World, code: str, **order: Any) -> None:
    """The load does not succeed, publishes nothing, and the node lives on."""
    load = await world.load(name=f"load-{random.SystemRandom().randrange(1 << 40):x}", **order)
    await world.until_word(load, "load", "Failure", 40)
    job = await world.job(load)
    world.verdict.need(job["reason"].startswith(code), f"{code} was expected: {job['reason'][:200]}")
    world.verdict.need(await world.count(world.target) == 0, "something was published")
    await world.call("DELETE", f"/load/job?job_id={load}")
    world.hold()


def _body(world: World, recorded: dict[str, Any]) -> bytes:
    body = world.bucket.get(world.bucket_name, recorded["key"])
    assert body is not None
    return body


@row("F56", within=90)
async def forged_subjects_are_not_published_to(world: World) -> None:
    recorded = await _archive(world)
    real = apart(_body(world, recorded))
    await world.make_target(subjects=["t.>"])
    for subject in (
        b"$JS.API.STREAM.DELETE.T",
        b"a\r\nPUB t.x 1\r\n\r\nx\r\n",
        b"t.*",
        b"t.>",
        b"t. x",
        b"_INBOX.a",
        b"t\0",
    ):
        made = forge.with_subject(real, subject)
        _forge(
            world,
            recorded,
            together(made),
            content_sha256=made.header["content_sha256"],
            last_fingerprint=made.header["last_fingerprint"],
        )
        await _refused(world, "", write_subject=None, read_subject=">")
    world.note("7 subjects")


@row("F42", "F58", within=90)
async def a_whole_chunk_of_another_place_is_refused_although_its_hash_fits(world: World) -> None:
    await world.make_stream()
    await world.make_target()
    await world.publish(200)
    job = await world.store(max_count=100)
    await world.until_stored(job)
    first, second = (await world.check_store(job)).rows
    names = ("content_sha256", "last_fingerprint", "raw_bytes")
    _forge(world, second, _body(world, first), **{name: first[name] for name in names})
    await _refused(world, "chunk_corrupt", from_seq=second["first"])


@row("F57", within=120)
async def decompression_bombs_are_refused_and_take_no_memory(world: World) -> None:
    recorded = await _archive(world)
    real = apart(_body(world, recorded))
    await world.make_target()
    idle = resident(world.node.pid)
    bomb = forge.frame_of(bytes(BOMB), 19)
    nested = forge.frame_of(bomb)
    row_of = real.frames[0][1]
    most = 0
    for stored, claimed in ((bomb, BOMB), (bomb, row_of[1]), (bomb, 96 << 20), (nested, len(bomb))):
        header = {**real.header, "raw_bytes": claimed}
        body = together(Parts(header, [(stored, [len(stored), claimed, *row_of[2:]])]))
        _forge(world, recorded, body, raw_bytes=claimed)
        await _refused(world, "chunk_corrupt")
        most = max(most, resident(world.node.pid))
    world.note(f"{len(bomb)} bytes for 1 GiB; memory {idle >> 20} MiB before, {most >> 20} MiB at most")
    world.verdict.need(most - idle < MOST_MORE, f"memory grew by {(most - idle) >> 20} MiB")
    world.hold()


@row("F58", within=150)
async def forged_counts_lengths_and_cut_objects_are_corrupt_and_nothing_else(world: World) -> None:
    recorded = await _archive(world)
    real, chance = apart(_body(world, recorded)), random.Random(world.seed)
    await world.make_target()
    body = _body(world, recorded)
    hostile = [body[: chance.randrange(len(body))] for _ in range(3)]
    for name, value in (("count", 1 << 40), ("first", 0), ("last", 2**64 - 1), ("raw_bytes", 2**63), ("gaps", [1, -1])):
        hostile.append(together(Parts({**real.header, name: value}, real.frames)))
    raw = forge.raw_of(real.frames[0][0])
    hostile += [
        together(forge.with_raw(real, made)) for made in (raw[:-1], b"\xdd\xff\xff\xff\xff" + raw, b"\xc1" * 99)
    ]
    for made in hostile:
        _forge(world, recorded, made)
        await _refused(world, "chunk_corrupt")
    try:
        chunk_reader.read(hostile[-1])
    except chunk_reader.NotWhole:
        world.note(f"{len(hostile)} objects")
    world.hold()
