"""A message's whole journey on real servers: out of a stream, into the bucket, and back."""

from __future__ import annotations

import asyncio
import sys
from uuid import uuid4

import nats
import pytest
from prometheus_client import CollectorRegistry

from eventstore import Append, Fence, Version
from nats3.config import load
from nats3.job.history import HISTORY, job_entity
from nats3.job.order import ChunkLimits, LoadOrder, StoreOrder
from nats3.job.ordering import JobCreated
from nats3.telemetry.logs import make_log
from nats3.telemetry.signals import Telemetry
from nats3.wiring import running


def config_of(nats_url, postgres_url, s3):
    return load(
        {
            "NATS3_NATS_URL": nats_url,
            "NATS3_POSTGRES_URL": postgres_url,
            "NATS3_POSTGRES_MIGRATE": "true",
            "NATS3_S3_ENDPOINT": s3.endpoint,
            "NATS3_S3_REGION": s3.region,
            "NATS3_S3_ACCESS": s3.access,
            "NATS3_S3_SECRET": s3.secret,
        }
    )


async def order(node, order_):
    job_id = uuid4()
    event = HISTORY.encode(JobCreated("store" if isinstance(order_, StoreOrder) else "load", order_))
    await node.batcher.append(Append(job_entity(job_id), Version(0), Fence(0), (event,), "test"))
    return job_id


@pytest.mark.timeout(60)
async def test_messages_come_back_as_they_went(nats_url, postgres_url, s3):
    telemetry = Telemetry(make_log("debug", "console", sys.stdout), CollectorRegistry())
    async with running(config_of(nats_url, postgres_url, s3), telemetry) as node:
        client = await nats.connect(nats_url)
        js = client.jetstream()
        stream, target = f"S{uuid4().hex[:8]}", f"T{uuid4().hex[:8]}"
        await js.add_stream(name=stream, subjects=[f"{stream}.>"])
        await js.add_stream(name=target, subjects=[f"{target}.>"])
        for number in range(250):
            await js.publish(f"{stream}.{number % 3}", b"%d" % number, headers={"N": str(number)})
        limits = ChunkLimits(max_count=100, max_age_s=0.5)
        await order(node, StoreOrder("store", stream, f"{stream}.>", s3.bucket, limits=limits))
        async with asyncio.timeout(15):
            while await node.database.fetch(
                __import__("sqlalchemy").text("select coalesce(sum(count),0) from chunks")
            ) != [(250,)]:
                await asyncio.sleep(0.1)
        await order(node, LoadOrder("load", s3.bucket, stream, f"{stream}.*", f"{target}.x"))
        async with asyncio.timeout(15):
            while (await js.stream_info(target)).state.messages < 250:
                await asyncio.sleep(0.1)
        got = [await js.get_msg(target, seq) for seq in range(1, 251)]
        assert [m.data for m in got] == [b"%d" % n for n in range(250)]
        for row in await node.database.fetch(
            __import__("sqlalchemy").text("select name, state, messages, published from jobs")
        ):
            print(row)
        await client.close()
