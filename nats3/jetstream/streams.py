"""What a stream and its consumers are, as the server tells it; the questions and orders nats3 has for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from nats3.errors import Nats3Error
from nats3.message import Message

Retention = Literal["limits", "interest", "workqueue"]


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """STREAM.INFO. `created` is in Unix nanoseconds, `first`/`last` are seqs (first = last + 1 when empty), `config` the raw JSON."""

    name: str
    created: int
    retention: Retention
    first: int
    last: int
    messages: int
    num_deleted: int
    config: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ConsumerSpec:
    """A durable pull consumer to make. `filter_subject` empty: everything. `ack` is "all" or "explicit"."""

    stream: str
    name: str
    filter_subject: str
    start_seq: int
    ack: Literal["all", "explicit"]
    ack_wait_s: float
    inactive_threshold_s: float | None
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class ConsumerInfo:
    name: str
    metadata: Mapping[str, str]
    pending: int


class StreamMissing(Nats3Error):
    """There is no such stream: make it, or change the job."""

    def __init__(self, stream: str) -> None:
        super().__init__(f"stream {stream} does not exist: create it, or change the job's stream")
        self.stream = stream


class ConsumerRefused(Nats3Error):
    """The server will not make the consumer; `code` is its error code (10100 overlapping filter, 10026 limit, ...)."""

    def __init__(self, stream: str, name: str, code: int, reason: str) -> None:
        super().__init__(f"stream {stream} refuses consumer {name}: {reason} ({code})")
        self.stream = stream
        self.name = name
        self.code = code


class Streams(Protocol):
    """JetStream's API as nats3 asks it. Every method raises Unavailable when NATS is away or does not answer."""

    async def info(self, stream: str) -> StreamInfo:
        """Raises StreamMissing."""
        ...

    async def message(self, stream: str, seq: int, next_by_subject: str | None = None) -> Message | None:
        """The message at `seq`, or the first at or after it that matches; None when there is none.

        It comes through JSON: bytes of its subject that are no UTF-8 are lost, all else is exact.
        """
        ...

    async def by_subject(self, subject: str) -> list[str]:
        """Names of the streams that take what is published on `subject`."""
        ...

    async def consumers(self, stream: str) -> list[ConsumerInfo]: ...

    async def make_consumer(self, spec: ConsumerSpec) -> None:
        """Raises ConsumerRefused, StreamMissing."""
        ...

    async def delete_consumer(self, stream: str, name: str) -> None:
        """Nothing happens when there is none."""
        ...
