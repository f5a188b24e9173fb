"""Puts the events of the log into a stream of NATS, each right behind the one before it."""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from eventstore import EventStore, LogUnavailable, Position, Recorded, Version
from eventstore.relay import NotKept
from nats3.errors import Nats3Error, Unavailable
from nats3.jetstream.errors import MustBind, PublishRefused
from nats3.jetstream.server import JetStream
from nats3.jetstream.streams import StreamMissing
from nats3.jetstream.tail import message_id
from nats3.job.cloudevent import Topic, attributes, body, body_without_data, header_block
from nats3.job.history import job_entity, job_of, types_of
from nats3.job.ordering import JobChanged, JobCreated

_ROOM = 4096
"""Kept free in a message for its header block."""

_KNOWN_JOBS = 10_000
_NAMING = types_of(JobCreated, JobChanged)
_PAGE = 1000
_YEAR_NS = 365 * 86_400 * 1_000_000_000
_HOUR_NS = 3600 * 1_000_000_000


@dataclass(frozen=True, slots=True)
class Named:
    """From behind this position on a job goes by this name."""

    position: Position
    topic: Topic


@dataclass(frozen=True, slots=True)
class Mailbox:
    """The stream, the prefix of its subjects, and whether we make it where there is none."""

    stream: str
    prefix: str
    make: bool

    def config(self) -> dict[str, Any]:
        """How we make it. The hour of ids covers an outage of Postgres between a publish and its checkpoint."""
        return {
            "name": self.stream,
            "subjects": [f"{self.prefix}.>"],
            "description": "Events of nats3",
            "storage": "file",
            "retention": "limits",
            "discard": "old",
            "max_age": _YEAR_NS,
            "duplicate_window": _HOUR_NS,
        }


@dataclass(slots=True)
class Topics:
    """What an event is about. A job goes by the name that it had when the event was recorded, which is the same however
    often the event is published; the event that renames it still by the old one, whose readers learn the new one from it.
    """

    store: EventStore
    known: OrderedDict[UUID, list[Named]] = field(default_factory=OrderedDict[UUID, list[Named]])

    async def of(self, event: Recorded) -> Topic:
        """Raises LogUnavailable."""
        category, _, rest = event.entity_id.partition("/")
        if category not in {"job", "run"}:
            return Topic(category, rest)
        names = await self._names(job_of(event.entity_id))
        if event.position > names[-1].position:
            names += _named(event, names)
        before = bisect_left(names, event.position, key=lambda name: name.position)
        return names[max(before - 1, 0)].topic

    async def _names(self, job_id: UUID) -> list[Named]:
        if job_id not in self.known:
            self.known[job_id] = await self._asked(job_id)
            if len(self.known) > _KNOWN_JOBS:
                self.known.popitem(last=False)
        return self.known[job_id]

    async def _asked(self, job_id: UUID) -> list[Named]:
        """A run whose job no order made (its history was read out of a bucket), or one of a newer program, goes by its id."""
        names: list[Named] = []
        version = Version(0)
        while page := await self.store.read(job_entity(job_id), version, _PAGE):
            for event in page:
                names += _named(event, names)
            version = page[-1].version
        return names or [Named(Position(0), Topic("run", str(job_id)))]


def _named(event: Recorded, before: Sequence[Named]) -> list[Named]:
    """The name that the event gives its job, if it gives one."""
    match event.data:
        case {"kind": str(kind), "order": {"name": str(name)}} if event.type in _NAMING:
            return [Named(event.position, Topic(kind, name))]
        case {"order": {"name": str(name)}} if event.type in _NAMING and before:
            return [Named(event.position, Topic(before[0].topic.kind, name))]
        case _:
            return []


class Outbox:
    """A Sink: one message per event, in the order of positions whatever else is published there meanwhile.

    Each message demands the one before it as the last of the stream. Where one is refused, all behind it are: because
    somebody else published, or because a server that died has lost what it had acknowledged. So we look what is there
    before we go on. The id of a message is that of its event, so that a repeated one is known: by the server within its
    duplicate window, by a reader for ever.
    """

    def __init__(self, nats: JetStream, mailbox: Mailbox, log_id: str, topics: Topics) -> None:
        self._nats = nats
        self._mailbox = mailbox
        self._log_id = log_id
        self._topics = topics
        self._last: str | None = None
        """Id of the message that was the last of the stream when we saw it last."""

    async def holds(self) -> Position | None:
        """A stream that never held anything gets all; one that was emptied cannot tell."""
        self._last = None
        self._topics.known.clear()  # another node may have published meanwhile, and renamings with it
        try:
            found = await self._nats.streams.last_message(self._mailbox.stream, f"{self._mailbox.prefix}.>")
            if found is None:
                return Position(0) if (await self._nats.streams.info(self._mailbox.stream)).last == 0 else None
        except StreamMissing:
            return Position(0)
        except Unavailable as away:
            raise NotKept(str(away)) from away
        log_id, _, position = (message_id(found.header) or b"").decode(errors="replace").rpartition(":")
        return Position(int(position)) if log_id == self._log_id and position.isdigit() else None

    async def take(self, events: Sequence[Recorded]) -> int:
        last, self._last = self._last, None
        try:
            kept = await self._publish(events, last)
        except PublishRefused as refused:
            if refused.code == PublishRefused.NO_RESPONDERS and self._mailbox.make:
                await self._make_stream()
            raise NotKept(f"stream {self._mailbox.stream}: {refused}") from refused
        except (Unavailable, MustBind, LogUnavailable) as away:
            raise NotKept(str(away)) from away
        if kept == len(events):
            self._last = self._id(events[-1])
        return kept

    def _id(self, event: Recorded) -> str:
        return f"{self._log_id}:{event.position}"

    async def _publish(self, events: Sequence[Recorded], last: str | None) -> int:
        subjects, blocks, bodies = await self._messages(events, last)
        publisher = self._nats.publisher(self._mailbox.stream)
        try:
            await publisher.send(subjects, blocks, bodies)
            await publisher.drain()
        except (PublishRefused, MustBind):
            if not publisher.acked:
                raise
        finally:
            await publisher.close()
        return publisher.acked

    async def _messages(
        self, events: Sequence[Recorded], after: str | None
    ) -> tuple[list[bytes], list[bytes], list[bytes]]:
        subjects: list[bytes] = []
        blocks: list[bytes] = []
        bodies: list[bytes] = []
        most = self._nats.max_payload - _ROOM
        for event in events:
            topic = await self._topics.of(event)
            told = attributes(self._log_id, event, topic)
            whole = body(told, event.data)
            subjects.append(topic.subject(self._mailbox.prefix, event.type).encode())
            blocks.append(header_block(told, after))
            bodies.append(whole if len(whole) <= most else body_without_data(told, event.position))
            after = self._id(event)
        return subjects, blocks, bodies

    async def _make_stream(self) -> None:
        try:
            await self._nats.streams.make_stream(self._mailbox.config())
        except Nats3Error as fault:
            raise NotKept(f"cannot make stream {self._mailbox.stream}: {fault}") from fault
