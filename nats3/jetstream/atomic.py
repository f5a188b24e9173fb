"""Atomic batches: up to 999 messages and a marker that says how far the load is, stored together or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from typing_extensions import override

from nats3.jetstream.errors import PublishRefused, refused
from nats3.jetstream.frames import Frames, batch_frames, publish_frame
from nats3.jetstream.link import NO_RESPONDERS, Link, status_of
from nats3.jetstream.pub_acks import Displaced
from nats3.jetstream.publisher import DEFAULT_WINDOW, EMPTY_BLOCK, LinkPublisher, Window

MOST_MESSAGES = 999
"""The server takes 1000 in a batch; the last is the marker."""


@dataclass(frozen=True, slots=True)
class Marker:
    """The message that ends every batch.

    `last` is the seq of the newest message on `subject` in the target, 0 when there never was one; every marker demands
    to follow it. `payload(sent)` is what it says when `sent` messages, counted from the publisher's first, are stored.
    Where `joined(sent)` no batch may end after so many: it could not say where it stands.
    """

    subject: bytes
    last: int
    payload: Callable[[int], bytes]
    joined: Callable[[int], bool] = lambda _: False


def end_of_batch(start: int, stop: int, joined: Callable[[int], bool]) -> int:
    """Where a batch from `start` on that is to end at `stop` ends: before what is joined there, or, if it holds nothing
    else, behind it.
    """
    end = stop
    while end > start and joined(end):
        end -= 1
    if end > start:
        return end
    while joined(stop):
        stop += 1
    return stop


@dataclass(slots=True)
class Held:
    """Messages in columns that wait for the batch to be full."""

    subjects: list[bytes] = field(default_factory=list[bytes])
    blocks: list[bytes | None] = field(default_factory=list["bytes | None"])
    payloads: list[bytes] = field(default_factory=list[bytes])

    def add(self, subjects: Sequence[bytes], blocks: Sequence[bytes | None], payloads: Sequence[bytes]) -> None:
        self.subjects += subjects
        self.blocks += blocks
        self.payloads += payloads

    def part(self, between: tuple[int, int]) -> Held:
        """Those at start <= i < stop."""
        part = slice(*between)
        return Held(self.subjects[part], self.blocks[part], self.payloads[part])


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A batch whose marker is not answered yet."""

    batch: bytes
    count: int


