"""JetStream as a job meets it: streams to ask, sources and publishers to open. `memory.py` has the same shape."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, Protocol

from typing_extensions import override

from nats3.jetstream.atomic import AtomicPublisher, Marker
from nats3.jetstream.connection import Connection
from nats3.jetstream.publisher import DEFAULT_WINDOW, Publisher, Window, WindowPublisher
from nats3.jetstream.source import DEFAULT_PATIENCE, Patience, PullSource, Source
from nats3.jetstream.streams import JetStreams, Streams


class JetStream(Protocol):
    """One JetStream. What it opens belongs to the connection of now and raises MustBind once that is lost."""

    @property
    def streams(self) -> Streams: ...

    @property
    def max_payload(self) -> int: ...

    @property
    def server_version(self) -> tuple[int, int, int]:
        """Of the server that we are connected to, (0, 0, 0) before the first time."""
        ...

    @property
    def epoch(self) -> int:
        """How often the connection was lost. Behind a newer one the server may have come back from an older copy."""
        ...

    async def wait_connected(self) -> None:
        """Return as soon as the server is there."""
        ...

    def source(self, stream: str, consumer: str, ack: Literal["all", "explicit"] = "all") -> Source:
        """Receive from a consumer that exists and has delivered nothing yet. Raises Unavailable."""
        ...

    def publisher(
        self, stream: str, expect_last: int | None = None, *, behind: int = 0, strict: bool = False
    ) -> Publisher:
        """Publish into `stream`; with `expect_last`, its last seq, in mode `exclusive`. Raises Unavailable.

        What was published before stands there up to seq `behind`; `strict` sends a message only once the one before
        it is acknowledged.
        """
        ...

    def atomic_publisher(self, stream: str, marker: Marker) -> Publisher:
        """Publish into `stream` in mode `atomic`. Raises Unavailable."""
        ...


class NatsJetStream(JetStream):
    """JetStream over a connection."""

    def __init__(
        self, connection: Connection, *, patience: Patience = DEFAULT_PATIENCE, window: Window = DEFAULT_WINDOW
    ) -> None:
        self._connection = connection
        self._patience = patience
        self._window = window
        self._streams = JetStreams(connection)

    @property
    @override
    def streams(self) -> JetStreams:
        return self._streams

    @property
    @override
    def max_payload(self) -> int:
        return self._connection.max_payload

    @property
    @override
    def server_version(self) -> tuple[int, int, int]:
        return self._connection.server_version

    @property
    @override
    def epoch(self) -> int:
        return self._connection.epoch

    @override
    async def wait_connected(self) -> None:
        await self._connection.wait_connected()

    @override
    def source(self, stream: str, consumer: str, ack: Literal["all", "explicit"] = "all") -> Source:
        link, api = self._connection.link(), self._connection.settings.api
        return PullSource(link, api, stream, consumer, ack=ack, patience=self._patience)

    @override
    def publisher(
        self, stream: str, expect_last: int | None = None, *, behind: int = 0, strict: bool = False
    ) -> Publisher:
        window = replace(self._window, messages=1) if strict else self._window
        link = self._connection.link()
        return WindowPublisher(link, stream, window=window, expect_last=expect_last, behind=behind)

    @override
    def atomic_publisher(self, stream: str, marker: Marker) -> Publisher:
        return AtomicPublisher(self._connection.link(), stream, marker, window=self._window)
