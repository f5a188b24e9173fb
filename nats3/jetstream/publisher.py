"""Publishing in bulk: hand-built frames, a window of outstanding acks, and nothing counted but their unbroken prefix."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from typing_extensions import override

from nats3.jetstream.errors import MustBind, PublishRefused, Reason
from nats3.jetstream.frames import Frames, Sink, publish_frames
from nats3.jetstream.link import Link
from nats3.jetstream.pub_acks import Displaced, PubAcks
from nats3.jetstream.tail import message_id

EMPTY_BLOCK = b"NATS/1.0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Window:
    """How much may be sent and not yet acknowledged, how much goes out in one write, how long acks may fail to come."""

    messages: int = 4000
    max_bytes: int = 16 * 1024 * 1024
    write_messages: int = 500
    write_bytes: int = 256 * 1024
    patience_s: float = 30.0

    def writes(
        self, blocks: Sequence[bytes | None], payloads: Sequence[bytes], most: int
    ) -> Iterator[tuple[int, int, int]]:
        """Cut what is to be sent into (start, stop, bytes), each within the limits for one write, of which `most` messages.

        What is written at once holds up the pings behind it: on a slow line a large write looks like a server that is gone.
        """
        start = size = 0
        for index, (block, payload) in enumerate(zip(blocks, payloads, strict=True)):
            one = len(payload) + len(block or b"")
            if index > start and (index - start >= most or size + one > self.write_bytes):
                yield start, index, size
                start, size = index, 0
            size += one
        if len(payloads) > start:
            yield start, len(payloads), size


DEFAULT_WINDOW = Window()


class Publisher(Protocol):
    """Publishes into one stream on one link. Indexes count everything sent from 0.

    Every method but close raises what ended it: MustBind, PublishRefused or TargetMoved. What was acknowledged before
    stays readable then.
    """

    @property
    def acked(self) -> int:
        """So many of the messages sent, from the first on and without a gap, are in the target."""
        ...

    @property
    def target_seq(self) -> int:
        """Seq in the target of the last message of that prefix, 0 while there is none."""
        ...

    @property
    def farthest(self) -> int:
        """Seq in the target of that message of the prefix, or before it, which stands farthest there."""
        ...

    @property
    def beyond(self) -> int:
        """Index of the first of the prefix that stands behind all that stood there before; `acked` while there is none."""
        ...

    @property
    def duplicates(self) -> int:
        """How many of the prefix the target already had."""
        ...

    @property
    def displaced(self) -> Sequence[Displaced]:
        """Ranges of the prefix that stand out of order, at most 1000; displaced_count says how many messages."""
        ...

    @property
    def displaced_count(self) -> int: ...

    async def send(self, subjects: Sequence[bytes], blocks: Sequence[bytes | None], payloads: Sequence[bytes]) -> None:
        """Publish these in order, waiting for room in the window; a block is whole, with its empty line, or None."""
        ...

    async def flush(self) -> None:
        """Let go what is held back for a fuller batch: nothing more may come for a while."""
        ...

    async def wait_progress(self) -> int:
        """Return `acked` as soon as it is above what the last call returned; at once when nothing is outstanding."""
        ...

    async def drain(self) -> None:
        """Return once everything sent is acknowledged."""
        ...

    async def close(self) -> None:
        """Stop listening for acks."""
        ...


class LinkPublisher(Publisher, Sink):
    """What publishers over a link share: an inbox for what the server answers, and how they end."""

    def __init__(self, link: Link, window: Window) -> None:
        self._link = link
        self._window = window
        self._told = 0
        self._latest: Sequence[bytes] = ()
        """Subjects of what was written last."""
        self._fault: MustBind | PublishRefused | None = None
        self._progress = asyncio.Event()
        self._inbox = link.new_inbox() + b"."
        self._sid = link.subscribe(self._inbox + b"*", self)

    @override
    async def close(self) -> None:
        self._end(MustBind(Reason.CONNECTION_LOST, "closed by us"))

    @override
    def lost(self) -> None:
        self._end(MustBind(Reason.CONNECTION_LOST))

    @override
    def denied(self, subject: bytes, fault: str) -> None:
        """No ack will come. The client tells the subject in lower case."""
        if any(each.lower() == subject.lower() for each in self._latest):
            self._end(MustBind(Reason.ACKS_MISSING, fault))

    def _end(self, fault: MustBind | PublishRefused) -> None:
        if self._fault is None:
            self._fault = fault
            self._link.unsubscribe(self._sid)
            self._progress.set()

    def _check(self) -> None:
        if self._fault is not None:
            raise self._fault

    async def _wait(self) -> None:
        """Wait for acks. Raises what ended this publisher, also when none come for too long."""
        self._check()
        self._progress.clear()
        try:
            async with asyncio.timeout(self._window.patience_s):
                await self._progress.wait()
        except TimeoutError:
            self._end(MustBind(Reason.ACKS_MISSING, f"none for {self._window.patience_s:g} s"))
        self._check()

    async def _drain_socket(self) -> None:
        """Let a slow server push back, but not for ever: it may have stopped."""
        try:
            async with asyncio.timeout(self._window.patience_s):
                await self._link.drain()
        except TimeoutError:
            self._end(MustBind(Reason.ACKS_MISSING, "the socket takes no more"))
        self._check()


class WindowPublisher(LinkPublisher):
    """Modes `dedupe` (ids are in the blocks) and `at_least_once`; with `expect_last` mode `exclusive`.

    `expect_last` is the target's last seq; see Chain. What was published before stands there up to `behind`.
    """

    def __init__(
        self,
        link: Link,
        stream: str,
        *,
        window: Window = DEFAULT_WINDOW,
        expect_last: int | None = None,
        behind: int = 0,
    ) -> None:
        super().__init__(link, window)
        self._chain = None if expect_last is None else Chain(expect_last)
        self._acks = PubAcks(stream, behind)
        self._sent = 0
        self._sizes: list[tuple[int, int]] = []
        """(messages sent up to here, bytes of this write) of each write that is not wholly acknowledged."""
        self._bytes = 0

    @property
    @override
    def acked(self) -> int:
        return self._acks.acked

    @property
    @override
    def target_seq(self) -> int:
        return self._acks.target_seq

    @property
    @override
    def farthest(self) -> int:
        return self._acks.farthest

    @property
    @override
    def beyond(self) -> int:
        return self._acks.beyond

    @property
    @override
    def duplicates(self) -> int:
        return self._acks.duplicates

    @property
    @override
    def displaced(self) -> Sequence[Displaced]:
        return self._acks.displaced

    @property
    @override
    def displaced_count(self) -> int:
        return self._acks.displaced_count

    @override
    async def send(self, subjects: Sequence[bytes], blocks: Sequence[bytes | None], payloads: Sequence[bytes]) -> None:
        for start, stop, size in self._window.writes(
            blocks, payloads, min(self._window.write_messages, self._window.messages)
        ):
            await self._room(stop - start, size)
            part = slice(start, stop)
            self._write(subjects[part], blocks[part], payloads[part], size)
            await self._drain_socket()

    @override
    async def flush(self) -> None:
        """Nothing is held back."""

    @override
    async def wait_progress(self) -> int:
        while self.acked == self._told and self.acked < self._sent:
            await self._wait()
        self._check()
        self._told = self.acked
        return self._told

    @override
    async def drain(self) -> None:
        while self.acked < self._sent:
            await self._wait()
        self._check()

    @override
    def take(self, frames: Frames) -> None:
        if self._fault is not None:
            return
        inbox, first = self._inbox, self.acked
        following = inbox + inbox.join([b"%d" % index for index in range(first, first + len(frames))])
        try:
            if b"".join(frames.subjects) != following or not self._acks.take_next(frames.payloads):
                self._take_each(frames)
        except PublishRefused as fault:
            self._end(fault)
        self._release()
        self._progress.set()

    def _take_each(self, frames: Frames) -> None:
        skip = len(self._inbox)
        take = self._acks.take
        for subject, header, payload in zip(frames.subjects, frames.headers, frames.payloads, strict=True):
            index = subject[skip:]
            if index.isdigit():  # all others are a stranger's
                take(int(index), header, payload)

    async def _room(self, messages: int, size: int) -> None:
        """Wait until so much more fits into the window; a write that never would goes out alone."""
        window = self._window
        while self._sent > self.acked and (
            self._sent - self.acked + messages > window.messages or self._bytes + size > window.max_bytes
        ):
            await self._wait()
        self._check()

    def _write(
        self, subjects: Sequence[bytes], blocks: Sequence[bytes | None], payloads: Sequence[bytes], size: int
    ) -> None:
        if self._chain is not None:
            blocks = self._chain.link(blocks)
        self._link.write(publish_frames(subjects, blocks, payloads, self._inbox, self._sent))
        self._sent += len(payloads)
        self._latest = subjects
        self._sizes.append((self._sent, size))
        self._bytes += size

    def _release(self) -> None:
        """Give back the bytes of writes that are wholly acknowledged."""
        done = 0
        for stop, size in self._sizes:
            if stop > self.acked:
                break
            self._bytes -= size
            done += 1
        del self._sizes[:done]


class Chain:
    """Makes every message demand that it is stored right after the one before it, and nothing in between.

    The seq alone does not do that: after n messages of a stranger the server refuses n of ours and takes the next, whose
    expectation then happens to hold. So each also names the id of the one before, where there is one.
    """

    def __init__(self, last: int) -> None:
        self._last = last
        self._id: bytes | None = None

    def link(self, blocks: Sequence[bytes | None]) -> list[bytes | None]:
        """The header blocks with the demands added before their empty line."""
        linked: list[bytes | None] = []
        last, its_id = self._last, self._id
        for each in blocks:
            block = (each or EMPTY_BLOCK)[:-2]
            linked.append(_AFTER % (block, last) if its_id is None else _AFTER_ID % (block, last, its_id))
            last, its_id = last + 1, message_id(each)
        self._last, self._id = last, its_id
        return linked


_AFTER = b"%bNats-Expected-Last-Sequence: %d\r\n\r\n"
_AFTER_ID = b"%bNats-Expected-Last-Sequence: %d\r\nNats-Expected-Last-Msg-Id: %b\r\n\r\n"
