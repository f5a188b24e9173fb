"""Three nats-servers that are one JetStream: a leader of each stream, which may die or be told to step down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

from nats3.dev.nats_server import NatsServer
from nats3.dev.ports import LOOPBACK, own_port
from tests.faults.plain_nats import Refused
from tests.faults.world import World

SIZE = 3
_LOOK_S = 0.05
_PARTS = """\
cluster {{ name: "faults", listen: "{host}:{port}", no_advertise: true, routes: [{routes}] }}
"""


class Cluster:
    """Servers of one cluster. It stands where a single server does: `url` is that of one that answers."""

    def __init__(self, world: World) -> None:
        ports = [own_port(world) for _ in range(SIZE)]
        routes = ", ".join(f'"nats-route://{LOOPBACK}:{port}"' for port in ports)
        self.servers = [
            NatsServer(world.directory / f"nats-{n}", extra=_PARTS.format(host=LOOPBACK, port=port, routes=routes))
            for n, port in enumerate(ports)
        ]

    @property
    def urls(self) -> str:
        """All of them, as a client is told."""
        return ",".join(server.url for server in self.servers)

    @property
    def url(self) -> str:
        return next(server for server in self.servers if server.running).url

    @property
    def running(self) -> bool:
        return all(server.running for server in self.servers)

    async def start(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for server in self.servers:
                tasks.create_task(server.start())

    async def kill(self) -> None:
        for server in self.servers:
            await server.kill()

    def resume(self) -> None:
        for server in self.servers:
            server.resume()

    async def leader_of(self, world: World, stream: str) -> NatsServer:
        """The one that decides what the stream holds, once there is one that answers."""
        while True:
            name = (await _told(world, stream)).get("leader", "")
            for server in self.servers:
                if server.server_name == name and server.running:
                    return server
            await asyncio.sleep(_LOOK_S)

    async def step_down(self, world: World, stream: str) -> None:
        """Let another server lead the stream; returns once one does."""
        before = await self.leader_of(world, stream)
        await (await world.nats()).api(f"STREAM.LEADER.STEPDOWN.{stream}")
        while await self.leader_of(world, stream) is before:  # noqa: ASYNC110 - other processes elect it
            await asyncio.sleep(_LOOK_S)

    async def settled(self, world: World, stream: str) -> None:
        """Return once all replicas of the stream are current."""
        while True:
            replicas = (await _told(world, stream)).get("replicas") or []
            if len(replicas) == SIZE - 1 and all(each["current"] for each in replicas):
                return
            await asyncio.sleep(_LOOK_S)


async def _told(world: World, stream: str) -> dict[str, Any]:
    """What the cluster says of the stream's copies; nothing while it elects."""
    try:
        return (await (await world.nats()).api(f"STREAM.INFO.{stream}", within=2.0))["cluster"]
    except (Refused, OSError):  # TimeoutError is an OSError
        return {}


@asynccontextmanager
async def cluster(world: World) -> AsyncIterator[Cluster]:
    """The NATS of this world is a cluster of its own from here on."""
    made, single = Cluster(world), world.servers
    try:
        await made.start()
        await world.forget()
        world.servers = replace(
            single, nats=cast("NatsServer", made)
        )  # rows of a cluster ask it for no more than it has
        yield made
    finally:
        await world.close()
        world.servers = single
        await made.kill()
