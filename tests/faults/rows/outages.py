"""NATS, S3 or Postgres goes away and comes back, while a store or a load runs, and nobody touches the job."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

import psycopg

from tests.faults import checker
from tests.faults.registry import row
from tests.faults.world import World

Harm = Callable[[World], Awaitable[None]]

AWAY_S = 8.0
FROZEN_S = 20.0
LONG_S = 45.0
FLOWS_WITHIN_S = 5.0
CHUNK = 100


async def _while_storing(world: World, hurt: Harm, heal: Harm, away: float) -> None:
    """Stored so far, then the outage; the job stays Running, and flows again soon after the return."""
    await world.make_stream()
    await world.publish(2000)
    job = await world.store(max_count=CHUNK)
    await world.until_stored(job, 300)
    await hurt(world)
    if "nats" not in hurt.__name__:
        await world.publish(700)
    await world.stays_running(job, "store", away)
    await heal(world)
    back = monotonic()
    await world.until_word(job, "store", "Running", 20)
    done = (await world.job(job))["progress"]["messages"]
    await world.publish(1000)
    await world.until_stored(job, done + 1, 60)
    took = monotonic() - back
    world.note(f"flows {took:.1f} s after the return")
    await world.until_stored(job, within=60)
    await world.check_store(job)
    world.verdict.need(took < FLOWS_WITHIN_S, f"flowed only {took:.1f} s after the return")
    world.hold()


async def _while_loading(world: World, hurt: Harm, heal: Harm, away: float) -> None:
    await world.make_stream()
    await world.make_target()
    await world.publish(8000)
    job = await world.store(max_count=CHUNK)
    await world.until_stored(job)
    found = await world.check_store(job)
    load = await world.load()
    await world.until_count(world.target, 100)
    await hurt(world)
    await world.stays_running(load, "load", away, or_done=True)
    await heal(world)
    back = monotonic()
    done = await world.count(world.target)
    if done < len(found.messages):
        await world.until_count(world.target, done + 1)
        took = monotonic() - back
        world.note(f"flows {took:.1f} s after the return, {done} were there")
        world.verdict.need(took < FLOWS_WITHIN_S, f"flowed only {took:.1f} s after the return")
    else:
        world.note("all was published before the outage began")
    await world.until_word(load, "load", "Success", 60)
    await world.check_load(checker.plan_of(found))
    checker.ended(world.log.events(f"run/{load}"), len(found.messages), world.verdict)
    world.hold()


async def _kill_nats(world: World) -> None:
    await world.servers.nats.kill()


async def _kill_s3(world: World) -> None:
    await world.servers.s3.kill()


async def _kill_postgres(world: World) -> None:
    await world.servers.postgres.kill()


async def _freeze_nats(world: World) -> None:
    world.servers.nats.pause()


async def _freeze_s3(world: World) -> None:
    world.servers.s3.pause()


async def _freeze_postgres(world: World) -> None:
    world.servers.postgres.pause()


async def _heal(world: World) -> None:
    await world.servers.heal()


@row("F14", sample=True, within=120)
async def store_nats_killed(world: World) -> None:
    await _while_storing(world, _kill_nats, _heal, AWAY_S)


@row("F15", within=150)
async def store_nats_frozen(world: World) -> None:
    await _while_storing(world, _freeze_nats, _heal, FROZEN_S)


@row("F28", within=120)
async def store_s3_killed(world: World) -> None:
    await _while_storing(world, _kill_s3, _heal, AWAY_S)


@row("F28", within=150)
async def store_s3_frozen(world: World) -> None:
    await _while_storing(world, _freeze_s3, _heal, FROZEN_S)


@row("F31", sample=True, within=120)
async def store_postgres_killed(world: World) -> None:
    await _while_storing(world, _kill_postgres, _heal, AWAY_S)


@row("F28", within=150)
async def store_postgres_frozen(world: World) -> None:
    await _while_storing(world, _freeze_postgres, _heal, FROZEN_S)


@row("F14", within=120)
async def load_nats_killed(world: World) -> None:
    await _while_loading(world, _kill_nats, _heal, AWAY_S)


@row("F15", within=150)
async def load_nats_frozen(world: World) -> None:
    await _while_loading(world, _freeze_nats, _heal, FROZEN_S)


@row("F28", within=120)
async def load_s3_killed(world: World) -> None:
    await _while_loading(world, _kill_s3, _heal, AWAY_S)


@row("F28", within=150)
async def load_s3_frozen(world: World) -> None:
    await _while_loading(world, _freeze_s3, _heal, FROZEN_S)


@row("F31", within=120)
async def load_postgres_killed(world: World) -> None:
    await _while_loading(world, _kill_postgres, _heal, AWAY_S)


@row("F28", within=150)
async def load_postgres_frozen(world: World) -> None:
    await _while_loading(world, _freeze_postgres, _heal, FROZEN_S)


@row("F31", within=120)
async def postgres_restarted_again_and_again_during_a_store(world: World) -> None:
    await world.make_stream()
    await world.publish(6000)
    job = await world.store(max_count=50)
    for n in range(4):
        await world.until_stored(job, 200 + 500 * n, 40)
        if n % 2:
            await world.servers.postgres.stop()
        else:
            await world.servers.postgres.kill()
        await world.servers.postgres.start()
    await world.until_stored(job, within=60)
    await world.check_store(job)


@row("F35", within=60)
async def every_session_of_postgres_is_ended_again_and_again(world: World) -> None:
    await world.make_stream()
    await world.publish(6000)
    job = await world.store(max_count=50)
    for n in range(8):
        await world.until_stored(job, 100 + 400 * n, 40)
        await asyncio.to_thread(
            world.log.ask,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid()",
        )
    await world.until_stored(job, within=60)
    await world.check_store(job)


@row("F33", within=60)
async def a_database_that_turns_read_only_for_a_while(world: World) -> None:
    await world.make_stream()
    await world.publish(4000)
    job = await world.store(max_count=50)
    await world.until_stored(job, 200)
    await _set_read_only(world, "on")
    await world.stays_running(job, "store", 5)
    await _set_read_only(world, "off")
    took = await world.until_stored(job, within=30)
    world.note(f"all stored {took:.1f} s after it was writable again")
    await world.check_store(job)


async def _set_read_only(world: World, value: str) -> None:
    def change() -> None:
        with psycopg.connect(world.servers.postgres.url, autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {world.database} SET default_transaction_read_only = {value}".encode())
            connection.execute(
                b"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (world.database,)
            )

    await asyncio.to_thread(change)


@row("F31", within=180)
async def store_postgres_away_for_45_seconds(world: World) -> None:
    await _while_storing(world, _kill_postgres, _heal, LONG_S)


@row("F31", within=180)
async def load_postgres_away_for_45_seconds(world: World) -> None:
    await _while_loading(world, _kill_postgres, _heal, LONG_S)


@row("F28", within=180)
async def store_postgres_frozen_for_45_seconds(world: World) -> None:
    await _while_storing(world, _freeze_postgres, _heal, LONG_S)


@row("F14", within=180)
async def store_nats_away_for_45_seconds(world: World) -> None:
    await _while_storing(world, _kill_nats, _heal, LONG_S)


@row("F14", within=180)
async def load_nats_away_for_45_seconds(world: World) -> None:
    await _while_loading(world, _kill_nats, _heal, LONG_S)


@row("F15", within=180)
async def load_nats_frozen_for_45_seconds(world: World) -> None:
    await _while_loading(world, _freeze_nats, _heal, LONG_S)


@row("F28", within=180)
async def store_s3_away_for_45_seconds(world: World) -> None:
    await _while_storing(world, _kill_s3, _heal, LONG_S)


@row("F28", within=180)
async def load_s3_frozen_for_45_seconds(world: World) -> None:
    await _while_loading(world, _freeze_s3, _heal, LONG_S)


@row("F14", "F28", "F31", within=180)
async def everything_is_away_at_once(world: World) -> None:
    await world.make_stream()
    await world.publish(3000)
    job = await world.store(max_count=CHUNK)
    await world.until_stored(job, 300)
    for hurt in (_kill_postgres, _kill_nats, _kill_s3):
        await hurt(world)
    await world.stays_running(job, "store", 10)
    await _heal(world)
    await world.publish(500)
    took = await world.until_stored(job, within=60)
    world.note(f"all stored {took:.1f} s after the return")
    await world.check_store(job)


@row("F14", "F31", within=180)
async def nats3_starts_while_everything_is_away(world: World) -> None:
    """It waits for what it needs and nobody has to start it again."""
    await world.make_stream()
    await world.publish(500)
    job = await world.store(max_count=CHUNK)
    await world.until_stored(job)
    await world.publish(500)
    await world.node.kill()
    await _kill_nats(world)
    await _kill_s3(world)
    async with asyncio.TaskGroup() as tasks:
        starting = tasks.create_task(world.node.start())  # returns once it is ready
        await asyncio.sleep(5)
        world.verdict.need(not starting.done(), "ready without NATS and S3")
        await _heal(world)
    await world.until_stored(job, within=30)
    await world.check_store(job)
