"""Loads of a part, under other subjects, at a pace, on real servers: what the target holds, and when it came."""

from __future__ import annotations

import asyncio
import io
from uuid import uuid4

import nats
import pytest
from nats.js.api import StreamConfig, StreamSource, SubjectTransform
from prometheus_client import CollectorRegistry

from nats3.config import load
from nats3.dev.nats3_server import environment
from nats3.job.loading import LoadCompleted
from nats3.job.order import ChunkLimits, LoadOrder, StoreOrder
from nats3.job.order import SubjectTransform as Renamed
from nats3.pace import PaceLimits
from nats3.telemetry.logs import make_log
from nats3.telemetry.signals import Telemetry
from nats3.wiring import running
from tests.stories.test_main_job import archived, order, said

COUNT = 120
RATE = 50.0


@pytest.mark.slow
@pytest.mark.timeout(60)
async def test_loads_are_shaped(nats_url, postgres_url, s3):
    telemetry = Telemetry(make_log("error", "json", io.StringIO()), CollectorRegistry())
    config = load(environment("127.0.0.1:0", nats_url, postgres_url, s3))
    async with running(config, telemetry) as node, asyncio.timeout(50):
        client = await nats.connect(nats_url)
        js = client.jetstream()
        stream, target, theirs = (f"{kind}{uuid4().hex[:8]}" for kind in ("S", "T", "R"))
        await js.add_stream(name=stream, subjects=[f"{stream}.*.*"])
        await js.add_stream(name=target, subjects=[f"{target}.>"])
        rule = SubjectTransform(src=f"{stream}.*.*", dest=f"{target}.{{{{partition(4,1,2)}}}}.$2")
        await js.add_stream(StreamConfig(name=theirs, sources=[StreamSource(name=stream, subject_transforms=[rule])]))
        for number in range(COUNT):
            headers = {"Region": "eu" if number % 3 else "us", "N": str(number)}
            await js.publish(f"{stream}.{number % 5}.{number % 7}", b"%d" % number, headers=headers)
        await order(node, StoreOrder("store", stream, ">", s3.bucket, limits=ChunkLimits(max_count=25, max_age_s=0.5)))
        await said(node, lambda events: archived(events) == COUNT)
        shaped = LoadOrder(
            "load",
            s3.bucket,
            stream,
            read_headers=(("Region", "eu"),),
            limit=70,
            subject_transforms=(Renamed(rule.src, rule.dest),),
            unmatched_subjects="refuse",
            pace=PaceLimits(messages_per_s=RATE),
        )
        await order(node, shaped)
        await said(node, lambda events: any(isinstance(event, LoadCompleted) for event in events))
        wanted = [number for number in range(COUNT) if number % 3][:70]
        got = [await js.get_msg(target, seq) for seq in range(1, 71)]
        assert [int(message.data) for message in got] == wanted
        assert (await js.stream_info(target)).state.messages == 70
        while (await js.stream_info(theirs)).state.messages < COUNT:  # noqa: ASYNC110 - the server sends no signal
            await asyncio.sleep(0.05)
        mapped = [await js.get_msg(theirs, number + 1) for number in wanted]
        assert [message.subject for message in got] == [message.subject for message in mapped], "as the server maps"
        times = [message.time for message in got]
        took = (times[-1] - times[0]).total_seconds()
        assert 69 / RATE - 0.2 < took < 69 / RATE + 5
        within = [sum(0 <= (each - start).total_seconds() < 0.5 for each in times) for start in times]
        assert max(within) <= RATE * 0.6 + 2, "a tenth of a second may be saved up, and no more"
        await client.close()
