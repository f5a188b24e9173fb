"""Servers that come back with an older state than they had, and authority that flaps."""

from __future__ import annotations

import asyncio
import subprocess
from collections import Counter
from pathlib import Path

import psycopg

from tests.faults import checker
from tests.faults.backup import backup, restore
from tests.faults.registry import row
from tests.faults.world import World


async def _copy(old: Path, new: Path) -> None:
    """Owners and times stay: Postgres looks at them."""
    await asyncio.to_thread(subprocess.run, ["rm", "-rf", str(new)], check=True)
    await asyncio.to_thread(subprocess.run, ["cp", "-a", str(old), str(new)], check=True)


@row("F16", sample=True, within=120)
async def nats_comes_back_from_an_older_copy(world: World) -> None:
    """Seqs are used again for other messages: both are kept, each in its life, and nothing twice."""
    nats_server = world.servers.nats
    files, copy = nats_server.directory / "jetstream", world.directory / "jetstream"
    await world.make_stream()
    await world.publish(500)
    job = await world.store()
    await world.until_stored(job)
    await nats_server.kill()
    await _copy(files, copy)
    await nats_server.start()
    await world.publish(500)
    await world.until_stored(job)
    await nats_server.kill()
    await _copy(copy, files)
    await nats_server.start()
    await world.publish(800)  # beyond where it was
    await world.until_stored(job, within=60)
    found = await world.check_store(job, stream=False)
    life = found.lives[-1]
    world.verdict.need(len(found.lives) == 2, f"{len(found.lives)} lives")
    world.verdict.need(life["cursor"] == 500, f"the new life begins behind {life['cursor']}")
    kept = [each for each in await world.read(world.source) if each.seq > life["cursor"]]
    checker.as_in_stream(kept, found, world.verdict, life["ordinal"])
    world.hold()
    await world.make_target()
    load = await world.load()
    await world.until_word(load, "load", "Success")
    await world.check_load(checker.plan_of(found))


@row("F16", within=120)
async def nats_comes_back_from_an_older_copy_while_nats3_is_down(world: World) -> None:
    nats_server = world.servers.nats
    files, copy = nats_server.directory / "jetstream", world.directory / "jetstream"
    await world.make_stream()
    await world.publish(500)
    job = await world.store()
    await world.until_stored(job)
    await nats_server.kill()
    await _copy(files, copy)
    await nats_server.start()
    await world.publish(500)
    await world.until_stored(job)
    await world.node.kill()
    await nats_server.kill()
    await _copy(copy, files)
    await nats_server.start()
    await world.publish(200)  # below where it was
    await world.node.start()
    await world.until_stored(job, within=60)
    await world.publish(900)
    await world.until_stored(job, within=60)
    found = await world.check_store(job, stream=False)
    world.verdict.need(len(found.lives) == 2, f"{len(found.lives)} lives")
    world.hold()


@row("F16", sample=True, within=120)
async def three_jobs_around_a_restore_of_their_stream(world: World) -> None:
    """One had archived no more than the backup held, one had gone on, one is ordered later. A load of all publishes each message once."""
    await world.make_stream()
    await world.make_target()
    nats = await world.nats()
    await world.publish(400)
    slow, quick = await world.store(name="slow"), await world.store(name="quick")
    await world.until_stored(slow)
    await world.call("POST", f"/store/job/pause?job_id={slow}")
    saved = await backup(world.servers.nats.url, world.source)
    await world.publish(300)
    await world.until_stored(quick)
    await nats.api(f"STREAM.DELETE.{world.source}")
    await restore(world.servers.nats.url, saved)
    await world.publish(500)
    await world.call("POST", f"/store/job/resume?job_id={slow}")
    late = await world.store(name="late")
    await world.until_stored(quick, within=60)
    for job in (slow, late):
        await world.until_stored(job, 900, within=60)
    load = await world.load()
    await world.until_word(load, "load", "Success")
    published = Counter(entry.payload for entry in world.ledger.entries)
    found = Counter(kept.payload for kept in await world.read(world.target))
    world.verdict.need(found == published, f"{(published - found).total()} lost, {(found - published).total()} twice")
    world.hold()


