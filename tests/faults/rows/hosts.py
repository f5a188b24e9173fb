"""The machine of a node: nowhere to write, a full disk, too little memory, no descriptor left."""

from __future__ import annotations

import asyncio
import resource
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import httpx2
import psycopg

from nats3.dev.nats3_server import Nats3Server
from nats3.dev.process import Command
from tests.faults import checker
from tests.faults.registry import Skipped, row
from tests.faults.rows.disks import small_disk
from tests.faults.world import Failed, World

SHELL, UNSHARE = Path("/bin/sh"), Path("/usr/bin/unshare")
AWAY_S = 8.0
MIB = 1 << 20


class Wrapped(Nats3Server):
    """Started through other words, perhaps in another directory; `alive` is what it is asked until it answers 200."""

    words: Sequence[str] = ()
    at: Path | None = None
    alive = "/ready"

    def _command(self) -> Command:  # pyright: ignore[reportImplicitOverride]
        plain = super()._command()
        if self.words:
            program, *rest = self.words
            plain = replace(plain, program=Path(program), arguments=(*rest, str(plain.program), *plain.arguments))
        return replace(plain, directory=self.at or plain.directory)

    async def _ask(self) -> None:  # pyright: ignore[reportImplicitOverride]
        if self.alive == "/ready":
            return await super()._ask()
        async with httpx2.AsyncClient(base_url=self.url, timeout=2) as client:
            try:
                (await client.get(self.alive)).raise_for_status()
            except httpx2.HTTPError as error:
                raise OSError(str(error)) from error


async def instead(world: World, *words: str, alive: str = "/ready", **settings: str) -> Wrapped:
    """The world's only node from here on, not started yet."""
    await world.node.kill()
    usual = world.node_over(**settings)
    node = Wrapped(usual.directory, usual.settings)
    node.port, node.words, node.alive = usual.port, words, alive
    world.nodes[:] = [node]
    return node


async def _stores_and_loads(world: World) -> None:
    """A day's work: two stores, one of them killed in between, a load, and a look over every byte of the archive."""
    await world.make_stream()
    await world.make_target()
    await world.publish(2000)
    job = await world.store(max_count=100)
    await world.until_stored(job, 500)
    await world.node.kill()
    await world.node.start()
    await world.until_stored(job, within=60)
    found = await world.check_store(job)
    load = await world.load()
    await world.until_word(load, "load", "Success", 60)
    await world.check_load(checker.plan_of(found))
    asked = (await world.call("POST", "/api/v2/archive/verifications", {"bucket": world.bucket_name, "deep": True}))[
        "id"
    ]

    async def verified() -> bool:
        return (await world.call("GET", f"/api/v2/archive/surveys/{asked}"))["state"] == "done"

    await world.until("every byte of the archive is verified", verified)


# --- F71: nowhere to write

_READ_ONLY = """
mount --bind /tmp /tmp || exit 99
while read -r _ at _; do mount -o remount,bind,ro "$at" 2>/dev/null; done < /proc/mounts
exec "$@"
"""
_PROBE = (
    'for at in . "$HOME" /tmp /var/tmp /dev/shm /run /usr; do touch "$at/probe" 2>/dev/null && echo "$at"; done; true'
)


