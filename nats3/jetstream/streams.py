"""What a stream and its consumers are, as the server tells it; the questions and orders nats3 has for it."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from typing_extensions import override

from nats3.errors import Nats3Error
from nats3.jetstream import api
from nats3.jetstream.connection import Connection
from nats3.jetstream.tail import Seen, tail
from nats3.jetstream.times import nanoseconds
from nats3.message import Message, Seq

_SERVERS_OWN = "_nats."
"""The server notes its version and level in a consumer's metadata, and others when another server leads."""

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

    @property
    def consumer_limits(self) -> Mapping[str, int]:
        """What every consumer of it must keep to, in the server's words; a limit of 0 is none."""
        return self.config.get("consumer_limits") or {}

    @property
    def subjects(self) -> tuple[str, ...]:
        """What it takes by itself; a mirror takes nothing."""
        return tuple(self.config.get("subjects") or ())


@dataclass(frozen=True, slots=True)
class ConsumerSpec:
    """A durable pull consumer to make. `filter_subject` empty: everything. `ack` is "all" or "explicit".

    `max_ack_pending` messages may be unacknowledged, -1: any number.
    """

    stream: str
    name: str
    filter_subject: str
    start_seq: int
    ack: Literal["all", "explicit"]
    ack_wait_s: float
    inactive_threshold_s: float | None
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    max_ack_pending: int = -1


@dataclass(frozen=True, slots=True)
class ConsumerInfo:
    """`pending` messages were never delivered, `unacknowledged` were and wait; `now` is the server's clock, `created` when
    it was made, both in ns. `config` is the raw JSON without what the server notes in its metadata for itself.
    """

    name: str
    pending: int
    unacknowledged: int
    now: int
    created: int
    config: Mapping[str, Any]

    @property
    def metadata(self) -> Mapping[str, str]:
        return self.config.get("metadata") or {}


class StreamMissing(Nats3Error):
    """There is no such stream: make it, or change the job."""

    def __init__(self, stream: str) -> None:
        super().__init__(f"stream {stream} does not exist: create it, or change the job's stream")
        self.stream = stream


class ConsumerRefused(Nats3Error):
    """The server will not make the consumer; `code` is its error code (10100 overlapping filter, ...)."""

    NO_ROOM = 10026
    """The stream has as many consumers as it may have."""

    def __init__(self, stream: str, name: str, code: int, reason: str) -> None:
        super().__init__(f"stream {stream} refuses consumer {name}: {reason} ({code})")
        self.stream = stream
        self.name = name
        self.code = code


class StreamRefused(Nats3Error):
    """The server will not make the stream: its subjects overlap with another's, a limit, or it is there and differs."""

    def __init__(self, stream: str, code: int, reason: str) -> None:
        super().__init__(f"the server refuses stream {stream}: {reason} ({code})")
        self.stream = stream
        self.code = code


class Streams(Protocol):
    """JetStream's API as nats3 asks it. Every method raises Unavailable when NATS is away or does not answer."""

    async def info(self, stream: str) -> StreamInfo:
        """Raises StreamMissing."""
        ...

    async def deleted(self, stream: str) -> list[int]:
        """The seqs between its first and its last that are not there. Raises StreamMissing."""
        ...

    async def message(self, stream: str, seq: int, next_by_subject: str | None = None) -> Message | None:
        """The message at `seq`, or the first at or after it that matches; None when there is none.

        It comes through JSON: bytes of its subject that are no UTF-8 are lost, all else is exact.
        """
        ...

    async def last_message(self, stream: str, subject: str) -> Message | None:
        """The last message that matches, None when there is none; as `message` otherwise. Raises StreamMissing."""
        ...

    async def by_subject(self, subject: str) -> list[str]:
        """Names of the streams that take what is published on `subject`."""
        ...

    async def every(self) -> list[StreamInfo]:
        """All streams of the account."""
        ...

    async def consumers(self, stream: str) -> list[ConsumerInfo]: ...

    async def consumer(self, stream: str, name: str) -> ConsumerInfo | None:
        """None where there is no such consumer. Raises StreamMissing."""
        ...

    async def make_consumer(self, spec: ConsumerSpec) -> ConsumerInfo:
        """The consumer as it is made; the same one once more is as it was. Raises ConsumerRefused, StreamMissing."""
        ...

    async def delete_consumer(self, stream: str, name: str) -> None:
        """Nothing happens when there is none."""
        ...

    async def make_stream(self, config: Mapping[str, Any]) -> None:
        """Make the stream of this configuration, as the server's API has it; nothing happens where it is there so.

        Raises StreamRefused.
        """
        ...

    def tail(self, stream: str, from_seq: int) -> AsyncIterator[list[Seen]]:
        """Every message at or above `from_seq` that is there now, in seq order.

        Raises StreamMissing; ConsumerRefused where the stream lets nobody look (a work queue).
        """
        ...


