"""Deliveries that get lost, come twice or out of order between the server and nats3."""

from __future__ import annotations

import random

from tests.faults.nats_proxy import NatsProxy
from tests.faults.registry import row
from tests.faults.world import World


async def _harmed(world: World, retention: str = "limits", **rates: float) -> None:
    """A store through the proxy, harmed, then calm: every message once."""
    server = world.servers.nats
    async with NatsProxy("127.0.0.1", server.port) as proxy:
        await world.node.stop()
        world.nodes.clear()
        await world.node_over(nats_url=server.url.replace(f":{server.port}", f":{proxy.port}")).start()
        await world.make_stream(retention=retention)
        job = await world.store(max_count=100, drain=retention == "workqueue")
        await world.until_bound()
        await world.publish(3000)
        await world.until_stored(job, 100)
        proxy.harm(**rates, chance=random.Random(world.seed).random)  # type: ignore[arg-type]
        for _ in range(5):
            await world.publish(600)
            await world.until_stored(job, len(world.ledger.entries) // 3, 60)
        proxy.calm()
        await world.publish(100)
        took = await world.until_stored(job, within=60)
        world.note(f"all stored {took:.1f} s after the last harm; {dict(proxy.done)}")
        world.verdict.need(sum(proxy.done[name] for name in rates) > 0, "no frame was harmed")
        await world.check_store(job, stream=retention == "limits")
        for node in world.nodes:
            await node.kill()


@row("F26", within=150)
async def deliveries_are_lost(world: World) -> None:
    await _harmed(world, drop=0.002)


@row("F26", within=150)
async def deliveries_of_a_work_queue_are_lost(world: World) -> None:
    await _harmed(world, "workqueue", drop=0.002)


@row("F27", within=150)
async def deliveries_come_twice_and_out_of_order(world: World) -> None:
    await _harmed(world, double=0.002, swap=0.002)


@row("F27", within=150)
async def deliveries_of_an_interest_stream_come_twice_and_out_of_order(world: World) -> None:
    await _harmed(world, "interest", double=0.002, swap=0.002)
