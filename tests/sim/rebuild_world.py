"""Everything is gone but the bucket: the index is made anew from what a random life left in it, and compared."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from actors.testing import MemoryLog, run_seeded
from nats3.job.storing import ChunkFlushed
from nats3.job.surveying import SurveyAsked
from nats3.work.history_writer import HistoryWriter
from nats3.work.memory import MemoryIndex
from nats3.work.rebuild import Rebuild
from tests.sim.node import tools_over
from tests.sim.store_world import BUCKET, JOB, RUN, STEPS, World, live


class Noted:
    """A walk that nobody else can go on with."""

    def __init__(self):
        self.counts = {}
        self.findings = []

    def count(self, what, number=1):
        self.counts[what] = self.counts.get(what, 0) + number

    async def found(self, *findings):
        self.findings += findings

    async def progress(self, *_):
        pass

    arrived = progress


class Catalogue:
    """What is recorded in the log that is made."""

    def __init__(self, log):
        self._log = log

    async def fresh(self):
        return 0

    async def known(self, bucket, keys):
        recorded = {event.key for event in self._log.events(RUN) if isinstance(event, ChunkFlushed)}
        return recorded & set(keys)


class MemoryRuns:
    def __init__(self, log):
        self._log = log

    @asynccontextmanager
    async def claimed(self, job_id):
        writer = HistoryWriter(self._log.claim(f"run/{job_id}"))
        await writer.recover()
        yield writer


async def rebuilt(world, log=None):
    """The events that the bucket alone gives, and what was noted."""
    log = log or MemoryLog()
    world.index = MemoryIndex(lambda: [(JOB, log.events(RUN))])
    walk = Noted()
    objects = world.objects
    asked = SurveyAsked("rebuild", BUCKET)
    await Rebuild(asked, walk, Catalogue(log), objects, tools_over(world), MemoryRuns(log)).run()
    return log, walk


def chunks(events):
    return [(e.life, e.ordinal, e.first, e.last, e.count, e.sha256) for e in events if isinstance(e, ChunkFlushed)]


async def _life_and_rebuild(world, rates):
    before = await live(world, rates)
    known = chunks(world.log.events(RUN))
    world.objects.land()  # whatever was still on its way
    world.objects._faults.clear()
    log, walk = await rebuilt(world)
    again, _ = await rebuilt(world, log)
    made = chunks(again.events(RUN))
    wrong = list(before)
    if missing := [each for each in known if each not in made]:
        wrong.append(f"NOT REBUILT {missing}")
    if [each for each in made if each in known] != known:
        wrong.append("ANOTHER ORDER")
    if len(made) != len(set(made)):
        wrong.append("TWICE")
    extra = [each for each in made if each not in known]
    seqs = {}
    for life, _, first, last, _, _ in made:
        if any(first <= b and a <= last for a, b in seqs.get(life, [])):
            wrong.append("OVERLAP")
        seqs.setdefault(life, []).append((first, last))
    if any(f.kind == "unreadable" for f in walk.findings):
        wrong.append("UNREADABLE")
    world.extra = len(extra)
    world.walk = walk
    await asyncio.sleep(0)
    return wrong


def history(seed, retention, more=None):
    world = World(seed, retention)
    return run_seeded(seed, lambda: _life_and_rebuild(world, {**STEPS, **(more or {})})), world
