"""A newer nats3 on the same log: a copy of the tree whose events are of a newer schema, before, beside and after this one."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from nats3.dev.nats3_server import Nats3Server
from tests.faults.registry import row
from tests.faults.world import TREE, Failed, Refused, World

COPIED = ("actors", "eventstore", "nats3")
LEASE_S = 10.0
LEFT = "left to a newer nats3"
RUNNING, WORKER, HISTORY = "nats3/job/running.py", "nats3/work/worker.py", "nats3/job/history.py"
Plants = Sequence[tuple[str, str, str]]
"""File, a line of it, and what the newer program has there."""

CHANGES: Plants = ((HISTORY, "    JobChanged: ", "    JobChanged: 1 + "),)
"""An order that is changed says more than before."""

ACTIVATES: Plants = (
    (RUNNING, "    activation: int\n    node: str\n", '    activation: int\n    node: str\n    program: str = ""\n'),
    (HISTORY, "import RUN_EVENTS, RunFailed,", "import RUN_EVENTS, RunActivated, RunFailed,"),
    (HISTORY, "    RunFailed: ", "    RunActivated: 2,\n    RunFailed: "),
    (
        WORKER,
        "RunActivated(self.claimed.fence, self.tools.node)",
        'RunActivated(self.claimed.fence, self.tools.node, "b")',
    ),
)
"""An event that every run begins with has a field more."""

_ALL_RUN_EVENTS = "RUN_EVENTS: tuple[type[RunEvent], ...] = (\n"
GREETS: Plants = (
    (
        RUNNING,
        _ALL_RUN_EVENTS,
        f"@dataclass(frozen=True, slots=True)\nclass RunGreeted(RunStopped):\n    pass\n\n\n{_ALL_RUN_EVENTS}    RunGreeted,\n",
    ),
    (WORKER, "    RunActivated,\n", "    RunActivated,\n    RunGreeted,\n"),
    (
        WORKER,
        "        await self.say(RunActivated(",
        '        await self.emit(RunGreeted("b"))\n        await self.say(RunActivated(',
    ),
)
"""Every run begins with an event that was not there before."""


def _newer(world: World, plants: Plants) -> str:
    """A tree of a newer program."""
    tree = world.directory / "newer"
    for name in COPIED:
        shutil.copytree(TREE / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file, line, instead in plants:
        text = (tree / file).read_text("utf-8")
        if line not in text:
            raise Failed(f"{file} has no line {line!r} any more")
        (tree / file).write_text(text.replace(line, instead, 1), "utf-8")
    return str(tree)


async def _events(world: World, entity: str) -> list[tuple[int, str, int]]:
    """Version, type and schema version of what an entity says."""
    query = "SELECT version, type, schema_version FROM es.event WHERE entity_id = %s ORDER BY version"
    return [tuple(each.values()) for each in await asyncio.to_thread(world.log.ask, query, entity)]  # type: ignore[misc]


async def _said(world: World, node: Nats3Server, job: str) -> None:
    """The node says that it leaves this job."""

    async def left() -> bool:
        lines = node.log.read_text("utf-8").splitlines()
        return any(LEFT in line and job in line for line in lines)

    await world.until(f"{node.directory.name} says that it leaves {job}", left, LEASE_S + 20)


async def _runs_on(world: World, job: str, node: Nats3Server) -> None:
    """The node has the claim."""

    async def runs() -> bool:
        query = "SELECT n.name FROM es.entity e JOIN es.node n ON n.node_id = e.owner WHERE e.entity_id = %s"
        owners = await asyncio.to_thread(world.log.ask, query, f"run/{job}")
        return any(f"127.0.0.1:{node.port} " in each["name"] for each in owners)

    await world.until(f"{job} runs on {node.directory.name}", runs, LEASE_S + 25)


async def _refused(
    world: World, method: str, path: str, node: Nats3Server, body: Mapping[str, Any] | None = None
) -> None:
    try:
        await world.call(method, path, body, node)
    except Refused as refused:
        world.verdict.need(refused.status == 503 and "newer_event" in str(refused), f"it said {refused}")
    else:
        world.verdict.need(False, f"{method} {path} was done by a program that cannot read the job")


@row("F67", within=240)
async def an_old_and_a_new_version_together(world: World) -> None:
    """An upgrade, node by node, under traffic. The new version's activations and changed orders have a newer schema.

    Two jobs archive one stream on the old node; a new one joins and takes one of them. Its first event there stops the old
    node's view `jobs`: the new node takes the view over. It dies by SIGKILL: the old node takes the lease over, leaves that job alone without a
    word in its history, lives on, and goes on with the other. The new node comes back: all flows again. The order of the
    other job is changed through the new node: the old one settles it, says that it is blocked, and the new one runs both.
    Then the old one is replaced as well. Nothing is lost, and no node ended but by our hand.
    """
    tree = await asyncio.to_thread(_newer, world, (*CHANGES, *ACTIVATES))
    old, new = world.node, world.node_over(PYTHONPATH=tree)
    await world.make_stream()
    await world.publish(500)
    moved, stays = await world.store(name="moved", max_count=50), await world.store(name="stays", max_count=50)
    await world.until_stored(moved)
    await world.until_stored(stays)
    await _the_new_node_takes(world, moved, new)
    await world.until_stored(stays)
    await _the_new_node_dies(world, moved, stays)
    await new.start()
    took = await world.until_stored(moved, within=40)
    world.note(f"all was stored {took:.1f} s after the new node was back")
    await _an_order_becomes_newer(world, stays)
    world.verdict.need(old.running, "the old node has ended")
    world.nodes.reverse()
    await old.stop()
    world.verdict.need(await old.ended() == 0, "the old node did not end in order")
    await world.publish(500)
    await _all_is_well(world, moved, stays)


async def _the_new_node_takes(world: World, job: str, new: Nats3Server) -> None:
    """It has the room for what was paused and goes on. What it does there is seen through the old node, whose view had to stop."""
    await world.call("POST", f"/api/v2/jobs/{job}/pause")
    await new.start()
    await world.call("POST", f"/api/v2/jobs/{job}/resume")
    await _runs_on(world, job, new)
    await world.publish(500)
    took = await world.until_stored(job, within=40)
    world.note(f"what runs on the new node is seen through the old one within {took:.1f} s")


async def _the_new_node_dies(world: World, moved: str, stays: str) -> None:
    """The old one may take its run, cannot read it, and writes nothing there; the other job goes on."""
    old, new = world.nodes
    await new.kill()
    before = await _events(world, f"run/{moved}")
    world.verdict.need(("run_activated", 2) in {each[1:] for each in before}, f"it was never there: {before[-5:]}")
    await _said(world, old, moved)
    await world.publish(500)
    await world.until_stored(stays, within=40)
    await asyncio.sleep(LEASE_S)
    world.verdict.need(await _events(world, f"run/{moved}") == before, "the old node wrote behind what it cannot read")


async def _an_order_becomes_newer(world: World, job: str) -> None:
    """The old node runs the job, hears of a changed order that it cannot read, and lets go; the new one has both then."""
    old, new = world.nodes
    await world.call("PATCH", f"/api/v2/jobs/{job}", {"limits": {"max_count": 40}}, new)
    await _said(world, old, job)
    await _refused(world, "POST", f"/api/v2/jobs/{job}/pause", old)
    await _runs_on(world, job, new)
    events = await asyncio.to_thread(world.log.events, f"run/{job}")
    codes = [each["data"]["code"] for each in events if each["type"] == "run_blocked"]
    world.verdict.need(codes == ["newer_event"], f"the run was blocked by {codes}")
    await world.publish(500)
    await world.until_stored(job, within=40)


async def _all_is_well(world: World, *jobs: str) -> None:
    for job in jobs:
        await world.until_stored(job, within=40)
        await world.check_store(job)
    world.verdict.none(world.bugs(), "actors that failed or were restarted over a bug")
    world.hold()


@row("F68", within=240)
async def back_to_an_old_version(world: World) -> None:
    """A downgrade: this version starts on a log in which a newer one has said what this one does not know.

    Of three jobs one was run by the newer version (its run has events of an unknown type), one was paused and its order
    changed there (a known type of a newer schema), one it never had. The old version starts, says which job it leaves, writes
    nothing there, refuses commands for the second, tells where a fresh fold of the view `jobs` stops, and goes on with the third.
    The newer version is put back: the other two go on where they were.
    """
    tree = await asyncio.to_thread(_newer, world, (*CHANGES, *GREETS))
    old, new = world.node, world.node_over(PYTHONPATH=tree)
    await world.make_stream()
    await world.publish(500)
    theirs, changed, ours = [await world.store(name=name, max_count=50) for name in ("theirs", "changed", "ours")]
    for job in (theirs, changed, ours):
        await world.until_stored(job)
    for job in (changed, ours):
        await world.call("POST", f"/api/v2/jobs/{job}/pause")
        await world.until_word(job, "store", "Paused")
    await old.stop()
    await _the_newer_version_writes(world, theirs, changed)
    entities = [f"{category}/{job}" for category in ("run", "job") for job in (theirs, changed)]
    before = {each: await _events(world, each) for each in entities}
    kinds = {each[1] for events in before.values() for each in events}
    world.verdict.need({"run_greeted", "job_changed"} <= kinds, f"the newer version said {sorted(kinds)}")
    await _the_old_version_goes_on(world, theirs, changed, ours)
    after = {each: await _events(world, each) for each in entities}
    world.verdict.need(after == before, "the old version wrote where it cannot read")
    world.verdict.need(old.running, "the old version has ended")
    await old.stop()
    world.nodes.reverse()
    await new.start()
    await world.call("POST", f"/api/v2/jobs/{changed}/resume")
    await _all_is_well(world, theirs, changed, ours)


async def _the_newer_version_writes(world: World, theirs: str, changed: str) -> None:
    _, new = world.nodes
    await new.start()
    await world.call("PATCH", f"/api/v2/jobs/{changed}", {"limits": {"max_count": 40}}, new)
    await world.publish(500)

    async def stored() -> bool:
        return (await world.call("GET", f"/api/v2/jobs/{theirs}", node=new))["progress"]["messages"] >= 1000

    await world.until("the newer version stores", stored, 40)
    await new.stop()


async def _the_old_version_goes_on(world: World, theirs: str, changed: str, ours: str) -> None:
    await world.node.start()
    await _said(world, world.node, theirs)
    await world.call("POST", f"/api/v2/jobs/{ours}/resume")
    await world.publish(500)
    await world.until_stored(ours, within=40)
    await _refused(world, "POST", f"/api/v2/jobs/{changed}/resume", world.node)
    await _refused(world, "PATCH", f"/api/v2/jobs/{changed}", world.node, {"name": "other"})
    await _tells_where_it_stops(world, changed)


async def _tells_where_it_stops(world: World, changed: str) -> None:
    """A fresh fold cannot get past the changed order: the operation says where and why, and readers keep the table they have."""
    (position,) = [
        each["position"]
        for each in await asyncio.to_thread(world.log.events, f"job/{changed}")
        if each["type"] == "job_changed"
    ]
    asked = await world.call("POST", "/api/v2/projections/jobs/rebuild")

    async def ended() -> Any:
        found = await world.call("GET", f"/api/v2/projections/jobs/operations/{asked['id']}")
        return found if found["state"] not in ("running", "cancelling") else None

    await world.until("the rebuild has ended", ended, 40)
    found = await ended()
    world.verdict.need(
        found["state"] == "failed" and f"position {position} " in found["reason"], f"the rebuild said {found}"
    )
    shown = await world.call("GET", "/api/v2/projections/jobs")
    world.verdict.need(shown["status"] == "running", f"readers lost their table: {shown}")
