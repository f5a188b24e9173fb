"""A consumer's messages as they come, complete and in order, or the reason why that cannot be said any more."""

from __future__ import annotations

import asyncio
import json
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import islice
from operator import lt
from typing import Literal, assert_never

from typing_extensions import override

from nats3.jetstream import ack_subject, status
from nats3.jetstream.api import AGAIN_S
from nats3.jetstream.errors import MustBind, Reason
from nats3.jetstream.frames import HEADROOM, Frames, Sink, publish_frame
from nats3.jetstream.link import NO_RESPONDERS, Link, status_of
from nats3.jetstream.pulls import Pulls
from nats3.jetstream.reading import DEFAULT_PATIENCE, Delivered, Patience, Source
from nats3.message import Batch

__all__ = ["Delivered", "Patience", "PullSource", "Source"]

_ACK = b"+ACK"
_NS = 1_000_000_000
_WORDS = 4
"""A reply subject says at least seq, delivery, time and pending behind its head."""


class PullSource(Source, Sink):
    """A durable pull consumer over our own frames, on one link.

    Deliveries are complete when their delivery sequence rises by one each, which heartbeats confirm while it is quiet.
    """

    def __init__(
        self,
        link: Link,
        api: str,
        stream: str,
        consumer: str,
        *,
        ack: Literal["all", "explicit", "none"] = "all",
        patience: Patience = DEFAULT_PATIENCE,
    ) -> None:
        self._link = link
        self._patience = patience
        self._next = f"{api}.CONSUMER.MSG.NEXT.{stream}.{consumer}".encode()
        self._names = (stream.encode(), consumer.encode())
        self._acks = ack != "none"
        self._pulls = Pulls(link.max_payload + HEADROOM, link.inflow)
        self._batch = Batch()
        self._again = Batch()
        self._head = b""
        """The reply subject of a first delivery up to its seq, and what it is without "1." at its end."""
        self._ack_head = b""
        self._ack_tail = b".0.0"
        self._last_seq = 0
        self._last_dseq = 0
        self._seqs = array("Q")
        self._dseqs = array("Q")
        self._redelivered: dict[int, tuple[int, int]] = {}
        self._fault: MustBind | None = None
        self._news = False
        self._arrived_bytes = 0
        self._arrived = asyncio.Event()
        self._heard = asyncio.get_running_loop().time()
        self._inbox = link.new_inbox() + b"."
        self._sid = link.subscribe(self._inbox + b"*", self)

    @property
    @override
    def least_bytes(self) -> int:
        return self._pulls.least_bytes

    @property
    @override
    def may_arrive(self) -> int:
        return self._pulls.may_arrive + self._arrived_bytes

    @property
    @override
    def refused(self) -> int:
        return self._pulls.refused

    @override
    def ask(self, messages: int, max_bytes: int) -> None:
        self._pulls.allow(messages, max_bytes)
        self._pull()

    @override
    async def receive(self) -> Delivered:
        while not (self._batch.seqs or self._again.seqs):
            if self._fault is not None:
                raise self._fault
            if self._news:
                break
            await self._hear()
        self._news, self._arrived_bytes = False, 0
        delivered = Delivered(self._batch, self._again)
        self._batch, self._again = Batch(), Batch()
        return delivered

    @override
    async def ack_up_to(self, seq: int) -> None:
        count = bisect_right(self._seqs, seq)
        if count == 0:
            return
        await self._confirm(self._reply(1, self._seqs[count - 1], self._dseqs[count - 1]))
        del self._seqs[:count], self._dseqs[:count]
        self._redelivered = {again: place for again, place in self._redelivered.items() if again > seq}

    @override
    async def ack_each(self, seqs: Sequence[int]) -> None:
        replies = [self._reply_of(seq) for seq in seqs]
        if not replies:
            return
        self._link.write(b"".join([publish_frame(reply, _ACK) for reply in replies[:-1]]))
        await self._confirm(replies[-1])
        self._forget(seqs)

    @override
    async def close(self) -> None:
        self._end(MustBind(Reason.CONSUMER_DELETED, "closed by us"))

    @override
    def take(self, frames: Frames) -> None:
        self._heard = asyncio.get_running_loop().time()
        for alike in _apart(frames):
            if not self._take_plain(alike):
                self._take_each(alike)
        self._pull()
        self._arrived.set()

    @override
    def lost(self) -> None:
        self._end(MustBind(Reason.CONNECTION_LOST))

    def _end(self, fault: MustBind) -> None:
        """Nothing more is taken; what arrived before is still handed out."""
        if self._fault is None:
            self._fault = fault
            self._link.unsubscribe(self._sid)
            self._pulls.over()
            self._arrived.set()

    async def _hear(self) -> None:
        """Wait for something to arrive; an open request and no sign of the server is the end."""
        self._arrived.clear()
        silence = self._patience.silence_s
        deadline = self._heard + silence if self._pulls.waiting else None
        try:
            async with asyncio.timeout_at(deadline):
                await self._arrived.wait()
        except TimeoutError:
            if asyncio.get_running_loop().time() >= self._heard + silence:
                self._end(MustBind(Reason.HEARTBEATS_MISSED, f"for {silence:g} s"))

    def _pull(self) -> None:
        if not self._pulls.waiting:
            self._heard = asyncio.get_running_loop().time()
        while self._fault is None and (pull := self._pulls.next()) is not None:
            body = {
                "batch": pull.messages,
                "max_bytes": pull.max_bytes,
                "expires": round(self._patience.expires_s * _NS),
                "idle_heartbeat": round(self._patience.heartbeat_s * _NS),
            }
            self._link.write(publish_frame(self._next, json.dumps(body).encode(), self._inbox + b"%d" % pull.number))

    def _take_plain(self, frames: Frames) -> bool:
        """Take frames that are all first deliveries, in bulk; False, and nothing done, when they are not."""
        head = self._head
        if not head or self._fault is not None:
            return False
        tails = b".".join(frames.replies).split(head)
        if len(tails) != len(frames) + 1 or tails[0]:
            return False
        words = b"".join(tails).split(b".")
        width = len(words) // len(frames)
        if width < _WORDS or len(words) != width * len(frames):
            return False
        try:
            seqs, dseqs, times = [list(map(int, words[place::width])) for place in range(3)]
        except ValueError:
            return False
        first = self._last_dseq + 1
        rising = seqs[0] > self._last_seq and all(map(lt, seqs, islice(seqs, 1, None)))
        if not rising or dseqs != list(range(first, first + len(dseqs))):
            return False
        self._count(frames)
        self._batch.extend(Batch(seqs, times, frames.subjects, frames.headers, frames.payloads))
        self._last_seq, self._last_dseq = seqs[-1], dseqs[-1]
        if self._acks:
            self._seqs.extend(seqs)
            self._dseqs.extend(dseqs)
        return True

    def _count(self, frames: Frames) -> None:
        size = sum(map(len, frames.subjects)) + sum(map(len, frames.replies)) + sum(map(len, frames.payloads))
        self._book(len(frames), size + sum(len(header) for header in frames.headers if header is not None))

    def _book(self, messages: int, size: int) -> None:
        self._pulls.arrived(messages, size)
        self._arrived_bytes += size

    def _take_each(self, frames: Frames) -> None:
        """Take frames one by one: statuses, redeliveries, and whatever ends this source."""
        columns = zip(frames.subjects, frames.replies, frames.headers, frames.payloads, strict=True)
        for subject, reply, header, payload in columns:
            if self._fault is not None:
                return
            delivery = ack_subject.parse(reply)
            if delivery is None:
                self._take_status(subject, header)
                continue
            fault = self._judge(delivery)
            if fault is not None:
                self._end(fault)
                return
            self._take_one(delivery, subject, header, payload)
            self._book(1, len(subject) + len(reply) + len(header or b"") + len(payload))

    def _judge(self, delivery: ack_subject.Delivery) -> MustBind | None:
        """Why `delivery` cannot follow what came before, None when it can."""
        if (delivery.stream, delivery.consumer) != self._names:
            return MustBind(Reason.FOREIGN_DELIVERY, f"{delivery.stream!r} {delivery.consumer!r}")
        if delivery.dseq != self._last_dseq + 1:
            return MustBind(Reason.DELIVERY_LOST, f"{delivery.dseq} after {self._last_dseq}")
        if delivery.delivered == 1 and delivery.seq <= self._last_seq:
            return MustBind(Reason.OUT_OF_ORDER, f"{delivery.seq} after {self._last_seq}")
        return None

    def _take_one(self, delivery: ack_subject.Delivery, subject: bytes, header: bytes | None, payload: bytes) -> None:
        self._learn(delivery)
        self._last_dseq = delivery.dseq
        one = Batch([delivery.seq], [delivery.time_ns], [subject], [header], [payload])
        if delivery.seq <= self._last_seq:
            self._again.extend(one)
        else:
            self._batch.extend(one)
            self._last_seq = delivery.seq
            if self._acks:
                self._seqs.append(delivery.seq)
                self._dseqs.append(delivery.dseq)
        if delivery.delivered > 1:
            self._redelivered[delivery.seq] = (delivery.delivered, delivery.dseq)

    def _learn(self, delivery: ack_subject.Delivery) -> None:
        """How this consumer's reply subjects look, so that they can be cut and built again."""
        if not self._head:
            self._ack_head = delivery.head
            self._head = delivery.head + b"1."
            self._ack_tail = b".0.0" if delivery.head.count(b".") == 4 else b".0.0.x"  # noqa: PLR2004 - version 1

    def _take_status(self, subject: bytes, header: bytes | None) -> None:
        found = status.read(header)
        if found is None:
            return
        match found.meaning:
            case status.Heartbeat(last_dseq):
                if last_dseq not in (None, self._last_dseq):
                    self._end(MustBind(Reason.HEARTBEAT_DISAGREES, f"{last_dseq}, not {self._last_dseq}"))
            case Reason():
                self._end(MustBind(found.meaning, found.text))
            case status.Ended():
                self._pull_ended(subject, found)
            case _:
                assert_never(found.meaning)

    def _pull_ended(self, subject: bytes, found: status.Status) -> None:
        number = subject[len(self._inbox) :]
        if not number.isdigit():
            return
        pull = self._pulls.ended(int(number), found.messages_left, found.bytes_left)
        if pull is None:
            return
        self._news = True
        if found.meaning is status.Ended.TOO_SMALL and found.bytes_left == pull.max_bytes:
            self._pulls.did_not_fit(pull)
            if pull.max_bytes >= self.least_bytes:
                self._end(MustBind(Reason.PULL_REFUSED, f"a message is larger than {pull.max_bytes} bytes"))

    def _reply(self, delivered: int, seq: int, dseq: int) -> bytes:
        """The reply subject of a delivery. The server reads its time and its pending count nowhere, so they are 0."""
        return self._ack_head + b"%d.%d.%d" % (delivered, seq, dseq) + self._ack_tail

    def _reply_of(self, seq: int) -> bytes:
        again = self._redelivered.get(seq)
        if again is not None:
            return self._reply(again[0], seq, again[1])
        index = bisect_right(self._seqs, seq) - 1
        if index < 0 or self._seqs[index] != seq:
            raise ValueError(f"message {seq} was not received, or is acknowledged")
        return self._reply(1, seq, self._dseqs[index])

    def _forget(self, seqs: Sequence[int]) -> None:
        for seq in seqs:
            self._redelivered.pop(seq, None)
        count = bisect_right(self._seqs, max(seqs))
        if self._seqs[:count].tolist() == list(seqs):
            del self._seqs[:count], self._dseqs[:count]
            return
        gone = set(seqs)
        kept = [index for index, seq in enumerate(self._seqs) if seq not in gone]
        self._seqs = array("Q", [self._seqs[index] for index in kept])
        self._dseqs = array("Q", [self._dseqs[index] for index in kept])

    async def _confirm(self, reply: bytes) -> None:
        """Acknowledge and wait until the server has it; a cluster without a leader of the consumer is told again."""
        try:
            answer = await self._link.request(reply, _ACK, self._patience.ack_s, again_s=AGAIN_S)
        except TimeoutError as fault:
            raise MustBind(Reason.ACK_UNCONFIRMED, f"within {self._patience.ack_s:g} s") from fault
        if status_of(answer.header) == NO_RESPONDERS:
            raise MustBind(Reason.CONSUMER_DELETED, "nobody takes its acknowledgements")


def _apart(frames: Frames) -> Iterator[Frames]:
    """The same frames in their order, each that has no reply, as a status has none, by itself.

    While much comes, requests end all the time: a status must not send the deliveries around it down the slow way.
    """
    replies, start = frames.replies, 0
    for _ in range(replies.count(b"")):
        at = replies.index(b"", start)
        if at > start:
            yield frames.slice(start, at)
        yield frames.slice(at, at + 1)
        start = at + 1
    if start < len(frames):
        yield frames.slice(start, len(frames)) if start else frames
