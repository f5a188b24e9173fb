"""Atomic batches: up to 999 messages and a marker that says how far the load is, stored together or not at all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from typing_extensions import override

from nats3.jetstream.errors import MustBind, PublishRefused, Reason, refused
from nats3.jetstream.frames import batch_frames
from nats3.jetstream.link import NO_RESPONDERS, Link, Reply, status_of
from nats3.jetstream.pub_acks import Displaced
from nats3.jetstream.publisher import DEFAULT_WINDOW, EMPTY_BLOCK, Publisher, Window

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


class AtomicPublisher(Publisher):
    """Publishes with one batch in flight: its successor must know where the marker before it lies.

    Other writers may store between two batches, never inside one. A batch is acknowledged whole, and `target_seq` is
    that of its marker.
    """

    def __init__(self, link: Link, stream: str, marker: Marker, *, window: Window = DEFAULT_WINDOW) -> None:
        self._link = link
        self._stream = stream
        self._marker = marker
        self._window = window
        self._last = marker.last
        self._acked = 0
        self._target_seq = 0
        self._told = 0
        self._sending = 0
        self._held = Held()
        self._fault: MustBind | PublishRefused | None = None
        self._progress = asyncio.Event()

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
        """Store every full batch; the rest is held back until more comes, or `flush` or `drain`."""
        self._check()
        self._sending += len(payloads)
        self._held.add(subjects, blocks, payloads)
        await self._commit_held(keep=True)

    @override
    async def flush(self) -> None:
        self._check()
        await self._commit_held(keep=False)

    async def _commit_held(self, *, keep: bool) -> None:
        held, self._held = self._held, Held()
        batches = self._batches(held.blocks, held.payloads)
        if keep and batches and batches[-1][1] - batches[-1][0] < MOST_MESSAGES:
            self._held = held.part(batches.pop())
        for each in batches:
            try:
                await self._commit(held.part(each))
            except (MustBind, PublishRefused) as fault:
                self._end(fault)
                raise

    @override
    async def wait_progress(self) -> int:
        while self._acked == self._told and self._acked < self._sending - len(self._held.payloads):
            self._check()
            self._progress.clear()
            await self._progress.wait()
        self._check()
        self._told = self._acked
        return self._told

    @override
    async def drain(self) -> None:
        await self.flush()
        while self._acked < self._sending:
            self._check()
            self._progress.clear()
            await self._progress.wait()
        self._check()

    @override
    async def close(self) -> None:
        self._end(MustBind(Reason.CONNECTION_LOST, "closed by us"))

    def _end(self, fault: MustBind | PublishRefused) -> None:
        if self._fault is None:
            self._fault = fault
            self._progress.set()

    def _check(self) -> None:
        if self._fault is not None:
            raise self._fault

    def _batches(self, blocks: Sequence[bytes | None], payloads: Sequence[bytes]) -> list[tuple[int, int]]:
        """Where each batch starts and stops: within the server's count and the window's bytes."""
        sizes = [len(payload) + len(block or b"") for block, payload in zip(blocks, payloads, strict=True)]
        batches: list[tuple[int, int]] = []
        start = at = size = 0
        while at < len(sizes):
            if at > start and (at - start >= MOST_MESSAGES or size + sizes[at] > self._window.max_bytes):
                stop = end_of_batch(self._acked + start, self._acked + at, self._marker.joined) - self._acked
                batches.append((start, stop))
                start, at, size = stop, max(at, stop), sum(sizes[stop:at])
            else:
                size += sizes[at]
                at += 1
        if len(payloads) > start:
            batches.append((start, len(payloads)))
        return batches

    async def _commit(self, held: Held) -> None:
        """Send one batch and its marker; return once all of it is stored."""
        count = len(held.payloads)
        # An inbox is random: two publishers that shared a batch id would both be refused.
        batch = self._link.new_inbox().rpartition(b".")[2]
        blocks = [block or EMPTY_BLOCK for block in held.blocks]
        for start in range(0, count, self._window.write_messages):
            part = slice(start, start + self._window.write_messages)
            columns = (held.subjects[part], blocks[part], held.payloads[part])
            self._link.write(batch_frames(*columns, batch, start + 1))
            await self._drain_socket()
        self._settle(await self._mark(batch, count), batch, count)

    async def _mark(self, batch: bytes, count: int) -> Reply:
        block = numbered(
            b"NATS/1.0\r\nNats-Expected-Last-Subject-Sequence: %d\r\nNats-Batch-Commit: 1\r\n\r\n" % self._last,
            batch,
            count + 1,
        )
        payload = self._marker.payload(self._acked + count)
        try:
            return await self._link.request(self._marker.subject, payload, self._window.patience_s, block)
        except TimeoutError as fault:
            raise MustBind(Reason.ACKS_MISSING, f"no answer to a batch for {self._window.patience_s:g} s") from fault

    async def _drain_socket(self) -> None:
        try:
            async with asyncio.timeout(self._window.patience_s):
                await self._link.drain()
        except TimeoutError as fault:
            raise MustBind(Reason.ACKS_MISSING, "the socket takes no more") from fault

    def _settle(self, reply: Reply, batch: bytes, count: int) -> None:
        """Read the answer to a batch. Raises PublishRefused with the index of its first message."""
        index = self._acked
        if status_of(reply.header) == NO_RESPONDERS:
            raise PublishRefused(index, PublishRefused.NO_RESPONDERS, "no stream takes the marker's subject")
        answer = json.loads(reply.payload or b"{}")
        error = answer.get("error")
        if error is not None:
            raise refused(index, error)
        told = (answer.get("stream"), answer.get("batch"), answer.get("count"))
        if told != (self._stream, batch.decode(), count + 1):
            raise PublishRefused(index, PublishRefused.WRONG_STREAM, f"the answer is of another batch: {told}")
        self._last = self._target_seq = answer["seq"]
        self._acked += count
        self._progress.set()


def numbered(block: bytes | None, batch: bytes, number: int) -> bytes:
    """The header block of message `number`, from 1, of a batch."""
    return b"%bNats-Batch-Id: %b\r\nNats-Batch-Sequence: %d\r\n\r\n" % ((block or EMPTY_BLOCK)[:-2], batch, number)
