"""The JetStream contract on a real nats-server and on memory."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from nats3.jetstream.connection import Connection
from nats3.jetstream.memory import MemoryJetStream
from nats3.jetstream.settings import NatsSettings
from tests.contract.jetstream_contract import JetStreamContract, World
from tests.jetstream.worlds import MemoryWorld, RealWorld


class TestNats(JetStreamContract):
    @pytest.fixture
    async def world(self, nats_url: str) -> AsyncIterator[World]:
        async with Connection.open(NatsSettings(nats_url), patience_s=5) as connection:
            yield RealWorld(connection)


class TestMemory(JetStreamContract):
    @pytest.fixture
    async def world(self) -> World:
        return MemoryWorld(MemoryJetStream())