class JetStreams(Streams):
    """Streams over a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @override
    async def info(self, stream: str) -> StreamInfo:
        return stream_info(await self._ask_stream(stream, f"STREAM.INFO.{stream}"))

    @override
    async def deleted(self, stream: str) -> list[int]:
        answer = await self._ask_stream(stream, f"STREAM.INFO.{stream}", {"deleted_details": True})
        return answer["state"].get("deleted") or []

    @override
    async def message(self, stream: str, seq: int, next_by_subject: str | None = None) -> Message | None:
        body: dict[str, Any] = {"seq": seq}
        if next_by_subject is not None:
            body["next_by_subj"] = next_by_subject
        return await self._get(stream, body)

    @override
    async def last_message(self, stream: str, subject: str) -> Message | None:
        return await self._get(stream, {"last_by_subj": subject})

    async def _get(self, stream: str, body: Mapping[str, Any]) -> Message | None:
        try:
            answer = await self._ask_stream(stream, f"STREAM.MSG.GET.{stream}", body)
        except api.ApiRefused as fault:
            if fault.code == api.MESSAGE_MISSING:
                return None
            raise
        return stored_message(answer["message"])

    @override
    async def by_subject(self, subject: str) -> list[str]:
        return [name async for name in api.pages(self._connection, "STREAM.NAMES", "streams", {"subject": subject})]

    @override
    async def every(self) -> list[StreamInfo]:
        return [stream_info(item) async for item in api.pages(self._connection, "STREAM.LIST", "streams")]

    @override
    async def consumers(self, stream: str) -> list[ConsumerInfo]:
        try:
            found = api.pages(self._connection, f"CONSUMER.LIST.{stream}", "consumers")
            return [consumer_info(item) async for item in found]
        except api.ApiRefused as fault:
            raise _translated(stream, fault) from fault

    @override
    async def consumer(self, stream: str, name: str) -> ConsumerInfo | None:
        try:
            return consumer_info(await self._ask_stream(stream, f"CONSUMER.INFO.{stream}.{name}"))
        except api.ApiRefused as fault:
            if fault.code == api.CONSUMER_MISSING:
                return None
            raise

    @override
    async def make_consumer(self, spec: ConsumerSpec) -> ConsumerInfo:
        action = f"CONSUMER.CREATE.{spec.stream}.{spec.name}"
        if spec.filter_subject:
            action += f".{spec.filter_subject}"
        body = {"stream_name": spec.stream, "config": consumer_config(spec), "action": "create"}
        try:
            return consumer_info(await self._ask_stream(spec.stream, action, body))
        except api.ApiRefused as fault:
            raise ConsumerRefused(spec.stream, spec.name, fault.code, fault.reason) from fault

    @override
    async def delete_consumer(self, stream: str, name: str) -> None:
        try:
            await api.ask(self._connection, f"CONSUMER.DELETE.{stream}.{name}")
        except api.ApiRefused as fault:
            if fault.code not in (api.CONSUMER_MISSING, api.STREAM_MISSING):
                raise

    @override
    async def make_stream(self, config: Mapping[str, Any]) -> None:
        try:
            await api.ask(self._connection, f"STREAM.CREATE.{config['name']}", config)
        except api.ApiRefused as fault:
            raise StreamRefused(config["name"], fault.code, fault.reason) from fault

    @override
    async def tail(self, stream: str, from_seq: int) -> AsyncIterator[list[Seen]]:
        try:
            async with aclosing(tail(self._connection, stream, from_seq)) as pages:
                async for page in pages:
                    yield page
        except api.ApiRefused as fault:
            if fault.code == api.STREAM_MISSING:
                raise StreamMissing(stream) from fault
            raise ConsumerRefused(stream, "tail", fault.code, fault.reason) from fault

    async def _ask_stream(self, stream: str, action: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        try:
            return await api.ask(self._connection, action, body)
        except api.ApiRefused as fault:
            raise _translated(stream, fault) from fault


def _translated(stream: str, fault: api.ApiRefused) -> Nats3Error:
    return StreamMissing(stream) if fault.code == api.STREAM_MISSING else fault


def stream_info(answer: Mapping[str, Any]) -> StreamInfo:
    """STREAM.INFO's answer as a value. An empty stream has first = last + 1, also where the server says 0."""
    config, state = answer["config"], answer["state"]
    last: int = state["last_seq"]
    return StreamInfo(
        name=config["name"],
        created=nanoseconds(answer["created"]),
        retention=config["retention"],
        first=state["first_seq"] if state["messages"] else last + 1,
        last=last,
        messages=state["messages"],
        num_deleted=state.get("num_deleted", 0),
        config=config,
    )


def consumer_info(answer: Mapping[str, Any]) -> ConsumerInfo:
    """The answer of CONSUMER.INFO or CONSUMER.CREATE, or one of CONSUMER.LIST, as a value."""
    config: dict[str, Any] = answer["config"]
    told: dict[str, str] = config.get("metadata") or {}
    return ConsumerInfo(
        name=answer["name"],
        pending=answer["num_pending"],
        unacknowledged=answer["num_ack_pending"],
        now=nanoseconds(answer["ts"]),
        created=nanoseconds(answer["created"]),
        config={**config, "metadata": {key: value for key, value in told.items() if not key.startswith(_SERVERS_OWN)}},
    )


def stored_message(fields: Mapping[str, Any]) -> Message:
    """The `message` of a STREAM.MSG.GET answer."""
    block, payload = fields.get("hdrs"), fields.get("data")
    return Message(
        Seq(fields["seq"]),
        nanoseconds(fields["time"]),
        fields["subject"].encode(),
        b64decode(block) if block else None,
        b64decode(payload) if payload else b"",
    )


def consumer_config(spec: ConsumerSpec) -> dict[str, Any]:
    """The JSON of a consumer that never gives up on a message."""
    config: dict[str, Any] = {
        "name": spec.name,
        "durable_name": spec.name,
        "ack_policy": spec.ack,
        "ack_wait": round(spec.ack_wait_s * 1_000_000_000),
        "max_deliver": -1,
        "max_ack_pending": spec.max_ack_pending,
        "replay_policy": "instant",
        "deliver_policy": "all",
        "metadata": dict(spec.metadata),
    }
    if spec.start_seq > 1:
        config |= {"deliver_policy": "by_start_sequence", "opt_start_seq": spec.start_seq}
    if spec.filter_subject:
        config["filter_subject"] = spec.filter_subject
    if spec.inactive_threshold_s is not None:
        config["inactive_threshold"] = round(spec.inactive_threshold_s * 1_000_000_000)
    return config
