"""One connection to NATS from its login to its loss, and what may be written and asked on it.

Nothing outlives it: a subscription, a request or a write belongs to one link and is never repeated on the next.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import NamedTuple

from typing_extensions import override

from nats3.jetstream.errors import MustBind, Reason
from nats3.jetstream.frames import Frames, Sink, publish_frame
from nats3.jetstream.inflow import Inflow
from nats3.jetstream.wire import WireClient

NO_RESPONDERS = 503


class Reply(NamedTuple):
    """The answer to a request: raw header block (None where there is none) and payload."""

    header: bytes | None
    payload: bytes


def status_of(header: bytes | None) -> int | None:
    """The number in the first line of a header block such as `NATS/1.0 404 No Messages`, None where there is none."""
    if header is None or not header.startswith(b"NATS/1.0 "):
        return None
    word = header[9:12]
    return int(word) if word.isdigit() else None


class _Replies(Sink):
    """Gives each answer on our reply inbox to whoever asked."""

    def __init__(self) -> None:
        self.waiting: dict[bytes, asyncio.Future[Reply]] = {}

    @override
    def take(self, frames: Frames) -> None:
        for subject, header, payload in zip(frames.subjects, frames.headers, frames.payloads, strict=True):
            future = self.waiting.get(subject)
            if future is not None and not future.done():
                future.set_result(Reply(header, payload))

    @override
    def lost(self) -> None:
        for future in self.waiting.values():
            if not future.done():
                future.set_exception(MustBind(Reason.CONNECTION_LOST))


class Link:
    """What a connection is between one login and the loss that follows it. Every method raises MustBind after that."""

    def __init__(self, client: WireClient, number: int) -> None:
        self.number = number
        self.alive = True
        self.inflow = Inflow()
        self._client = client
        self._transport = client.transport
        self._replies = _Replies()
        self._asked = 0
        self._inbox = self.new_inbox() + b"."
        self.subscribe(self._inbox + b"*", self._replies)

    @property
    def max_payload(self) -> int:
        return self._client.max_payload

    def end(self) -> None:
        """The connection is over: every sink hears of it, once."""
        if not self.alive:
            return
        self.alive = False
        sinks = list(self._client.frames.sinks.values())
        self._client.frames.sinks.clear()
        for sink in sinks:
            sink.lost()

    def denied(self, subject: bytes, fault: str) -> None:
        """The server took nothing of what was published on `subject`: those who wait for an answer to that may stop."""
        for sink in list(self._client.frames.sinks.values()):
            sink.denied(subject, fault)

    def new_inbox(self) -> bytes:
        """A subject that nobody else knows."""
        return self._client.new_inbox().encode()

    def subscribe(self, subject: bytes, sink: Sink, queue: bytes = b"") -> bytes:
        """Have every frame on `subject` given to `sink`; returns the number to unsubscribe with.

        Of all who subscribe in the same `queue` group, one gets each message.
        """
        sid = b"%d" % self._client.next_sid()
        self.write(b"SUB %b %b\r\n" % (subject, b"%b %b" % (queue, sid) if queue else sid))
        self._client.frames.sinks[sid] = sink
        return sid

    def unsubscribe(self, sid: bytes) -> None:
        """End a subscription; nothing happens when it, or the link, has ended."""
        if self.alive and self._client.frames.sinks.pop(sid, None) is not None:
            with suppress(MustBind):
                self.write(b"UNSUB %b\r\n" % sid)

    def write(self, frames: bytes) -> None:
        """Send whole frames, without waiting for room: drain() after much of it."""
        if not self.alive:
            raise MustBind(Reason.CONNECTION_LOST)
        try:
            self._transport.write(frames)
        except RuntimeError as fault:  # uvloop's word for a transport that has just been closed
            raise MustBind(Reason.CONNECTION_LOST, str(fault)) from fault

    async def drain(self) -> None:
        """Wait until the socket takes more."""
        if not self.alive:
            raise MustBind(Reason.CONNECTION_LOST)
        try:
            await self._transport.drain()
        except OSError as fault:
            raise MustBind(Reason.CONNECTION_LOST, str(fault)) from fault

    async def request(
        self,
        subject: bytes,
        payload: bytes,
        patience_s: float,
        header: bytes | None = None,
        again_s: float | None = None,
    ) -> Reply:
        """The first answer to `payload` on `subject`; status 503 where nobody listens. Raises TimeoutError.

        With `again_s` it is asked again that often: only for what may be done twice.
        """
        self._asked += 1
        inbox = self._inbox + b"%d" % self._asked
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._replies.waiting[inbox] = future
        try:
            async with asyncio.timeout(patience_s):
                while not future.done():
                    self.write(publish_frame(subject, payload, inbox, header))
                    await asyncio.wait((future,), timeout=again_s)
                return future.result()
        finally:
            del self._replies.waiting[inbox]
