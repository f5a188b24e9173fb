"""A service as `nats micro` sees it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from nats3.dev.nats_server import NatsServer
from nats3.jetstream.connection import Connection
from nats3.jetstream.micro import WAITING, About, Answer, Asked, Endpoint, Fault, Service
from nats3.jetstream.settings import NatsSettings

ABOUT = About("tested", "1.2.3", "for a test")


def explain(fault: Fault) -> bytes:
    return f"refused: {fault.text}".encode()


class Shop:
    """Handlers; `gate` lets those of `slow` wait."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.began = 0

    async def echo(self, asked: Asked) -> Answer:
        return Answer(asked.payload)

    async def refuse(self, asked: Asked) -> Answer:
        return Answer(b"{}", Fault(404, "no\r\nsuch thing"))

    async def slow(self, asked: Asked) -> Answer:
        self.began += 1
        await self.gate.wait()
        return Answer(b"done")

    async def large(self, asked: Asked) -> Answer:
        return Answer(b"x" * 2_000_000)

    def endpoints(self) -> list[Endpoint]:
        handlers = (("echo", self.echo), ("refuse", self.refuse), ("slow", self.slow), ("large", self.large))
        return [Endpoint(name, f"shop.{name}", handle, {"role": "read"}, explain) for name, handle in handlers]


@asynccontextmanager
async def serving(url: str, shop: Shop) -> AsyncIterator[Service]:
    async with Connection.open(NatsSettings(url), 10) as connection, asyncio.TaskGroup() as tasks:
        service = Service(connection, ABOUT, shop.endpoints(), datetime(2026, 11, 23, tzinfo=UTC))
        task = tasks.create_task(service.run())
        await asyncio.sleep(0)  # it subscribes in its first turn, on the link that our question takes too
        await connection.request("$SRV.PING.tested", b"", 5)
        yield service
        task.cancel()


@pytest.fixture
async def shop(fresh_nats: NatsServer) -> AsyncIterator[tuple[Shop, Client, Service]]:
    shop = Shop()
    async with serving(fresh_nats.url, shop) as service:
        client = await nats.connect(fresh_nats.url)
        yield shop, client, service
        await client.close()


async def asked(client: Client, subject: str, payload: bytes = b"") -> dict[str, Any]:
    return json.loads((await client.request(subject, payload, timeout=5)).data)


async def test_it_is_found_by_all_by_name_and_by_id(shop) -> None:
    _, client, service = shop
    same = {"name": "tested", "id": service.id, "version": "1.2.3", "metadata": {}}
    for end in ("", ".tested", f".tested.{service.id}"):
        assert await asked(client, f"$SRV.PING{end}") == {**same, "type": "io.nats.micro.v1.ping_response"}
    info = await asked(client, "$SRV.INFO.tested")
    assert (info["type"], info["description"]) == ("io.nats.micro.v1.info_response", "for a test")
    assert info["endpoints"][0] == {
        "name": "echo",
        "subject": "shop.echo",
        "queue_group": "q",
        "metadata": {"role": "read"},
    }


async def test_requests_are_answered_and_counted(shop) -> None:
    _, client, _ = shop
    assert (await client.request("shop.echo", b"hi", timeout=5)).data == b"hi"
    refused = await client.request("shop.refuse", b"", timeout=5)
    assert refused.headers == {"Nats-Service-Error": "no such thing", "Nats-Service-Error-Code": "404"}
    stats = await asked(client, "$SRV.STATS.tested")
    assert (stats["type"], stats["started"]) == ("io.nats.micro.v1.stats_response", "2026-11-23T00:00:00Z")
    echo, refuse, *_ = stats["endpoints"]
    assert (echo["num_requests"], echo["num_errors"], echo["last_error"]) == (1, 0, "")
    assert (refuse["num_requests"], refuse["num_errors"], refuse["last_error"]) == (1, 1, "404:no such thing")
    assert echo["processing_time"] == echo["average_processing_time"] > 0


async def test_an_answer_larger_than_a_message_is_refused_and_the_connection_lives(shop) -> None:
    _, client, _ = shop
    refused = await client.request("shop.large", b"", timeout=5)
    assert refused.headers["Nats-Service-Error-Code"] == "413"
    assert refused.data == b"refused: the answer is larger than a message may be: ask for less"
    assert (await client.request("shop.echo", b"hi", timeout=5)).data == b"hi"


async def test_who_comes_when_too_many_wait_is_told_so(shop) -> None:
    the_shop, client, _ = shop
    answers: list[Msg] = []
    everybody = WAITING + 20

    async def heard(message: Msg) -> None:
        answers.append(message)

    inbox = client.new_inbox()
    await client.subscribe(inbox, cb=heard)
    for _ in range(everybody):
        await client.publish("shop.slow", b"", reply=inbox)
    await client.flush()
    async with asyncio.timeout(10):
        while not answers:
            await client.flush()
        the_shop.gate.set()
        while len(answers) < everybody:
            await client.flush()
    refused = [each for each in answers if each.headers]
    assert {each.headers["Nats-Service-Error-Code"] for each in refused} == {"503"}
    assert the_shop.began == everybody - len(refused) >= WAITING


async def test_of_two_instances_one_answers_and_both_are_found(shop, fresh_nats: NatsServer) -> None:
    _, client, first = shop
    async with serving(fresh_nats.url, Shop()) as second:
        inbox = client.new_inbox()
        found = await client.subscribe(inbox)
        await client.publish("$SRV.PING", b"", reply=inbox)
        ids = {json.loads((await found.next_msg(5)).data)["id"] for _ in range(2)}
        assert ids == {first.id, second.id}
        replies = await client.subscribe(other := client.new_inbox())
        await client.publish("shop.echo", b"1", reply=other)
        await client.publish("shop.echo", b"2", reply=other)
        assert sorted([(await replies.next_msg(5)).data for _ in range(2)]) == [b"1", b"2"]
        await client.flush()
        assert replies.pending_msgs == 0


async def test_it_listens_again_after_an_outage(shop, fresh_nats: NatsServer) -> None:
    _, client, _ = shop
    await client.close()
    await fresh_nats.kill()
    await fresh_nats.start()
    again = await nats.connect(fresh_nats.url)
    async with asyncio.timeout(15):
        while True:
            try:
                answer = await again.request("shop.echo", b"hi", timeout=1)
            except (nats.errors.NoRespondersError, nats.errors.TimeoutError):
                continue
            break
    assert answer.data == b"hi"
    await again.close()