@row("F32", sample=True, within=120)
async def postgres_comes_back_from_an_older_copy(world: World) -> None:
    """The bucket is the witness: chunks that the log has forgotten are adopted."""
    postgres = world.servers.postgres
    assert postgres._cluster is not None
    data, copy = postgres._cluster.data, postgres.directory / "older"
    await world.make_stream()
    await world.make_target()
    await world.publish(500)
    job = await world.store()
    await world.until_stored(job)
    await world.node.stop()
    await postgres.stop()
    await _copy(data, copy)
    await postgres.start()
    await world.node.start()
    await world.publish(1000)
    await world.until_stored(job)
    await world.node.kill()
    await postgres.kill()
    await _copy(copy, data)
    await postgres.start()
    before = sum(event["type"] == "chunk_flushed" for event in world.log.events(f"run/{job}"))
    await world.node.start()
    await world.until_stored(job, within=60)
    await world.publish(300)
    await world.until_stored(job)
    found = await world.check_store(job)
    world.note(f"{before} chunks were known, {sum(bool(r['adopted_from']) for r in found.rows)} adopted")
    world.verdict.need(len(found.lives) == 1, "the life did not go on")
    load = await world.load()
    await world.until_word(load, "load", "Success")
    await world.check_load(checker.plan_of(found))


@row("F16", within=150)
async def the_target_of_a_load_comes_back_from_an_older_copy(world: World) -> None:
    """What the target had acknowledged and then forgot is published again, from the last message that it still has."""
    nats_server = world.servers.nats
    files, copy = nats_server.directory / "jetstream", world.directory / "jetstream"
    await world.make_stream()
    await world.make_target()
    await world.publish(2000)
    job = await world.store()
    await world.until_stored(job)
    await world.call("POST", f"/store/job/pause?job_id={job}")  # of its stream too there will be an older copy
    found = await world.check_store(job)
    load = await world.load(poll_interval="200ms", limit=None)
    await world.until_count(world.target, 2000)
    await world.call("POST", f"/load/job/pause?job_id={load}")
    await world.until_word(load, "load", "Paused")
    await nats_server.kill()
    await _copy(files, copy)
    await nats_server.start()
    await world.call("POST", f"/store/job/resume?job_id={job}")
    await world.call("POST", f"/load/job/resume?job_id={load}")
    await world.publish(1500)
    await world.until_stored(job)
    await world.call("POST", f"/store/job/pause?job_id={job}")
    found = await world.check_store(job)
    await world.until_count(world.target, 3500)
    await nats_server.kill()
    await _copy(copy, files)
    await nats_server.start()
    took = await world.until_count(world.target, 3500, 60)
    world.note(f"all of it was there again after {took:.1f} s")
    await world.check_load(checker.plan_of(found))


@row("F22")
async def a_mirror_is_archived_with_the_times_of_its_source(world: World) -> None:
    await world.make_stream()
    nats = await world.nats()
    mirror = f"M{world.name}"
    await nats.api(f"STREAM.CREATE.{mirror}", {"name": mirror, "mirror": {"name": world.source}})
    await world.publish(1000)
    job = await world.store(stream=mirror)
    await world.until_stored(job)
    await nats.api(f"STREAM.DELETE.{world.source}")
    config = (await nats.api(f"STREAM.INFO.{mirror}"))["config"]
    del config["mirror"]
    await nats.api(f"STREAM.UPDATE.{mirror}", {**config, "subjects": [world.filter]})
    await world.publish(500)
    await world.until_stored(job, within=60)
    found = await world.check_store(job, stream=False)
    checker.as_in_stream(await world.read(mirror), found, world.verdict)
    world.hold()


@row("F50", within=120)
async def leases_run_out_again_and_again(world: World) -> None:
    """Two nodes that lose their leases every two seconds still make progress, and never both write."""
    await world.node_over().start()
    await world.make_stream()
    job = await world.store(max_count=50)
    for _ in range(10):
        await world.publish(300)
        await asyncio.sleep(2)
        with psycopg.connect(world.postgres_url, autocommit=True) as connection:
            connection.execute("UPDATE es.node SET lease_until = clock_timestamp() - interval '1 second'")
    await world.until_stored(job, within=60)
    await world.check_store(job)


