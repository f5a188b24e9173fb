"""Every metric that tells of a job moves while real jobs work on real servers."""

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
from nats3.job.order import ChunkLimits, LoadOrder, Order, StoreOrder, kind_of
from nats3.job.ordering import JobCreated
from nats3.telemetry.logs import make_log
from nats3.telemetry.signals import Telemetry
from nats3.wiring import Node, running

COUNT = 60


class Seen:
    def __init__(self) -> None:
        self.telemetry = Telemetry(make_log("error", "json", io.StringIO()), CollectorRegistry())

    def __getitem__(self, name: str) -> float | None:
        """One sample, by its name as /metrics shows it."""
        lines = self.telemetry.exposition()[0].decode().splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.rpartition(" ")[0] == name), None)

    async def until(self, name: str, value: float) -> None:
        async with asyncio.timeout(20):
            while self[name] != value:  # noqa: ASYNC110 - what is waited for is the work of real servers
                await asyncio.sleep(0.02)


async def order(node: Node, what: Order) -> None:
    event = HISTORY.encode(JobCreated(kind_of(what), what))
    await node.log.batcher.append(Append(job_entity(uuid4()), Version(0), Fence(0), (event,), "a test"))


async def completed(node: Node) -> None:
    async for page in node.log.tail.follow(Position(0)):
        if any(isinstance(event, LoadCompleted) for event in map(HISTORY.decode, page)):
            return


@pytest.mark.slow
@pytest.mark.timeout(60)
async def test_backlog_progress_duplicates_and_latencies_are_told(nats_url, postgres_url, s3):
    # NATS is away for a moment right before progress is recorded; the target has kept only the last message by then, so all
    # others are published once more, under the ids that it knows.
    doubt = {"NATS3_FAILPOINTS": "load.before_progress=raise@1", "NATS3_FAILPOINTS_ALLOWED": "true"}
    config, seen = load({**environment("127.0.0.1:0", nats_url, postgres_url, s3), **doubt}), Seen()
    stream, target = f"S{uuid4().hex[:8]}", f"T{uuid4().hex[:8]}"
    async with running(config, seen.telemetry) as node, asyncio.timeout(45):
        client = await nats.connect(nats_url)
        js = client.jetstream()
        await js.add_stream(name=stream, subjects=[f"{stream}.>"])
        await js.add_stream(name=target, subjects=[f"{target}.>"], max_msgs=1)
        for number in range(COUNT):
            await js.publish(f"{stream}.x", b"%d" % number)

        limits = ChunkLimits(max_count=2 * COUNT, max_age_s=2.0)
        await order(node, StoreOrder("store", stream, "", s3.bucket, limits=limits))
        await seen.until(f'nats3_lag_messages{{job="store",stream="{stream}"}}', COUNT)
        assert (seen[f'nats3_lag_seconds{{job="store",stream="{stream}"}}'] or 0) > 0
        await seen.until(f'nats3_last_archived_seq{{job="store",stream="{stream}"}}', COUNT)

        what = LoadOrder("load", s3.bucket, stream, ">", f"{target}.x", mode="at_least_once")
        await order(node, what)
        await completed(node)
        await seen.until('nats3_load_planned_messages{job="load"}', COUNT)
        await seen.until('nats3_load_messages{job="load"}', COUNT)
        assert seen['nats3_duplicates_total{job="load"}'] == COUNT - 1

        for name in ("nats3_flush_seconds", "nats3_append_seconds", "nats3_chunk_bytes", "nats3_chunk_ratio"):
            assert (seen[f"{name}_count"] or 0) > 0, name
        assert (seen['nats3_s3_seconds_count{connection="main",operation="put"}'] or 0) > 0
        for view in ("jobs", "chunks", "coverage"):
            await seen.until(f'nats3_projection_lag_events{{projection="{view}"}}', 0)
        await client.close()
