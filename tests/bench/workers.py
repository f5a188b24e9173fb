"""nats3 as more than one process: `nats3 serve --workers N` in the place of the one that a house has."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace

from typing_extensions import override

from nats3.dev.nats3_server import Nats3Server
from nats3.dev.process import Command
from tests.bench.house import House


class _Workers(Nats3Server):
    """The same with nodes of its own."""

    nodes = 1

    @override
    def _command(self) -> Command:
        command = super()._command()
        return replace(command, arguments=(*command.arguments, "--workers", str(self.nodes)))


@asynccontextmanager
async def with_workers(house: House, count: int) -> AsyncGenerator[None]:
    """`count` nodes and a process for the API, on the same port and log."""
    usual = house.server
    await usual.stop()
    house.server = workers = _Workers(usual.directory, usual.settings)
    workers.port, workers.nodes = usual.port, count
    try:
        await workers.start()
        await house.until(lambda: _alive(house, count))
        yield
    finally:
        await workers.stop()
        house.server = usual
        await usual.start()


async def _alive(house: House, count: int) -> bool:
    nodes = [node async for node in house.items("/api/v2/nodes")]
    return sum(node["alive"] for node in nodes) >= count