@row("F36", within=60)
async def statements_are_cancelled_again_and_again(world: World) -> None:
    await world.make_stream()
    await world.publish(5000)
    job = await world.store(max_count=50)

    async def cancelled_meanwhile() -> None:
        while True:
            await asyncio.to_thread(
                world.log.ask,
                "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid() AND state = 'active'",
            )
            await asyncio.sleep(0.02)

    async with asyncio.TaskGroup() as tasks:
        cancelling = tasks.create_task(cancelled_meanwhile())
        await asyncio.sleep(8)
        cancelling.cancel()
    await world.until_stored(job)
    await world.check_store(job)


@row("F66", within=90)
async def views_are_emptied_and_folded_again(world: World) -> None:
    """What a view says follows from the log alone: a node that finds other checkpoints makes it anew."""
    await world.make_stream()
    await world.publish(2000)
    job = await world.store(max_count=50)
    await world.until_stored(job)
    await world.node.stop()
    before = world.log.view(job)
    with psycopg.connect(world.postgres_url, autocommit=True) as connection:
        connection.execute("UPDATE es.projection SET position = 0")
        for (table,) in connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename LIKE '%\\_\\_v%'"
        ).fetchall():
            connection.execute(f'TRUNCATE "{table}"'.encode())
    await world.node.start()
    await world.publish(500)
    await world.until_stored(job)
    await world.check_store(job)
    world.verdict.need(world.log.view(job)[: len(before)] == before, "the view was folded to something else")
    world.hold()


HOLD = """
CREATE FUNCTION es.hold_commit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN PERFORM pg_advisory_xact_lock(99); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER hold_commit AFTER INSERT ON es.event DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION es.hold_commit();
"""


async def _killed_between_insert_and_commit(world: World, *, commits: bool) -> None:
    """A trigger of ours holds every commit while we hold a lock; the node dies meanwhile."""
    await world.make_stream()
    await world.publish(1000)
    job = await world.store(max_count=50)
    await world.until_stored(job)
    async with await psycopg.AsyncConnection.connect(world.postgres_url, autocommit=True) as ours:
        await ours.execute(HOLD.encode())
        for _ in range(3):
            await ours.execute("SELECT pg_advisory_lock(99)")
            await world.publish(200)

            async def held() -> bool:
                cursor = await ours.execute(
                    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 99 AND NOT granted"
                )
                return (await cursor.fetchone())[0] > 0  # type: ignore[index]

            await world.until("an append waits between INSERT and COMMIT", held)
            await world.node.kill()
            if not commits:
                await ours.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = 99"
                    " AND NOT granted"
                )
            await ours.execute("SELECT pg_advisory_unlock(99)")
            await world.node.start()
            await world.until_stored(job, within=40)
    await world.check_store(job)


@row("F05", within=120)
async def killed_between_insert_and_commit_which_then_commits(world: World) -> None:
    await _killed_between_insert_and_commit(world, commits=True)


@row("F05", within=120)
async def killed_between_insert_and_commit_which_is_then_undone(world: World) -> None:
    await _killed_between_insert_and_commit(world, commits=False)


@row("F17", within=120)
async def the_messages_come_back_from_an_older_copy_and_the_consumers_do_not(world: World) -> None:
    """The consumer's state is ahead of its stream: new messages under old seqs are stored all the same."""
    nats_server = world.servers.nats
    await world.make_stream()
    await world.publish(500)
    job = await world.store()
    await world.until_stored(job)
    await nats_server.kill()
    (messages,) = (nats_server.directory / "jetstream").rglob(f"streams/{world.source}/msgs")
    copy = world.directory / "msgs"
    await _copy(messages, copy)
    await nats_server.start()
    await world.publish(500)
    await world.until_stored(job)
    await nats_server.kill()
    await _copy(copy, messages)
    await nats_server.start()
    await world.publish(800)
    await world.until_stored(job, within=60)
    found = await world.check_store(job, stream=False)
    world.verdict.need(len(found.lives) == 2, f"{len(found.lives)} lives")
    kept = [each for each in await world.read(world.source) if each.seq > found.lives[-1]["cursor"]]
    checker.as_in_stream(kept, found, world.verdict, found.lives[-1]["ordinal"])
    world.hold()
