"""The JetStreams that a node reaches, by the names of their connections."""

from __future__ import annotations

from collections.abc import Mapping

from typing_extensions import override

from nats3.errors import Unavailable
from nats3.jetstream.connection import Connection
from nats3.jetstream.server import JetStream, NatsJetStream
from nats3.jetstream.settings import NatsSettings
from nats3.jetstream.streams import Streams
from nats3.place import MAIN


class JetStreamsByName:
    """Those that are configured; one that is not is away for as long as that is so, and no other is asked instead."""

    def __init__(self, known: Mapping[str, JetStream]) -> None:
        self._known = known

    @property
    def names(self) -> list[str]:
        return sorted(self._known)

    @property
    def main(self) -> JetStream:
        return self._known[MAIN]

    @property
    def streams(self) -> dict[str, Streams]:
        return {name: each.streams for name, each in self._known.items()}

    def of(self, name: str) -> JetStream:
        found = self._known.get(name)
        if found is not None:
            return found
        reason = f"this node has no NATS connection {name}, only {', '.join(self.names)}"
        return Absent(f"{reason}: add [nats.{name}] to its configuration")


class Absent(NatsJetStream):
    """A JetStream that nobody told this node of: every question is answered with Unavailable and the reason."""

    def __init__(self, reason: str) -> None:
        never = Connection(NatsSettings())
        never.fault = reason
        super().__init__(never)
        self._reason = reason

    @override
    async def wait_connected(self) -> None:
        raise Unavailable("nats", self._reason)
