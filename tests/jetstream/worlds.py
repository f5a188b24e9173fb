"""The two worlds of the JetStream contract: a real nats-server, and memory."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from typing_extensions import override

from nats3.jetstream.connection import Connection
from nats3.jetstream.memory import MemoryJetStream
from nats3.jetstream.server import NatsJetStream
from tests.contract.jetstream_contract import World


async def wait_down(connection: Connection) -> None:
    """Return once the connection is known to be lost."""
    down = asyncio.Event()
    stop = connection.on_change(lambda up: None if up else down.set())
    if connection.connected:
        await down.wait()
    stop()


async def api(connection: Connection, action: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """What JetStream answers to an administrator, which must not be an error."""
    reply = await connection.request(f"$JS.API.{action}", json.dumps(body or {}).encode())
    answer = json.loads(reply.payload)
    assert "error" not in answer, answer
    return answer


class RealWorld(World):
    def __init__(self, connection: Connection) -> None:
        super().__init__(NatsJetStream(connection))
        self.connection = connection

    @override
    async def make_stream(self, **config: Any) -> None:
        body = {"name": self.name, "subjects": [self.name, f"{self.name}.>"], "storage": "memory", **config}
        await api(self.connection, f"STREAM.CREATE.{self.name}", body)

    @override
    async def delete_stream(self) -> None:
        await api(self.connection, f"STREAM.DELETE.{self.name}")

    @override
    async def publish(self, subject: str, payload: bytes = b"", block: bytes | None = None) -> None:
        reply = await self.connection.link().request(subject.encode(), payload, 5, block)
        assert "seq" in json.loads(reply.payload), reply

    @override
    async def purge(self, below: int | None = None) -> None:
        await api(self.connection, f"STREAM.PURGE.{self.name}", {} if below is None else {"seq": below})

    @override
    async def delete_message(self, seq: int) -> None:
        await api(self.connection, f"STREAM.MSG.DELETE.{self.name}", {"seq": seq})

    @override
    async def edit_consumer(self, name: str, **changes: Any) -> None:
        if "pause_until" in changes:
            await api(self.connection, f"CONSUMER.PAUSE.{self.name}.{name}", changes)
            return
        config = {**(await api(self.connection, f"CONSUMER.INFO.{self.name}.{name}"))["config"], **changes}
        action = f"CONSUMER.CREATE.{self.name}.{name}" + (
            f".{config['filter_subject']}" if "filter_subject" in config else ""
        )
        await api(self.connection, action, {"stream_name": self.name, "config": config, "action": "update"})


class MemoryWorld(World):
    def __init__(self, server: MemoryJetStream) -> None:
        super().__init__(server)
        self.server = server

    @override
    async def make_stream(self, **config: Any) -> None:
        self.server.make_stream(self.name, [self.name, f"{self.name}.>"], **config)

    @override
    async def delete_stream(self) -> None:
        self.server.delete_stream(self.name)

    @override
    async def publish(self, subject: str, payload: bytes = b"", block: bytes | None = None) -> None:
        assert self.server.publish(subject, payload, block) is not None

    @override
    async def purge(self, below: int | None = None) -> None:
        self.server.purge(self.name, below)

    @override
    async def delete_message(self, seq: int) -> None:
        self.server.delete_message(self.name, seq)

    @override
    async def edit_consumer(self, name: str, **changes: Any) -> None:
        self.server.edit_consumer(self.name, name, **changes)
