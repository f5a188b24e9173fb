"""The messages of a benchmark, and the plain loops that nats3 is measured against."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random

from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig

from nats3.dev.natswire import Said, Wire
from nats3.message import Batch

SUBJECTS = 50
FETCH = 5000
_POOL = 10_000
"""Bodies before one is used again, under another id: far more than lie in one compressed frame."""

_WORDS = (
    "alpha",
    "beta",
    "gamma",
    "delta",
    "sensor",
    "temperature",
    "pressure",
    "humidity",
    "status",
    "ok",
    "error",
    "device",
    "gateway",
    "region",
    "europe",
    "america",
    "order",
    "created",
    "shipped",
    "paid",
    "user",
    "click",
    "view",
    "page",
    "session",
)


def bodies(size: int, count: int, seed: int = 7) -> list[bytes]:
    """JSON objects without their opening brace, of about `size` bytes less an id: numbers, words and noise."""
    chance = Random(seed)
    return [_body(chance, size - 16) for _ in range(min(count, _POOL))]


def _body(chance: Random, size: int) -> bytes:
    said: dict[str, object] = {"device": f"dev-{chance.randint(1, 500)}", "value": round(chance.gauss(20, 5), 3)}
    while (room := size - len(json.dumps(said)) - 12) > 0:
        words = " ".join(chance.choice(_WORDS) for _ in range(8))
        said[f"k{len(said)}"] = f"{chance.random()} {words}"[:room]
    return json.dumps(said)[1:].encode()


def messages(stream: str, count: int, size: int) -> Iterator[Said]:
    """`count` messages of about `size` bytes on 50 subjects, each with one header; none is the same twice."""
    pool = bodies(size, count)
    subjects = [f"{stream}.{number}".encode() for number in range(SUBJECTS)]
    for number in range(count):
        payload = b'{"id":%d,%b' % (number, pool[number % len(pool)])
        yield Said(subjects[number % SUBJECTS], b"NATS/1.0\r\nTrace: %d\r\n\r\n" % number, payload)


def batch(stream: str, count: int, size: int) -> Batch:
    """The same as a store job holds them."""
    said = list(messages(stream, count, size))
    now = 1_700_000_000_000_000_000
    return Batch(
        list(range(1, count + 1)),
        [now + 20_000 * number for number in range(count)],
        [each.subject for each in said],
        [each.header for each in said],
        [each.payload for each in said],
    )


async def fill(url: str, js: JetStreamContext, stream: str, count: int, size: int) -> None:
    """A new stream on disk with `count` messages."""
    await js.add_stream(name=stream, subjects=[f"{stream}.>"])
    async with await Wire.open(url) as wire:
        async for _ in wire.publish(messages(stream, count, size)):
            pass


async def fetch_and_discard(js: JetStreamContext, stream: str, count: int) -> None:
    """Stock nats-py: fetch, read the metadata, acknowledge all up to the last of each fetch, throw away."""
    config = ConsumerConfig(ack_policy=AckPolicy.ALL, max_ack_pending=-1)
    subscription = await js.pull_subscribe(f"{stream}.>", durable="discard", stream=stream, config=config)
    seen = 0
    while seen < count:
        fetched = await subscription.fetch(min(FETCH, count - seen), timeout=10)
        for message in fetched:
            _ = message.metadata
        await fetched[-1].ack()
        seen += len(fetched)
    await subscription.unsubscribe()
    await js.delete_consumer(stream, "discard")


async def publish_plainly(js: JetStreamContext, subject: str, count: int, size: int) -> None:
    """Stock nats-py: `publish_async` with one header, its usual window of 4000, until all is acknowledged."""
    pool = bodies(size, count)
    for number in range(count):
        payload = b'{"id":%d,%b' % (number, pool[number % len(pool)])
        await js.publish_async(subject, payload, headers={"Trace": str(number)})
    await js.publish_async_completed()


async def acknowledged(js: JetStreamContext, stream: str) -> int:
    """Up to which seq somebody acknowledged everything."""
    return max((each.ack_floor.stream_seq for each in await js.consumers_info(stream) if each.ack_floor), default=0)


async def connected(url: str) -> Client:
    """Stock nats-py."""
    client = Client()
    await client.connect(url)
    return client
