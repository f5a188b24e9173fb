"""One trace: from the request that orders a job, through the events of its run, to the PUT and the append of a chunk."""

from __future__ import annotations

import asyncio
import io
from uuid import UUID, uuid4

import httpx2
import nats
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry

from nats3.api.app import build
from nats3.config import load
from nats3.dev.nats3_server import environment
from nats3.serve.services import services
from nats3.serve.telling import wall_clock
from nats3.telemetry.logs import make_log
from nats3.telemetry.signals import Telemetry
from nats3.telemetry.traces import OtelTraces
from nats3.wiring import running

TRACE, ABOVE = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.slow
@pytest.mark.timeout(60)
async def test_a_chunk_is_in_the_trace_of_the_request_that_ordered_its_job(nats_url, postgres_url, s3):
    kept = InMemorySpanExporter()
    traces = OtelTraces(SimpleSpanProcessor(kept), "node-a", wall_clock())
    telemetry = Telemetry(make_log("error", "json", io.StringIO()), CollectorRegistry(), traces)
    stream = f"S{uuid4().hex[:8]}"
    async with running(load(environment("127.0.0.1:0", nats_url, postgres_url, s3)), telemetry) as node:
        transport = httpx2.ASGITransport(build(services(node)))
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            js = (connection := await nats.connect(nats_url)).jetstream()
            await js.add_stream(name=stream, subjects=[f"{stream}.>"])
            await js.publish(f"{stream}.x", b"1")
            order = {"kind": "store", "name": "traced", "stream": stream, "bucket": s3.bucket}
            order |= {"limits": {"max_age": "200ms"}}
            sent = {"traceparent": f"00-{TRACE}-{ABOVE}-01"}
            made = await client.post("/api/v2/jobs", json=order, headers=sent)
            assert made.headers["x-request-id"] == str(UUID(TRACE))
            async with asyncio.timeout(30):
                while "chunk" not in {span.name for span in kept.get_finished_spans()}:  # noqa: ASYNC110 - real servers
                    await asyncio.sleep(0.02)
            run = f"run/{made.json()['id']}"
            told = (await client.get(f"/api/v2/events?correlation={UUID(TRACE)}&limit=100")).json()["items"]
            exposed = (await client.get("/metrics", headers={"accept": "application/openmetrics-text"})).text
            await connection.close()

    spans = {span.name: span for span in kept.get_finished_spans()}
    request, chunk = spans["POST /api/v2/jobs"], spans["chunk"]
    assert {f"{span.context.trace_id:032x}" for span in spans.values()} == {TRACE}
    assert f"{above(request):016x}" == ABOVE
    assert above(chunk) == request.context.span_id
    for step in ("put", "append", "ack"):
        inner = spans[f"chunk {step}"]
        assert above(inner) == chunk.context.span_id
        assert chunk.start_time <= inner.start_time <= inner.end_time <= chunk.end_time
    assert chunk.attributes["nats3.stream"] == stream
    assert {"run_activated", "chunk_flushed"} <= {event["type"] for event in told if event["entity_id"] == run}
    for metric in ("nats3_flush_seconds_bucket", "nats3_s3_seconds_bucket", "nats3_http_seconds_bucket"):
        lines = [line for line in exposed.splitlines() if line.startswith(metric)]
        assert any(f'trace_id="{TRACE}"' in line for line in lines), metric


def above(span: ReadableSpan) -> int:
    assert span.parent is not None
    return span.parent.span_id
