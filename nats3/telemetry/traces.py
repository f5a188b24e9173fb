"""Traces: what took how long, from a command to the chunks that came of it. Off unless the settings name a collector.

A span is told once it is over, by who has its times: so nothing is carried through the rooms, and nothing is paid while off.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from secrets import randbits
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit, urlunsplit

from typing_extensions import override

from nats3.errors import Nats3Error

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor

_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Spot:
    """A place in a trace: the ids of a span, as W3C has them."""

    trace: int
    span: int

    @classmethod
    def of(cls, trace: int, event: int | None = None) -> Spot:
        """In this trace: the span of the command that made the event of this id, or of something else."""
        return cls(trace, randbits(64) | 1 if event is None else event & _MASK)

    @property
    def exemplar(self) -> dict[str, str]:
        """As a histogram shows it."""
        return {"trace_id": f"{self.trace:032x}"}


@dataclass(frozen=True, slots=True)
class Span:
    """Something that is over. `began` and `ended` are of the monotonic clock, in seconds."""

    name: str
    at: Spot
    parent: int | None
    began: float
    ended: float
    about: Mapping[str, str | int]
    failed: bool = False


class Traces(Protocol):
    """Takes spans. `on` says whether anybody wants them."""

    @property
    def on(self) -> bool: ...

    def tell(self, span: Span) -> None:
        """Quick, and never an error: what a collector does not take is lost."""
        ...

    def close(self) -> None:
        """Send what waits, for a few seconds at most."""
        ...


class NoTraces(Traces):
    """Every program that was not told of a collector."""

    @property
    @override
    def on(self) -> bool:
        return False

    @override
    def tell(self, span: Span) -> None:
        del span

    @override
    def close(self) -> None:
        return


class NoOtel(Nats3Error):
    """Traces are asked for, and the extra that sends them is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "traces.endpoint is set, and OpenTelemetry is not here: pip install 'nats3[otel]', or unset it"
        )


class OtelTraces(Traces):
    """Over OpenTelemetry's SDK. `wall` gives Unix nanoseconds for a monotonic time. Raises NoOtel."""

    def __init__(self, processor: SpanProcessor, node: str, wall: Callable[[float], int]) -> None:
        try:
            from nats3.telemetry.otel import Provider  # noqa: PLC0415 - an extra, and slow to load
        except ImportError as fault:
            raise NoOtel from fault
        self._provider = Provider(processor, node)
        self._wall = wall

    @property
    @override
    def on(self) -> bool:
        return True

    @override
    def tell(self, span: Span) -> None:
        self._provider.tell(span, self._wall(span.began), self._wall(span.ended))

    @override
    def close(self) -> None:
        self._provider.close()


def open_traces(endpoint: str | None, node: str, wall: Callable[[float], int]) -> Traces:
    """Traces to the collector at this URL (OTLP over HTTP). Raises NoOtel."""
    if endpoint is None:
        return NoTraces()
    try:
        from nats3.telemetry.otel import to_collector  # noqa: PLC0415 - an extra, and slow to load
    except ImportError as fault:
        raise NoOtel from fault
    url = urlsplit(endpoint)
    whole = url if url.path not in ("", "/") else url._replace(path="/v1/traces")
    return OtelTraces(to_collector(urlunsplit(whole)), node, wall)
