"""A stream and its consumers as nats-server keeps them, in memory and without waiting: the state of the fake."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nats3.jetstream.streams import ConsumerInfo, ConsumerRefused, ConsumerSpec, StreamInfo, consumer_config
from nats3.jetstream.tail import message_id
from nats3.message import Message, Seq, TimeNs
from nats3.subject import matches

_EXPECTED_SEQ = re.compile(rb"\r\nnats-expected-last-sequence:[ \t]*(\d+)", re.IGNORECASE)
_EXPECTED_ID = re.compile(rb"\r\nnats-expected-last-msg-id:[ \t]*([^\r\n]*)", re.IGNORECASE)

ACK_ALL_REFUSED = 10098
NOT_UNIQUE = 10100
WRONG_START = 10101
_NS = 1_000_000_000
THRESHOLD_TOO_LONG = 10153


@dataclass(slots=True)
class MemoryConsumer:
    """Where one consumer stands. `pending` maps the seq of a delivered message that is not acknowledged to how often."""

    spec: ConsumerSpec
    next_seq: int
    created: int
    config: dict[str, Any]
    dseq: int = 0
    pending: dict[int, int] = field(default_factory=dict[int, int])
    acked: set[int] = field(default_factory=set[int])
    floor: int = 0

    def wants(self, message: Message) -> bool:
        """Whether it has yet to acknowledge this message."""
        seq = message.seq
        if seq < max(self.spec.start_seq, 1) or seq <= self.floor or seq in self.acked:
            return False
        return matches(self.filter_subject or ">", message.subject)

    @property
    def filter_subject(self) -> str:
        return self.config.get("filter_subject", "")

    @property
    def waits(self) -> bool:
        """Whether it gives nothing now, whatever there is."""
        most = self.config["max_ack_pending"]
        return "pause_until" in self.config or 0 < most <= len(self.pending)

    def acknowledge(self, seq: int) -> None:
        if self.spec.ack == "all":
            self.floor = max(self.floor, seq)
            self.pending = {later: count for later, count in self.pending.items() if later > seq}
        else:
            self.acked.add(seq)
            self.pending.pop(seq, None)


@dataclass(frozen=True, slots=True)
class Stored:
    """The answer to a publish: where the message is, and whether it was there before."""

    seq: int
    duplicate: bool


class WrongLastSequence(Exception):
    """Expected-Last-Sequence or Expected-Last-Msg-Id did not hold."""


@dataclass(slots=True)
class MemoryStream:
    """One life of a stream: limits, interest and work queue retention, dedupe, consumers."""

    name: str
    created: int
    config: Mapping[str, Any]
    messages: dict[int, Message] = field(default_factory=dict[int, Message])
    last: int = 0
    last_id: bytes | None = None
    consumers: dict[str, MemoryConsumer] = field(default_factory=dict[str, MemoryConsumer])
    ids: dict[bytes, tuple[int, int]] = field(default_factory=dict[bytes, tuple[int, int]])

    @property
    def first(self) -> int:
        return min(self.messages, default=self.last + 1)

    def info(self) -> StreamInfo:
        return StreamInfo(
            name=self.name,
            created=self.created,
            retention=self.config["retention"],
            first=self.first,
            last=self.last,
            messages=len(self.messages),
            num_deleted=self.last - self.first + 1 - len(self.messages),
            config=self.config,
        )

    def takes(self, subject: bytes) -> bool:
        return any(matches(pattern, subject) for pattern in self.config["subjects"])

    def store(self, subject: bytes, block: bytes | None, payload: bytes, now_ns: int) -> Stored:
        """Keep a message. The expected last seq is checked before its id. Raises WrongLastSequence."""
        expected = _EXPECTED_SEQ.search(block or b"")
        expected_id = _EXPECTED_ID.search(block or b"")
        if (expected and int(expected[1]) != self.last) or (expected_id and expected_id[1] != self.last_id):
            raise WrongLastSequence
        found = message_id(block)
        if found is not None:
            seq, at = self.ids.get(found, (0, 0))
            if seq and now_ns - at <= self.config["duplicate_window"]:
                return Stored(seq, duplicate=True)
        self.last += 1
        self.messages[self.last] = Message(Seq(self.last), TimeNs(now_ns), subject, block, payload)
        self.last_id = found
        if found is not None:
            self.ids[found] = (self.last, now_ns)
        self.expire(now_ns)
        self.drop_unwanted()
        return Stored(self.last, duplicate=False)

    def expire(self, now_ns: int) -> None:
        """Drop what the limits no longer allow: max_age, max_msgs, max_msgs_per_subject."""
        max_age, most = self.config.get("max_age", 0), self.config.get("max_msgs", -1)
        if max_age:
            self._keep(lambda message: now_ns - message.time_ns < max_age)
        if most > 0:
            for seq in sorted(self.messages)[:-most]:
                del self.messages[seq]
        per_subject = self.config.get("max_msgs_per_subject", -1)
        if per_subject > 0:
            by_subject: dict[bytes, list[int]] = {}
            for seq, message in self.messages.items():
                by_subject.setdefault(message.subject, []).append(seq)
            for seqs in by_subject.values():
                for seq in seqs[:-per_subject]:
                    del self.messages[seq]

    def drop_unwanted(self) -> None:
        """Interest and work queue streams keep only what some consumer has yet to acknowledge."""
        retention = self.config["retention"]
        if retention == "interest":
            self._keep(lambda message: any(one.wants(message) for one in self.consumers.values()))
        elif retention == "workqueue":
            self._keep(lambda message: not any(message.seq in one.acked for one in self.consumers.values()))

    def purge(self, below: int | None = None) -> None:
        """Remove all, or all below a seq. `created` and the last seq stay."""
        self._keep(lambda message: below is not None and message.seq >= below)

    def roll_back(self, last: int) -> None:
        """What a power loss does: messages above `last` are gone and their seqs are given out again."""
        self._keep(lambda message: message.seq <= last)
        self.last = last
        self.ids = {key: place for key, place in self.ids.items() if place[0] <= last}
        for consumer in self.consumers.values():
            consumer.next_seq = min(consumer.next_seq, last + 1)

    def add_consumer(self, spec: ConsumerSpec, now_ns: int) -> MemoryConsumer:
        """Make a consumer, or find the same one there. Raises ConsumerRefused."""
        old = self.consumers.get(spec.name)
        if old is not None:
            return old
        code = self._refusal(spec)
        if code:
            raise ConsumerRefused(self.name, spec.name, code, "not with this stream")
        consumer = MemoryConsumer(spec, max(spec.start_seq, 1), now_ns, consumer_config(spec))
        self.consumers[spec.name] = consumer
        return consumer

    def remove_consumer(self, name: str) -> MemoryConsumer | None:
        """Removing the last one empties an interest stream."""
        consumer = self.consumers.pop(name, None)
        self.drop_unwanted()
        return consumer

    def consumer_info(self, consumer: MemoryConsumer, now_ns: int) -> ConsumerInfo:
        waiting = [one for one in self.messages.values() if one.seq >= consumer.next_seq and consumer.wants(one)]
        name, unacknowledged, config = consumer.spec.name, len(consumer.pending), dict(consumer.config)
        return ConsumerInfo(name, len(waiting), unacknowledged, now_ns, consumer.created, config)

    def next_for(self, consumer: MemoryConsumer) -> Message | None:
        """The next message it was never given, None when there is none."""
        while not consumer.waits and consumer.next_seq <= self.last:
            message = self.messages.get(consumer.next_seq)
            if message is not None and consumer.wants(message):
                return message
            consumer.next_seq += 1
        return None

    def _refusal(self, spec: ConsumerSpec) -> int:
        """The code of the server's refusal, 0 when it agrees."""
        most = self.config.get("max_consumers", -1)
        if 0 < most <= len(self.consumers):
            return ConsumerRefused.NO_ROOM
        longest = self.info().consumer_limits.get("inactive_threshold", 0) / _NS
        if 0 < longest < (spec.inactive_threshold_s or 0):
            return THRESHOLD_TOO_LONG
        if self.config["retention"] != "workqueue":
            return 0
        if spec.ack != "explicit":
            return ACK_ALL_REFUSED
        if spec.start_seq > 1:
            return WRONG_START
        overlaps = (_overlap(spec.filter_subject, one.filter_subject) for one in self.consumers.values())
        return NOT_UNIQUE if any(overlaps) else 0

    def _keep(self, wanted: Callable[[Message], bool]) -> None:
        self.messages = {seq: message for seq, message in self.messages.items() if wanted(message)}


def _overlap(first: str, second: str) -> bool:
    return not first or not second or matches(first, second.encode()) or matches(second, first.encode())