@row("F71", within=180)
async def a_node_that_may_write_nowhere(world: World) -> None:
    """In a mount namespace of its own every file system is read-only, /tmp and its own directory too; a probe proves it."""
    words = (str(UNSHARE), "-m", str(SHELL), "-c", _READ_ONLY, "sh")
    node = await instead(world, *words, HOME=str(world.directory))
    probe = (*words, str(SHELL), "-c", _PROBE)
    done = await asyncio.to_thread(
        subprocess.run, probe, cwd=world.directory, env={"HOME": str(world.directory)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        raise Skipped(f"no file system can be made read-only here: {done.stderr.strip()}")
    world.verdict.need(not done.stdout.split(), f"it may write in {done.stdout.split()}")
    await node.start()
    await _stores_and_loads(world)


@row("F71", within=180)
async def a_node_whose_disk_is_full(world: World) -> None:
    """Its directory, home and temporary files lie on a file system without a free byte."""
    async with small_disk(world, 1) as disk:
        node = await instead(world, HOME=str(disk.at), TMPDIR=str(disk.at))
        node.at = disk.at
        await disk.fill()
        await node.start()
        await _stores_and_loads(world)
        (left,) = await asyncio.to_thread(lambda: list(disk.at.iterdir()))
        world.verdict.need(left.name == "ballast", f"it left {left.name}")
        await node.kill()  # or the disk could not be taken away
        world.hold()


# --- F13: killed for its memory


@dataclass(frozen=True)
class _Memory:
    """A group of processes whose memory the kernel bounds: where it is more, the kernel kills one of them."""

    at: Path

    def limit(self, size: int) -> None:
        """-1: none."""
        (self.at / "memory.limit_in_bytes").write_text(str(size), "ascii")

    @property
    def anonymous(self) -> int:
        """Bytes that cannot be given back."""
        return self._told("memory.stat", "rss")

    @property
    def kills(self) -> int:
        return self._told("memory.oom_control", "oom_kill")

    def _told(self, file: str, word: str) -> int:
        lines = (self.at / file).read_text("ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.split()[0] == word)

    def remove(self) -> None:
        self.at.rmdir()


def _memory_group(world: World) -> _Memory:
    group = _Memory(Path(f"/sys/fs/cgroup/memory/nats3-{world.name}"))
    try:
        group.at.mkdir()
        if group.kills != 0:
            raise Failed("a new group has killed somebody")
    except (OSError, StopIteration) as error:
        raise Skipped(f"no memory cgroup (version 1) can be made here: {error}") from None
    return group


@row("F13", within=240)
async def the_kernel_kills_a_node_for_its_memory(world: World) -> None:
    """A memory cgroup leaves the node 12 MiB above what it needs idle; chunks of 64 MiB are more. Killed twice, then let live."""
    group = await asyncio.to_thread(_memory_group, world)
    try:
        node = await instead(world, str(SHELL), "-c", f'echo $$ > {group.at}/cgroup.procs && exec "$@"', "sh")
        await node.start()
        await world.make_stream(max_msg_size=100_000)
        await world.publish(2000, size=50_000)
        large = {"max_bytes": 64 * MIB, "max_count": 2000, "max_age": "1h"}
        job = await world.store(limits=large, name="large")
        small = await world.store(max_count=20, name="small")
        for kill in (1, 2):
            await asyncio.to_thread(group.limit, group.anonymous + 12 * MIB)
            async with asyncio.timeout(40):
                status = await node.ended()
            world.verdict.need(status == -signal.SIGKILL, f"it ended with {status}")
            world.verdict.need(group.kills >= kill, f"the kernel says that it killed {group.kills}")
            await asyncio.to_thread(group.limit, -1)
            await node.start()
        await world.until_stored(small, within=60)
        await world.call("POST", f"/api/v2/jobs/{job}/pause")
        await world.until_stored(job, within=60)
        world.note(f"killed {group.kills} times by the kernel")
        await world.check_store(job)
        await world.check_store(small)
    finally:
        await world.node.kill()
        await asyncio.to_thread(group.remove)


# --- F70: no descriptor left


async def says(world: World, text: str) -> None:
    """The node's log names the fault."""

    async def said() -> bool:
        return text in world.node.log.read_text("utf-8", "replace")

    await world.until(f"the node says {text!r}", said)


@row("F70", within=180)
async def descriptors_run_out_for_a_while(world: World) -> None:
    """The limit of a running node goes to what it has; then NATS is restarted and Postgres ends its connections: none can be made."""
    await world.make_stream()
    await world.publish(500)
    job = await world.store(max_count=50)
    await world.until_stored(job)
    before = resource.prlimit(world.node.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(world.node.pid, resource.RLIMIT_NOFILE, (3, before[1]))
    await world.servers.nats.kill()
    await world.servers.nats.start()
    await end_connections(world)
    await world.publish(500)
    await says(world, "Too many open files")
    await asyncio.sleep(AWAY_S)
    world.verdict.need(world.node.running, "it ended for want of descriptors")
    resource.prlimit(world.node.pid, resource.RLIMIT_NOFILE, before)
    took = await world.until_stored(job, within=60)
    world.note(f"all stored {took:.1f} s after there were descriptors again")
    await world.check_store(job)


async def end_connections(world: World) -> None:
    async with await psycopg.AsyncConnection.connect(world.postgres_url, autocommit=True) as connection:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
