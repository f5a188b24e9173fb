"""OpenTelemetry as traces use it: spans with ids and times that are known before. Imported only where they are wanted."""

from __future__ import annotations

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from typing_extensions import override

from nats3 import __version__
from nats3.telemetry.traces import Span, Spot

_PATIENCE_S = 2.0
"""How long a collector may take for one request; the node that ends waits for the last one."""


class _Ids(IdGenerator):
    """Gives the ids of the span that is told next."""

    next = Spot(1, 1)

    @override
    def generate_trace_id(self) -> int:
        return self.next.trace

    @override
    def generate_span_id(self) -> int:
        return self.next.span


class Provider:
    """One per process, told from one thread."""

    def __init__(self, processor: SpanProcessor, node: str) -> None:
        self._ids = _Ids()
        resource = Resource.create(
            {"service.name": "nats3", "service.version": __version__, "service.instance.id": node}
        )
        self._provider = TracerProvider(resource=resource, id_generator=self._ids, shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("nats3", __version__)

    def tell(self, span: Span, began_ns: int, ended_ns: int) -> None:
        self._ids.next = span.at
        context = None
        if span.parent is not None:
            above = SpanContext(span.at.trace, span.parent, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
            context = set_span_in_context(NonRecordingSpan(above))
        kind = SpanKind.SERVER if "http.route" in span.about else SpanKind.INTERNAL
        told = self._tracer.start_span(
            span.name, context=context, kind=kind, attributes=dict(span.about), start_time=began_ns
        )
        if span.failed:
            told.set_status(Status(StatusCode.ERROR))
        told.end(end_time=ended_ns)

    def close(self) -> None:
        self._provider.shutdown()


def to_collector(url: str) -> SpanProcessor:
    """Sends spans in batches from a thread of its own; what does not fit into its queue is dropped."""
    return BatchSpanProcessor(OTLPSpanExporter(endpoint=url, timeout=_PATIENCE_S))
