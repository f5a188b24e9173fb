"""A service as `nats micro` knows it (ADR-32): endpoints that answer requests, and answers about itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import perf_counter_ns
from typing import Any
from uuid import uuid4

from typing_extensions import override

from nats3.errors import Unavailable
from nats3.jetstream.connection import Connection
from nats3.jetstream.errors import MustBind
from nats3.jetstream.frames import Frames, Sink, publish_frame
from nats3.jetstream.link import Link

QUEUE = b"q"
"""The queue group of all instances: each request is answered by one of them."""

WAITING = 256
"""Requests that may wait for a handler; who comes later is told so."""

HANDLERS = 8
"""Requests that are answered at once."""

_BUSY = 503
_TOO_LARGE = 413
_ROOM = 4096
"""Kept free in an answer for its headers."""

_TYPE = "io.nats.micro.v1.{}_response"


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a request was refused, as headers of its answer say it."""

    code: int
    description: str

    @property
    def text(self) -> str:
        """The description in one line."""
        return " ".join(self.description.split()) or "refused"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request gets; with a fault, the body says more of it."""

    body: bytes
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: raw header block, None where there is none, and payload."""

    header: bytes | None
    payload: bytes


Handle = Callable[[Asked], Awaitable[Answer]]


def _silent(_: Fault) -> bytes:
    return b""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`handle` answers each request on `subject`; it must not raise. `explain` is the body of what is refused without it."""

    name: str
    subject: str
    handle: Handle
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    explain: Callable[[Fault], bytes] = _silent


@dataclass(frozen=True, slots=True)
class About:
    """What the service says of itself. `version` is a semantic version."""

    name: str
    version: str
    description: str


@dataclass(slots=True)
class _Stats:
    requests: int = 0
    errors: int = 0
    last_error: str = ""
    nanoseconds: int = 0


@dataclass(frozen=True, slots=True)
class _Job:
    """A request on its way to its handler."""

    link: Link
    endpoint: Endpoint
    asked: Asked
    reply: bytes


class Service:
    """Run `run()` as a task: it listens on every link of the connection, one after the other, for ever."""

    def __init__(self, connection: Connection, about: About, endpoints: Sequence[Endpoint], started: datetime) -> None:
        self.id = uuid4().hex
        self._connection = connection
        self._about = {"name": about.name, "id": self.id, "version": about.version, "metadata": {}}
        self._description = about.description
        self._endpoints = tuple(endpoints)
        self._stats = {endpoint.name: _Stats() for endpoint in endpoints}
        self._started = started.astimezone(UTC).isoformat().replace("+00:00", "Z")
        self._queue: asyncio.Queue[_Job] = asyncio.Queue(WAITING)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(HANDLERS):
                tasks.create_task(self._handle_requests())
            while True:
                await self._connection.wait_connected()
                with suppress(MustBind, Unavailable):  # lost again meanwhile: wait for the next
                    await self._listen()

    async def _listen(self) -> None:
        """Subscribe everything on the link of now, and return when it is lost."""
        lost = asyncio.Event()
        link = self._connection.link()
        for endpoint in self._endpoints:
            link.subscribe(endpoint.subject.encode(), _Requests(self, link, endpoint, lost), QUEUE)
        for verb, tell in (("PING", self._ping), ("INFO", self._info), ("STATS", self._tell_stats)):
            for end in ("", f".{self._about['name']}", f".{self._about['name']}.{self.id}"):
                link.subscribe(f"$SRV.{verb}{end}".encode(), _Questions(link, tell))
        await lost.wait()

    def take(self, job: _Job) -> None:
        """Queue a request, or tell its sender that too many wait."""
        try:
            self._queue.put_nowait(job)
        except asyncio.QueueFull:
            self._reply(job, _refused(job, Fault(_BUSY, "too many requests wait here: try again")), 0)

    async def _handle_requests(self) -> None:
        while True:
            job = await self._queue.get()
            began = perf_counter_ns()
            answer = await job.endpoint.handle(job.asked)
            self._reply(job, answer, perf_counter_ns() - began)

    def _reply(self, job: _Job, answer: Answer, nanoseconds: int) -> None:
        if len(answer.body) > job.link.max_payload - _ROOM:
            answer = _refused(job, Fault(_TOO_LARGE, "the answer is larger than a message may be: ask for less"))
        stats = self._stats[job.endpoint.name]
        stats.requests += 1
        stats.nanoseconds += nanoseconds
        if answer.fault is not None:
            stats.errors += 1
            stats.last_error = f"{answer.fault.code}:{answer.fault.text}"
        try:
            job.link.write(publish_frame(job.reply, answer.body, b"", _block(answer.fault)))
        except MustBind:
            return  # who asked has lost its connection's answer with ours, and asks again

    def _ping(self) -> dict[str, Any]:
        return {**self._about, "type": _TYPE.format("ping")}

    def _info(self) -> dict[str, Any]:
        endpoints = [
            {"name": each.name, "subject": each.subject, "queue_group": QUEUE.decode(), "metadata": each.metadata}
            for each in self._endpoints
        ]
        return {**self._about, "type": _TYPE.format("info"), "description": self._description, "endpoints": endpoints}

    def _tell_stats(self) -> dict[str, Any]:
        endpoints = [_stats_of(each, self._stats[each.name]) for each in self._endpoints]
        return {**self._about, "type": _TYPE.format("stats"), "started": self._started, "endpoints": endpoints}


@dataclass(frozen=True, slots=True)
class _Requests(Sink):
    """The subscription of one endpoint on one link."""

    service: Service
    link: Link
    endpoint: Endpoint
    gone: asyncio.Event

    @override
    def take(self, frames: Frames) -> None:
        for reply, header, payload in zip(frames.replies, frames.headers, frames.payloads, strict=True):
            if reply:
                self.service.take(_Job(self.link, self.endpoint, Asked(header, payload), reply))

    @override
    def lost(self) -> None:
        self.gone.set()


@dataclass(frozen=True, slots=True)
class _Questions(Sink):
    """The subscription of one question about the service."""

    link: Link
    tell: Callable[[], dict[str, Any]]

    @override
    def take(self, frames: Frames) -> None:
        for reply in filter(None, frames.replies):
            self.link.write(publish_frame(reply, json.dumps(self.tell()).encode()))

    @override
    def lost(self) -> None:
        """The service listens again by itself."""


def _refused(job: _Job, fault: Fault) -> Answer:
    return Answer(job.endpoint.explain(fault), fault)


def _block(fault: Fault | None) -> bytes | None:
    if fault is None:
        return None
    return f"NATS/1.0\r\nNats-Service-Error: {fault.text}\r\nNats-Service-Error-Code: {fault.code}\r\n\r\n".encode()


def _stats_of(endpoint: Endpoint, stats: _Stats) -> dict[str, Any]:
    return {
        "name": endpoint.name,
        "subject": endpoint.subject,
        "queue_group": QUEUE.decode(),
        "num_requests": stats.requests,
        "num_errors": stats.errors,
        "last_error": stats.last_error,
        "processing_time": stats.nanoseconds,
        "average_processing_time": stats.nanoseconds // max(1, stats.requests),
    }
