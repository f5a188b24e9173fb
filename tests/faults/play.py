"""Plays one row, whatever runs it: pytest or `python -m tests.faults`."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg

from tests.faults.plain_nats import Plain
from tests.faults.registry import Row
from tests.faults.rows import (
    clocks,
    clusters,
    consumers,
    deaths,
    disasters,
    disks,
    faces,
    floods,
    forged,
    frames,
    hosts,
    keys,
    names,
    outages,
    plain,
    strange,
    streams,
    swarm,
    tampering,
    versions,
    wires,
)
from tests.faults.servers import Servers
from tests.faults.world import World

ROOMS = (
    plain,
    deaths,
    outages,
    tampering,
    strange,
    consumers,
    streams,
    wires,
    frames,
    disasters,
    disks,
    clocks,
    clusters,
    forged,
    keys,
    faces,
    floods,
    swarm,
    versions,
    hosts,
    names,
)


async def play(each: Row, servers: Servers, directory: Path, seed: int) -> list[str]:
    """Its notes. Raises what broke, with the last lines of every node's log as a note."""
    async with world(servers, directory, seed) as made:
        try:
            async with asyncio.timeout(each.within):
                await each.play(made)
        except (Exception, TimeoutError) as error:
            error.add_note(made.last_lines())
            error.add_note(made.sessions())
            error.add_note("; ".join(made.notes))
            raise
        if bugs := made.bugs():
            made.note(f"BUG: {len(bugs)} restarts of an actor, first {bugs[0][:200]!r}")
        return [*made.notes, *(f"{name} {count}" for name, count in made.verdict.counts.items())]


@asynccontextmanager
async def world(servers: Servers, directory: Path, seed: int, *, start: bool = True) -> AsyncIterator[World]:
    """A fresh share of the servers, with its nats3 started unless said otherwise; all of it is gone afterwards."""
    await servers.heal()
    name = uuid.uuid4().hex[:10].upper()
    place = directory / name
    place.mkdir(parents=True)
    database = f"f_{name.lower()}"
    async with await psycopg.AsyncConnection.connect(servers.postgres.url, autocommit=True) as connection:
        await connection.execute(f"CREATE DATABASE {database}".encode())
    made = World(servers, place, seed, name, database)
    await servers.s3.make_bucket(made.bucket_name)
    try:
        if start:
            await made.node_over().start()
        yield made
    finally:
        await made.close()
        await _clean(servers, made)


async def _clean(servers: Servers, made: World) -> None:
    await servers.heal()
    async with await Plain.connect(servers.nats.url) as nats:
        for stream in (await nats.api("STREAM.NAMES")).get("streams") or []:
            if made.name in stream:  # other worlds may share the server
                await nats.api(f"STREAM.DELETE.{stream}")
    async with await psycopg.AsyncConnection.connect(servers.postgres.url, autocommit=True) as connection:
        await connection.execute(f"DROP DATABASE {made.database} WITH (FORCE)".encode())
