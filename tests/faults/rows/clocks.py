"""A node whose wall clock jumps, and one whose boot time is another. What cannot be done on this machine is skipped and says so."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from pathlib import Path

from nats3.dev.nats3_server import Nats3Server
from nats3.dev.process import Command
from tests.faults.registry import Skipped, row
from tests.faults.world import World

SHIM = Path(__file__).parents[1] / "clock_shim.c"
DAY_S = 86_400
AT_2262_S = 9_223_372_000


def _compiled(world: World) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise Skipped("no C compiler is here to build the shim of the clock")
    made = world.directory / "clock_shim.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", made, SHIM, "-ldl"], check=True)
    return made


class _Clock:
    """The wall clock of one node."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.add(0)

    def add(self, seconds: int) -> None:
        with self.path.open("r+b" if self.path.exists() else "wb") as file:
            file.write(seconds.to_bytes(8, "little", signed=True))


async def _activations(world: World, job: str) -> int:
    return sum(event["type"] == "run_activated" for event in await asyncio.to_thread(world.log.events, f"run/{job}"))


@row("F46", within=150)
async def the_wall_clock_of_a_node_jumps(world: World) -> None:
    """A day on, a day back, 1970, 2262: the lease does not move, and what S3 refused meanwhile is stored in the end."""
    shim, clock = await asyncio.to_thread(_compiled, world), _Clock(world.directory / "clock")
    await world.node.stop()
    world.nodes.clear()
    node = world.node_over()
    node.settings = {**node.settings, "LD_PRELOAD": str(shim), "CLOCK_SHIM": str(clock.path)}
    await node.start()
    await world.make_stream()
    await world.publish(500)
    job = await world.store(max_count=50, max_age="200ms")
    await world.until_stored(job)
    second = world.node_over()
    await second.start()
    for jump in (DAY_S, -DAY_S, 2, -2, -int(time.time()) + 10, AT_2262_S - int(time.time())):  # noqa: TID251 - 1970 and 2262 lie so far from now
        clock.add(jump)
        await world.publish(200)
        await asyncio.sleep(4)
        clock.add(0)
        took = await world.until_stored(job, within=40)
        world.note(f"{jump:+d} s: all stored {took:.1f} s after it was right again")
    world.verdict.need(
        await _activations(world, job) == 1, f"{await _activations(world, job)} activations: the lease was lost"
    )
    await world.check_store(job)


def _time_namespaces() -> bool:
    tried = subprocess.run(["unshare", "-T", "--boottime", "1000", "true"], check=False, capture_output=True)
    return tried.returncode == 0


class _InAnotherTime(Nats3Server):
    """In a time namespace whose monotonic and boot time are others."""

    def _command(self) -> Command:  # pyright: ignore[reportImplicitOverride]
        plain = super()._command()
        words = ("-T", "--boottime", "1000000", "--monotonic", "1000000", str(plain.program), *plain.arguments)
        return Command(Path("/usr/bin/unshare"), words, plain.directory, plain.log, plain.environment)


@row("F48", within=120)
async def a_node_with_another_boot_time(world: World) -> None:
    """It shares jobs with one in the usual time, takes over from it and is taken over."""
    if not await asyncio.to_thread(_time_namespaces):
        raise Skipped("no time namespace may be made here")
    await world.make_stream()
    await world.publish(500)
    job = await world.store(max_count=50)
    await world.until_stored(job)
    usual = world.node_over()
    other = _InAnotherTime(usual.directory, usual.settings)
    other.port = usual.port
    world.nodes[:] = [other, world.nodes[0]]
    await other.start()
    await world.nodes[1].kill()
    await world.publish(500)
    took = await world.until_stored(job, within=40)
    world.note(f"taken over by the one with another boot time in {took:.1f} s")
    await world.nodes[1].start()
    await other.kill()
    world.nodes.reverse()
    await world.publish(500)
    await world.until_stored(job, within=40)
    await world.check_store(job)
