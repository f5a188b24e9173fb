"""A node of a simulated world: the real actor system and worker, over fakes of everything outside."""

from __future__ import annotations

import asyncio
from itertools import count

from actors.system import ActorSystem
from nats3.failpoint import pass_by
from nats3.objects.patient import Patient
from nats3.wiring import kind_of_fault
from nats3.work.budget import Budget
from nats3.work.memory import MemoryCondemned
from nats3.work.run import Claimed
from nats3.work.tools import Tools


def _unheard(*_, **__):
    return None


class Silence:
    """Signals that nobody hears."""

    def __getattr__(self, name):
        return _unheard


class Always:
    """A lease that never ends: what a worker does without one is judged by fences alone."""

    def valid(self):
        return True


async def _inline(work):
    await asyncio.sleep(0)
    return work()


async def _exists(_):
    return True


def tools_over(world) -> Tools:
    """`world` has jet, objects, index, rng and habits, and may have a `reach` of its own."""
    return Tools(
        nats=world.jet,
        objects=lambda heard: Patient(world.objects, heard, chance=world.rng.random),
        bucket_exists=_exists,
        index=world.index,
        plans=world.index,
        in_thread=_inline,
        signals=Silence(),
        lease=Always(),
        log_id="log",
        node="node",
        uuid=lambda: f"life-{world.rng.getrandbits(48):012x}",
        monotonic=asyncio.get_running_loop().time,
        sleep=asyncio.sleep,
        budget=Budget(world.rng.choice([1 << 20, 4000, 600])),
        condemned=MemoryCondemned(lambda: world.log.events(world.run), asyncio.get_running_loop().time),
        habits=world.habits,
        reach=getattr(world, "reach", pass_by),
    )


class Node:
    """One claim of the run. `make` builds its worker out of (claimed, journal, tools)."""

    def __init__(self, world, job_id, run, make) -> None:
        self.journal = world.log.claim(run)
        tools = tools_over(world)
        claimed = Claimed(job_id, "job", self.journal.fence, count(1))
        self.system = ActorSystem(classify=kind_of_fault, chance=world.rng.random)
        self.factory = lambda: make(claimed, self.journal, tools)

    async def start(self):
        await self.system.__aenter__()
        await self.system.start("run", self.factory)

    async def kill(self):
        await self.system.stop("run", 0)

    async def stop(self):
        await self.system.stop("run", 30)

    async def end(self):
        await self.kill()
        await self.system.__aexit__(None, None, None)
