"""What the API is given of a running node."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from nats3.api.services import LOOPBACK, Rules, Services
from nats3.api.world import StreamFacts
from nats3.config.values import ServerSettings
from nats3.jetstream.streams import StreamInfo
from nats3.telemetry.listeners import HttpListener
from nats3.views.chunk_queries import Chunks
from nats3.views.coverage_queries import Coverage
from nats3.views.job_queries import Jobs
from nats3.wiring import Node
from nats3.work.outside import Outside

_WALK_PAGE = 500
"""Events that are hashed between two turns of the loop, which others wait for."""


def services(node: Node) -> Services:
    """The rooms of a node in the words of the API."""
    told = node.config.server
    return Services(
        log=node.log.store,
        writer=node.log.batcher,
        projections=node.log.projector,
        upkeep=node.log.upkeep,
        tail=node.log.tail,
        jobs=Jobs(node.log.database),
        chunks=Chunks(node.log.database),
        coverage=Coverage(node.log.database),
        audit=node.log.audit,
        walk=partial(node.log.past.walk, _WALK_PAGE),
        past=node.log.past,
        readiness=node.outside,
        world=_World(node.outside),
        archive=node.archive,
        counter=node.counter,
        once=node.log.once,
        exposition=node.telemetry.exposition,
        nodes=node.log.claims.nodes,
        reporter=HttpListener(node.telemetry),
        entrance=node.entrance,
        rules=rules_of(told),
    )


def rules_of(told: ServerSettings) -> Rules:
    """What of these settings may change while the program runs."""
    return Rules(LOOPBACK | {told.host} | set(told.hosts), told.metrics_public)


@dataclass(frozen=True, slots=True)
class _World:
    """The world in the words of the API: neither room knows the other's."""

    outside: Outside

    async def stream(self, connection: str, name: str) -> StreamFacts | None:
        seen = await self.outside.stream(connection, name)
        return None if seen is None else StreamFacts(seen.exists, seen.retention)

    async def is_taken(self, connection: str, subject: str) -> bool | None:
        return await self.outside.is_taken(connection, subject)

    async def bucket_exists(self, place: str) -> bool | None:
        return await self.outside.bucket_exists(place)

    async def every_stream(self, connection: str) -> list[StreamInfo]:
        return await self.outside.every_stream(connection)

    @property
    def nats_names(self) -> frozenset[str]:
        return self.outside.nats_names

    @property
    def s3_names(self) -> frozenset[str]:
        return self.outside.s3_names
