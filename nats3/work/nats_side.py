"""NATS as workers use it: one connection, and on it what belongs to one link."""

from __future__ import annotations

from typing_extensions import override

from nats3.jetstream.connection import Connection
from nats3.jetstream.publisher import Publisher, WindowPublisher
from nats3.jetstream.source import PullSource, Source
from nats3.jetstream.streams import JetStreams, Streams
from nats3.job.order import PublishMode
from nats3.work.tools import NatsSide


class ConnectionSide(NatsSide):
    """Over the one connection of the process."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._streams = JetStreams(connection)

    @property
    @override
    def streams(self) -> Streams:
        return self._streams

    @property
    @override
    def max_payload(self) -> int:
        return self._connection.max_payload

    @override
    async def connected(self) -> None:
        await self._connection.wait_connected()

    @override
    async def source(self, stream: str, consumer: str, *, explicit: bool) -> Source:
        ack = "explicit" if explicit else "all"
        return PullSource(self._connection.link(), self._connection.settings.api, stream, consumer, ack=ack)

    @override
    async def publisher(self, stream: str, mode: PublishMode, expected_last: int) -> Publisher:
        expect_last = expected_last if mode == "exclusive" else None
        return WindowPublisher(self._connection.link(), stream, expect_last=expect_last)
