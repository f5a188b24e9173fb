"""The disk of NATS, S3 or Postgres is full for a while: a file system of its own in memory, and a ballast that fills it."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import psycopg

from nats3.dev.nats_server import NatsServer
from nats3.dev.postgres_server import PostgresServer
from nats3.dev.s3_server import S3Server
from tests.faults import checker
from tests.faults.registry import Skipped, row
from tests.faults.world import World

FULL_S = 8.0
PIECE = 64 << 10


class Disk:
    """A small file system, mounted at `at`."""

    def __init__(self, at: Path) -> None:
        self.at = at
        self._ballast = at / "ballast"

    async def fill(self) -> None:
        """Until nothing more can be written."""
        await asyncio.to_thread(self._fill)

    def _fill(self) -> None:
        with self._ballast.open("ab", buffering=0) as file:
            for size in (PIECE, 1):
                while _written(file.fileno(), size):
                    pass

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)


def _written(descriptor: int, size: int) -> bool:
    try:
        return os.write(descriptor, bytes(size)) > 0
    except OSError:  # full
        return False


@asynccontextmanager
async def small_disk(world: World, mebibytes: int) -> AsyncIterator[Disk]:
    """Raises Skipped where nothing may be mounted."""
    at = world.directory / "small"
    at.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=711", "none", str(at)]
    done = await asyncio.to_thread(subprocess.run, mount, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Skipped(f"nothing may be mounted here: {done.stderr.strip()}")
    try:
        yield Disk(at)
    finally:
        await asyncio.to_thread(subprocess.run, ["umount", "--lazy", str(at)], check=True)


@asynccontextmanager
async def _on(world: World, server: NatsServer | PostgresServer | S3Server, part: str) -> AsyncIterator[None]:
    """The world's nats3 uses this server for `part` instead of the one that all rows share."""
    before = world.servers
    await world.node.kill()
    await server.start()
    world.servers = replace(before, **{part: server})  # type: ignore[arg-type] - the part is named by the row
    try:
        await _prepare(world, server)
        world.nodes.insert(0, world.node_over())
        world.nodes.pop()
        await world.node.start()
        yield
        await world.node.kill()
    finally:
        await world.forget()
        world.servers = before
        await server.kill()


async def _prepare(world: World, server: NatsServer | PostgresServer | S3Server) -> None:
    await world.forget()
    if isinstance(server, PostgresServer):
        async with await psycopg.AsyncConnection.connect(server.url, autocommit=True) as connection:
            await connection.execute(f"CREATE DATABASE {world.database}".encode())
    if isinstance(server, S3Server):
        await server.make_bucket(world.bucket_name)


async def _stores_through(
    world: World, full: Callable[[], Awaitable[None]], heal: Callable[[], Awaitable[None]]
) -> None:
    """The job stays Running while the disk is full, and all is archived once there is room."""
    await world.make_stream()
    await world.publish(1000)
    job = await world.store(max_count=50)
    await world.until_stored(job)
    await full()
    await world.publish(1000)
    await world.stays_running(job, "store", FULL_S)
    done = await _archived(world, job)
    world.verdict.need(done < 2000, "the disk was never full: everything was archived")
    await heal()
    took = await world.until_stored(job, within=60)
    world.note(f"{done} were archived on a full disk, all {took:.1f} s after there was room")
    await world.check_store(job)


async def _archived(world: World, job: str) -> int:
    """How many are archived, or none where that cannot be asked."""
    try:
        return int((await world.job(job))["progress"]["messages"])
    except (AssertionError, OSError):
        return 0


@row("F45", within=180)
async def the_disk_of_s3_is_full_for_a_while(world: World) -> None:
    async with small_disk(world, 200) as disk, _on(world, S3Server(disk.at / "s3"), "s3"):

        async def heal() -> None:
            disk.free()

        await _stores_through(world, disk.fill, heal)


@row("F34", within=180)
async def the_disk_of_postgres_is_full_for_a_while(world: World) -> None:
    """Postgres may end itself when its log of writes finds no room; somebody starts it again."""
    async with small_disk(world, 256) as disk, _on(world, PostgresServer(disk.at / "postgres"), "postgres"):

        async def heal() -> None:
            disk.free()
            await world.servers.postgres.kill()
            await world.servers.postgres.start()

        await _stores_through(world, disk.fill, heal)


@row("F23", within=180)
async def the_disk_of_nats_is_full_during_a_load(world: World) -> None:
    """nats-server puts JetStream off when it finds no room, until somebody starts it again."""
    async with small_disk(world, 64) as disk, _on(world, NatsServer(disk.at / "nats"), "nats"):
        await world.make_stream()
        await world.make_target()
        await world.publish(12_000)
        job = await world.store(max_count=500)
        await world.until_stored(job)
        found = await world.check_store(job)
        load = await world.load()
        await world.until_count(world.target, 500)
        await disk.fill()
        await world.stays_running(load, "load", FULL_S, or_done=True)
        disk.free()
        await world.servers.nats.kill()
        await world.servers.nats.start()
        there = await world.count(world.target)
        world.note(f"{there} of {len(found.messages)} were there")
        await world.until_word(load, "load", "Success", 60)
        await world.check_load(checker.plan_of(found))
