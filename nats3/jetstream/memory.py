"""JetStream in memory: the same promises as the real one, for deterministic tests of whoever uses this room.

Time moves by a millisecond with every message and as far as advance() says. Nothing is delivered by a task: a source
is fed when it asks, and when something is published.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Literal

from typing_extensions import override

from nats3.errors import Unavailable
from nats3.jetstream.atomic import MOST_MESSAGES, Marker
from nats3.jetstream.errors import MustBind, Reason
from nats3.jetstream.frames import HEADROOM
from nats3.jetstream.memory_publisher import MemoryAtomicPublisher, MemoryPublisher
from nats3.jetstream.memory_source import MemorySource
from nats3.jetstream.memory_stream import (
    ACK_ALL_REFUSED,
    MemoryStream,
    Stored,
)
from nats3.jetstream.server import JetStream
from nats3.jetstream.streams import (
    ConsumerInfo,
    ConsumerRefused,
    ConsumerSpec,
    StreamInfo,
    StreamMissing,
    StreamRefused,
    Streams,
)
from nats3.jetstream.tail import Seen, message_id
from nats3.message import Message
from nats3.subject import matches

_START_NS = 1_700_000_000_123_456_789
_STEP_NS = 1_000_000
STREAM_DIFFERS = 10058
_DEFAULTS: dict[str, Any] = {"retention": "limits", "duplicate_window": 120_000_000_000}


class MemoryJetStream(JetStream):
    """A server that a test drives: it makes streams, publishes, and lets faults happen."""

    def __init__(self, max_payload: int = 1024 * 1024) -> None:
        self.now_ns = _START_NS
        self.batch_messages = MOST_MESSAGES
        self._epoch = 0
        self.all: dict[str, MemoryStream] = {}
        self._refusals: list[int] = []
        self._steps_down = False
        self._max_payload = max_payload
        self._up = asyncio.Event()
        self._up.set()
        self._sources: list[MemorySource] = []
        self._publishers: list[MemoryPublisher] = []
        self._streams = MemoryStreams(self)

    @property
    @override
    def streams(self) -> MemoryStreams:
        return self._streams

    @property
    @override
    def max_payload(self) -> int:
        return self._max_payload

    @property
    @override
    def server_version(self) -> tuple[int, int, int]:
        return (2, 15, 1)

    @property
    @override
    def epoch(self) -> int:
        return self._epoch

    @property
    def connected(self) -> bool:
        return self._up.is_set()

    @override
    async def wait_connected(self) -> None:
        await self._up.wait()

    @override
    def source(self, stream: str, consumer: str, ack: Literal["all", "explicit"] = "all") -> MemorySource:
        self.need_up()
        source = MemorySource(self.find(stream), consumer, self._max_payload + HEADROOM)
        self._sources.append(source)
        return source

    @override
    def publisher(
        self, stream: str, expect_last: int | None = None, *, behind: int = 0, strict: bool = False
    ) -> MemoryPublisher:
        self.need_up()
        publisher = MemoryPublisher(self, stream, expect_last, behind=behind, strict=strict)
        self._publishers.append(publisher)
        return publisher

    @override
    def atomic_publisher(self, stream: str, marker: Marker) -> MemoryAtomicPublisher:
        self.need_up()
        publisher = MemoryAtomicPublisher(self, stream, marker, self.batch_messages)
        self._publishers.append(publisher)
        return publisher

    def make_stream(self, name: str, subjects: Sequence[str], **config: Any) -> MemoryStream:  # noqa: ANN401 - raw JSON
        """A new life of a stream, with a `created` of its own."""
        self.now_ns += _STEP_NS
        merged = {**_DEFAULTS, "name": name, "subjects": list(subjects), **config}
        stream = self.all[name] = MemoryStream(name, self.now_ns, merged)
        return stream

    def delete_stream(self, name: str) -> None:
        del self.all[name]
        self._end_sources(name, None)

    def publish(self, subject: str | bytes, payload: bytes = b"", block: bytes | None = None) -> Stored | None:
        """Store a message in the stream that takes its subject; None when there is none. Raises WrongLastSequence."""
        raw = subject.encode() if isinstance(subject, str) else subject
        stream = self.taker(raw)
        if stream is None:
            return None
        self.now_ns += _STEP_NS
        stored = stream.store(raw, block, payload, self.now_ns)
        self.feed()
        return stored

    def taker(self, subject: bytes) -> MemoryStream | None:
        """The stream that takes what is published on `subject`."""
        return next((stream for stream in self.all.values() if stream.takes(subject)), None)

    def refuse(self, *codes: int) -> None:
        """So many of the next messages, or atomic batches, are refused, with these codes of a server."""
        self._refusals += codes

    def step_down(self) -> None:
        """The next messages that are sent together meet a change of the leader: the latter half is stored first."""
        self._steps_down = True

    def stored_order(self, count: int) -> list[int]:
        """In which order so many messages are stored that are sent together."""
        cut = count // 2 if self._steps_down else 0
        self._steps_down = self._steps_down and not cut
        return [*range(cut, count), *range(cut)]

    def refusal(self) -> dict[str, Any] | None:
        """The error of the next one, None when it is taken."""
        return {"err_code": self._refusals.pop(0), "description": "as ordered"} if self._refusals else None

    def purge(self, name: str, below: int | None = None) -> None:
        self.all[name].purge(below)

    def delete_message(self, name: str, seq: int) -> None:
        del self.all[name].messages[seq]

    def roll_back(self, name: str, last: int) -> None:
        """Lose every message above `last`, keeping `created`, as a server without power does."""
        self.all[name].roll_back(last)

    def restore(self, name: str) -> None:
        """The stream comes back from a backup: the same messages under a new `created`, without its consumers."""
        self.now_ns += _STEP_NS
        self.all[name].created = self.now_ns
        self.all[name].consumers.clear()
        self._end_sources(name, None)

    def advance(self, nanoseconds: int) -> None:
        """Move the server's clock; what is too old goes."""
        self.now_ns += nanoseconds
        for stream in self.all.values():
            stream.expire(self.now_ns)

    def redeliver(self, name: str, consumer: str) -> None:
        """The ack wait is over: what is not acknowledged is delivered again."""
        for source in self._sources:
            if source.of(name, consumer):
                source.redeliver()

    def disconnect(self) -> None:
        """Every source and publisher loses its connection; requests are Unavailable until reconnect()."""
        self._epoch += 1
        self._up.clear()
        for open_one in [*self._sources, *self._publishers]:
            open_one.end(MustBind(Reason.CONNECTION_LOST))
        self._sources.clear()
        self._publishers.clear()

    def reconnect(self) -> None:
        self._up.set()

    def need_up(self) -> None:
        """Raises Unavailable while disconnected."""
        if not self.connected:
            raise Unavailable("nats", "disconnected")

    def feed(self) -> None:
        """Give every source what it asked for and may have."""
        for source in list(self._sources):
            source.feed()

    def drop_consumer(self, name: str, consumer: str) -> None:
        """Delete a consumer: its sources are told."""
        self.all[name].remove_consumer(consumer)
        self._end_sources(name, consumer)

    def edit_consumer(self, name: str, consumer: str, **changes: Any) -> None:  # noqa: ANN401 - raw JSON
        """What a stranger does to a consumer: another filter_subject, headers_only, pause_until."""
        self.all[name].consumers[consumer].config |= changes
        self.feed()

    def find(self, stream: str) -> MemoryStream:
        """Raises Unavailable, StreamMissing."""
        self.need_up()
        found = self.all.get(stream)
        if found is None:
            raise StreamMissing(stream)
        return found

    def _end_sources(self, name: str, consumer: str | None) -> None:
        for source in [one for one in self._sources if one.of(name, consumer)]:
            source.end(MustBind(Reason.CONSUMER_DELETED))
            self._sources.remove(source)


