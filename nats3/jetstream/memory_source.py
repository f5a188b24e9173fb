"""A source over the memory server: fed when it asks, and by every publish."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from typing_extensions import override

from nats3.jetstream.errors import MustBind, Reason
from nats3.jetstream.memory_stream import MemoryConsumer, MemoryStream
from nats3.jetstream.source import Delivered, Source
from nats3.message import Batch, Message, one


class MemorySource(Source):
    """Source over the memory server. It is fed by ask() and by every publish."""

    def __init__(self, stream: MemoryStream, consumer: str, least_bytes: int) -> None:
        self._least_bytes = least_bytes
        self._stream = stream
        self._consumer: MemoryConsumer | None = stream.consumers.get(consumer)
        self._name = consumer
        self._room = 0
        self._room_bytes = 0
        self._refused = 0
        self._news = False
        self._arrived_bytes = 0
        self._batch = Batch()
        self._again = Batch()
        self._fault: MustBind | None = None
        self._arrived = asyncio.Event()
        if self._consumer is None:
            self.end(MustBind(Reason.CONSUMER_DELETED))

    @property
    @override
    def least_bytes(self) -> int:
        return self._least_bytes

    @property
    @override
    def may_arrive(self) -> int:
        return self._room_bytes + self._arrived_bytes

    @property
    @override
    def refused(self) -> int:
        return self._refused

    @override
    def ask(self, messages: int, max_bytes: int) -> None:
        self._room = messages
        self._room_bytes = max_bytes
        self.feed()

    @override
    async def receive(self) -> Delivered:
        while not (len(self._batch) or len(self._again)):
            self._check()
            if self._news:
                break
            self._arrived.clear()
            await self._arrived.wait()
        self._news, self._arrived_bytes = False, 0
        delivered = Delivered(self._batch, self._again)
        self._batch, self._again = Batch(), Batch()
        return delivered

    @override
    async def ack_up_to(self, seq: int) -> None:
        self._acknowledge([seq])

    @override
    async def ack_each(self, seqs: Sequence[int]) -> None:
        self._acknowledge(seqs)

    @override
    async def close(self) -> None:
        self.end(MustBind(Reason.CONSUMER_DELETED, "closed by us"))

    def of(self, stream: str, consumer: str | None) -> bool:
        """Whether it receives from this consumer, or from any of the stream."""
        return self._stream.name == stream and consumer in (None, self._name)

    def end(self, fault: MustBind) -> None:
        if self._fault is None:
            self._fault = fault
            self._arrived.set()

    def feed(self) -> None:
        """Take what the consumer has, as far as was asked."""
        consumer = self._consumer
        while self._fault is None and consumer is not None and self._room > 0:
            message = self._stream.next_for(consumer)
            if message is None or self._room_bytes <= self._refused:
                return
            if _size(message) > self._room_bytes:
                self._refuse()
                return
            self._refused = 0
            consumer.next_seq = message.seq + 1
            self._deliver(consumer, message, self._batch)

    def _refuse(self) -> None:
        """A request ends before a message that no longer fits; the next one must be larger if nothing came of it."""
        self._refused = self._room_bytes
        self._news = True
        self._arrived.set()

    def redeliver(self) -> None:
        consumer = self._consumer
        if self._fault is not None or consumer is None:
            return
        for seq in sorted(consumer.pending):
            message = self._stream.messages.get(seq)
            if message is not None:
                self._deliver(consumer, message, self._again)

    def _deliver(self, consumer: MemoryConsumer, message: Message, batch: Batch) -> None:
        consumer.dseq += 1
        consumer.pending[message.seq] = consumer.pending.get(message.seq, 0) + 1
        self._room -= 1
        self._room_bytes -= _size(message)
        self._arrived_bytes += _size(message)
        batch.extend(one(_without_payload(message) if consumer.config.get("headers_only") else message))
        self._arrived.set()

    def _acknowledge(self, seqs: Sequence[int]) -> None:
        self._check()
        assert self._consumer is not None
        for seq in seqs:
            self._consumer.acknowledge(seq)
        self._stream.drop_unwanted()
        self.feed()

    def _check(self) -> None:
        if self._fault is not None:
            raise self._fault


def _size(message: Message) -> int:
    return len(message.subject) + len(message.header or b"") + len(message.payload)


def _without_payload(message: Message) -> Message:
    """As a consumer of headers only gives it."""
    block = (message.header or b"NATS/1.0\r\n\r\n")[:-2] + b"Nats-Msg-Size: %d\r\n\r\n" % len(message.payload)
    return message._replace(header=block, payload=b"")