class AtomicPublisher(LinkPublisher):
    """Publishes with one batch in flight: its successor must know where the marker before it lies.

    Other writers may store between two batches, never inside one. A batch is acknowledged whole, and `target_seq` is
    that of its marker.
    """

    def __init__(self, link: Link, stream: str, marker: Marker, *, window: Window = DEFAULT_WINDOW) -> None:
        super().__init__(link, window)
        self._stream = stream
        self._marker = marker
        self._last = marker.last
        self._acked = 0
        self._target_seq = 0
        self._under_way: UnderWay | None = None
        self._held = Held()

    @property
    @override
    def acked(self) -> int:
        return self._acked

    @property
    @override
    def target_seq(self) -> int:
        return self._target_seq

    @property
    @override
    def farthest(self) -> int:
        return self._target_seq

    @property
    @override
    def beyond(self) -> int:
        return 0

    @property
    @override
    def duplicates(self) -> int:
        """Always 0: a batch with a known id is refused."""
        return 0

    @property
    @override
    def displaced(self) -> Sequence[Displaced]:
        """Always empty: a batch is stored in order."""
        return ()

    @property
    @override
    def displaced_count(self) -> int:
        return 0

    @override
    async def send(self, subjects: Sequence[bytes], blocks: Sequence[bytes | None], payloads: Sequence[bytes]) -> None:
        """Send every full batch, each once the one before it is stored; the rest is held back until more comes, or `flush`
        or `drain`.
        """
        self._check()
        self._held.add(subjects, blocks, payloads)
        await self._send_held(keep=True)

    @override
    async def flush(self) -> None:
        self._check()
        await self._send_held(keep=False)
        await self._answered()

    async def _send_held(self, *, keep: bool) -> None:
        held, self._held = self._held, Held()
        batches = self._batches(held.blocks, held.payloads)
        if keep and batches and batches[-1][1] - batches[-1][0] < MOST_MESSAGES:
            self._held = held.part(batches.pop())
        for each in batches:
            await self._send_batch(held.part(each))

    @override
    async def wait_progress(self) -> int:
        while self._acked == self._told and self._under_way is not None:
            await self._wait()
        self._check()
        self._told = self._acked
        return self._told

    @override
    async def drain(self) -> None:
        await self.flush()

    @override
    def take(self, frames: Frames) -> None:
        for subject, header, payload in zip(frames.subjects, frames.headers, frames.payloads, strict=True):
            under_way = self._under_way
            if self._fault is None and under_way is not None and subject == self._inbox + under_way.batch:
                try:
                    self._settle(under_way, header, payload)
                except PublishRefused as fault:
                    self._end(fault)
        self._progress.set()

    def _batches(self, blocks: Sequence[bytes | None], payloads: Sequence[bytes]) -> list[tuple[int, int]]:
        """Where each batch starts and stops: within the server's count and the window's bytes."""
        sizes = [len(payload) + len(block or b"") for block, payload in zip(blocks, payloads, strict=True)]
        batches: list[tuple[int, int]] = []
        sent = self._acked + (0 if self._under_way is None else self._under_way.count)
        start = at = size = 0
        while at < len(sizes):
            if at > start and (at - start >= MOST_MESSAGES or size + sizes[at] > self._window.max_bytes):
                stop = end_of_batch(sent + start, sent + at, self._marker.joined) - sent
                batches.append((start, stop))
                start, at, size = stop, max(at, stop), sum(sizes[stop:at])
            else:
                size += sizes[at]
                at += 1
        if len(payloads) > start:
            batches.append((start, len(payloads)))
        return batches

    async def _send_batch(self, held: Held) -> None:
        """Send one batch and its marker. Its frames are made while the one before it is under way."""
        # An inbox is random: two publishers that shared a batch id would both be refused.
        under_way = UnderWay(self._link.new_inbox().rpartition(b".")[2], len(held.payloads))
        writes = self._writes(held, under_way.batch)
        await self._answered()
        self._under_way = under_way
        self._latest = (*held.subjects, self._marker.subject)
        for write in writes:
            self._link.write(write)
            await self._drain_socket()
        self._link.write(self._mark(under_way))

    def _writes(self, held: Held, batch: bytes) -> list[bytes]:
        blocks = [block or EMPTY_BLOCK for block in held.blocks]
        cut = self._window.writes(held.blocks, held.payloads, self._window.write_messages)
        return [
            batch_frames(held.subjects[at:to], blocks[at:to], held.payloads[at:to], batch, at + 1) for at, to, _ in cut
        ]

    def _mark(self, under_way: UnderWay) -> bytes:
        block = numbered(
            b"NATS/1.0\r\nNats-Expected-Last-Subject-Sequence: %d\r\nNats-Batch-Commit: 1\r\n\r\n" % self._last,
            under_way.batch,
            under_way.count + 1,
        )
        payload = self._marker.payload(self._acked + under_way.count)
        return publish_frame(self._marker.subject, payload, self._inbox + under_way.batch, block)

    async def _answered(self) -> None:
        """Until no batch is under way."""
        while self._under_way is not None:
            await self._wait()
        self._check()

    def _settle(self, under_way: UnderWay, header: bytes | None, payload: bytes) -> None:
        """Read the answer to a batch. Raises PublishRefused with the index of its first message."""
        index = self._acked
        if status_of(header) == NO_RESPONDERS:
            raise PublishRefused(index, PublishRefused.NO_RESPONDERS, "no stream takes the marker's subject")
        answer = _read(payload)
        if answer.get("error") is not None:
            raise refused(index, answer["error"])
        told = (answer.get("stream"), answer.get("batch"), answer.get("count"))
        if told != (self._stream, under_way.batch.decode(), under_way.count + 1):
            raise PublishRefused(index, PublishRefused.WRONG_STREAM, f"the answer is of another batch: {told}")
        self._last = self._target_seq = answer["seq"]
        self._acked += under_way.count
        self._under_way = None


def _read(payload: bytes) -> dict[str, Any]:
    """An empty answer for what is none."""
    try:
        answer: Any = json.loads(payload or b"{}")
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def numbered(block: bytes | None, batch: bytes, number: int) -> bytes:
    """The header block of message `number`, from 1, of a batch."""
    return b"%bNats-Batch-Id: %b\r\nNats-Batch-Sequence: %d\r\n\r\n" % ((block or EMPTY_BLOCK)[:-2], batch, number)
