"""A cluster of three nats-servers with three copies of each stream: leaders die and step down, and the others go on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tests.faults import checker
from tests.faults.cluster import Cluster, cluster
from tests.faults.registry import row
from tests.faults.world import World

COPIES = 3
CHUNK = 100
STEPS = 4

Harm = Callable[[World, Cluster, str], Awaitable[None]]


async def _kill(world: World, nats: Cluster, stream: str) -> None:
    await (await nats.leader_of(world, stream)).kill()


async def _step_down(world: World, nats: Cluster, stream: str) -> None:
    await nats.step_down(world, stream)


async def _until_bound_there(world: World, nats: Cluster) -> None:
    """A node of this world that knows all servers."""
    await world.node.kill()
    world.nodes.clear()
    await world.node_over(nats.urls).start()


async def _store(world: World, hurt: Harm) -> None:
    """The same again and again: messages come in while the leader of the stream is hurt, and then it is made whole."""
    async with cluster(world) as nats:
        await _until_bound_there(world, nats)
        await world.make_stream(num_replicas=COPIES)
        job = await world.store(max_count=CHUNK)
        for _ in range(STEPS):
            await world.publish(300)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(hurt(world, nats, world.source))
                tasks.create_task(world.publish(300, within=3.0))
            await nats.leader_of(world, world.source)
            await world.publish(300)
            took = await world.until_stored(job, within=60)
            world.note(f"all is stored {took:.1f} s after it was published")
            await world.servers.heal()
            await nats.settled(world, world.source)
        await world.until_word(job, "store", "Running")
        await world.check_store(job)


async def _load(world: World, hurt: Harm, mode: str) -> None:
    """Archived from a cluster and published into it, the leader of the target hurt on the way."""
    async with cluster(world) as nats:
        await _until_bound_there(world, nats)
        await world.make_stream(num_replicas=COPIES)
        batches = mode == "atomic"
        marks = [f"nats3.mark.{world.target}.>"] if batches else []
        subjects = [world.write_subject, *marks]
        await world.make_target(num_replicas=COPIES, allow_atomic=batches, subjects=subjects)
        await world.publish(8000)
        job = await world.store(max_count=CHUNK)
        await world.until_stored(job)
        found = await world.check_store(job)
        load = await world.load(mode=mode)
        for step in range(1, STEPS):
            await world.until_count(world.target, 1500 * step)
            await hurt(world, nats, world.target)
            await asyncio.sleep(1.0)
            await world.servers.heal()
        await world.until_word(load, "load", "Success", 90)
        await nats.leader_of(world, world.target)  # it may have been hurt last when the load was over
        said = world.log.events(f"run/{load}")
        displaced = sum(event["data"]["count"] for event in said if event["type"] == "messages_displaced")
        world.note(f"{displaced} displaced, as the log says")
        await world.check_load(checker.plan_of(found), displaced=displaced)
        checker.ended(said, len(found.messages), world.verdict)
        world.hold()


@row("F24", within=240)
async def the_leader_of_a_stream_is_killed_again_and_again_during_a_store(world: World) -> None:
    await _store(world, _kill)


@row("F24", within=240)
async def the_leader_of_a_stream_steps_down_again_and_again_during_a_store(world: World) -> None:
    await _store(world, _step_down)


@row("F24", within=240)
async def the_leader_of_the_target_is_killed_again_and_again_during_an_atomic_load(world: World) -> None:
    await _load(world, _kill, "atomic")


@row("F24", within=240)
async def the_leader_of_the_target_steps_down_again_and_again_during_an_exclusive_load(world: World) -> None:
    await _load(world, _step_down, "exclusive")


@row("F24", within=240)
async def the_leader_of_the_target_steps_down_again_and_again_during_a_load(world: World) -> None:
    await _load(world, _step_down, "dedupe")
