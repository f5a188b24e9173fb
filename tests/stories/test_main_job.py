"""A message's whole journey on real servers: out of a stream, into the bucket, and back."""

from __future__ import annotations

import asyncio
import io
from uuid import uuid4

import nats
import pytest
from prometheus_client import CollectorRegistry

from eventstore import Append, Fence, Position, Version
from nats3.config import load
from nats3.dev.nats3_server import environment
from nats3.job.history import HISTORY, job_entity
from nats3.job.loading import LoadCompleted
from nats3.job.order import ChunkLimits, LoadOrder, StoreOrder, kind_of
from nats3.job.ordering import JobCreated
from nats3.job.storing import ChunkFlushed
from nats3.telemetry.logs import make_log
from nats3.telemetry.signals import Telemetry
from nats3.wiring import running

COUNT = 250


@pytest.fixture
def config(nats_url, postgres_url, s3):
    return load(environment("127.0.0.1:0", nats_url, postgres_url, s3))


async def order(node, what):
    event = HISTORY.encode(JobCreated(kind_of(what), what))
    await node.log.batcher.append(Append(job_entity(uuid4()), Version(0), Fence(0), (event,), "a test"))


async def said(node, enough):
    """Follow the log from its beginning until `enough` holds for the events so far."""
    heard = []
    async for page in node.log.tail.follow(Position(0)):
        heard += map(HISTORY.decode, page)
        if enough(heard):
            return heard
    raise AssertionError


def archived(events):
    return sum(event.count for event in events if isinstance(event, ChunkFlushed))


@pytest.mark.slow
@pytest.mark.timeout(60)
async def test_messages_come_back_as_they_went(config, nats_url, s3):
    telemetry = Telemetry(make_log("error", "json", io.StringIO()), CollectorRegistry())
    async with running(config, telemetry) as node, asyncio.timeout(40):
        client = await nats.connect(nats_url)
        js = client.jetstream()
        stream, target = f"S{uuid4().hex[:8]}", f"T{uuid4().hex[:8]}"
        await js.add_stream(name=stream, subjects=[f"{stream}.>"])
        await js.add_stream(name=target, subjects=[f"{target}.>"])
        for number in range(COUNT):
            await js.publish(f"{stream}.{number % 3}", b"%d" % number, headers={"N": str(number)})
        limits = ChunkLimits(max_count=100, max_age_s=0.5)
        await order(node, StoreOrder("store", stream, f"{stream}.>", s3.bucket, limits=limits))
        await said(node, lambda events: archived(events) == COUNT)
        await order(node, LoadOrder("load", s3.bucket, stream, f"{stream}.*", f"{target}.x"))
        events = await said(node, lambda events: any(isinstance(event, LoadCompleted) for event in events))
        got = [await js.get_msg(target, seq) for seq in range(1, COUNT + 1)]
        assert [message.data for message in got] == [b"%d" % number for number in range(COUNT)]
        assert [message.headers["N"] for message in got] == [str(number) for number in range(COUNT)]
        assert events[-1] == LoadCompleted(COUNT, 0)
        await client.close()