class MemoryStreams(Streams):
    """Streams over the memory server."""

    def __init__(self, server: MemoryJetStream) -> None:
        self._server = server

    @override
    async def info(self, stream: str) -> StreamInfo:
        return self._server.find(stream).info()

    @override
    async def deleted(self, stream: str) -> list[int]:
        found = self._server.find(stream)
        return [seq for seq in range(found.first, found.last) if seq not in found.messages]

    @override
    async def message(self, stream: str, seq: int, next_by_subject: str | None = None) -> Message | None:
        messages = self._server.find(stream).messages
        if next_by_subject is None:
            return messages.get(seq)
        found = (one for at, one in sorted(messages.items()) if at >= seq and matches(next_by_subject, one.subject))
        return next(found, None)

    @override
    async def last_message(self, stream: str, subject: str) -> Message | None:
        messages = self._server.find(stream).messages
        return next((one for _, one in sorted(messages.items(), reverse=True) if matches(subject, one.subject)), None)

    @override
    async def by_subject(self, subject: str) -> list[str]:
        self._server.need_up()
        return [name for name, stream in self._server.all.items() if stream.takes(subject.encode())]

    @override
    async def every(self) -> list[StreamInfo]:
        self._server.need_up()
        return [stream.info() for _, stream in sorted(self._server.all.items())]

    @override
    async def consumers(self, stream: str) -> list[ConsumerInfo]:
        found = self._server.find(stream)
        return [found.consumer_info(consumer, self._server.now_ns) for consumer in found.consumers.values()]

    @override
    async def consumer(self, stream: str, name: str) -> ConsumerInfo | None:
        found = self._server.find(stream)
        known = found.consumers.get(name)
        return None if known is None else found.consumer_info(known, self._server.now_ns)

    @override
    async def make_consumer(self, spec: ConsumerSpec) -> ConsumerInfo:
        found, now_ns = self._server.find(spec.stream), self._server.now_ns
        return found.consumer_info(found.add_consumer(spec, now_ns), now_ns)

    @override
    async def delete_consumer(self, stream: str, name: str) -> None:
        self._server.need_up()
        if stream in self._server.all:
            self._server.drop_consumer(stream, name)

    @override
    async def make_stream(self, config: Mapping[str, Any]) -> None:
        self._server.need_up()
        name, told = config["name"], {key: value for key, value in config.items() if key not in {"name", "subjects"}}
        there = self._server.all.get(name)
        if there is None:
            self._server.make_stream(name, config["subjects"], **told)
        elif not {"subjects": config["subjects"], **told}.items() <= there.config.items():
            raise StreamRefused(name, STREAM_DIFFERS, "stream name already in use with a different configuration")

    @override
    async def tail(self, stream: str, from_seq: int) -> AsyncIterator[list[Seen]]:
        found = self._server.find(stream)
        if found.config["retention"] == "workqueue":
            raise ConsumerRefused(stream, "tail", ACK_ALL_REFUSED, "a work queue wants explicit acks")
        page = [
            Seen(seq, message_id(one.header), one.subject)
            for seq, one in sorted(found.messages.items())
            if seq >= from_seq
        ]
        if page:
            yield page
