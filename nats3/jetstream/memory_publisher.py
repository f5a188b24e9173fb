"""Publishers over the memory server: everything is answered as it is sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any, Protocol

from typing_extensions import override

from nats3.jetstream.atomic import MOST_MESSAGES, Marker, end_of_batch
from nats3.jetstream.errors import (
    KNOWN_ID,
    WRONG_LAST_SEQUENCE,
    MustBind,
    PublishRefused,
    Reason,
    TargetMoved,
    refused,
)
from nats3.jetstream.memory_stream import MemoryStream, Stored, WrongLastSequence
from nats3.jetstream.pub_acks import Displaced, PubAcks
from nats3.jetstream.publisher import Chain, Publisher
from nats3.jetstream.tail import message_id

ATOMIC_REFUSED = 10174


class MemoryServer(Protocol):
    """What a publisher needs of the memory server."""

    def taker(self, subject: bytes) -> MemoryStream | None:
        """The stream that takes what is published on `subject`."""
        ...

    def publish(self, subject: str | bytes, payload: bytes = b"", block: bytes | None = None) -> Stored | None:
        """Store a message; None when nobody takes it. Raises WrongLastSequence."""
        ...

    def stored_order(self, count: int) -> list[int]:
        """In which order so many messages are stored that are sent together."""
        ...

    def refusal(self) -> dict[str, Any] | None:
        """The error with which the next message or batch is refused, None when it is taken."""
        ...


class MemoryPublisher(Publisher):
    """Publisher over the memory server. Everything is acknowledged as it is sent."""

    def __init__(
        self,
        server: MemoryServer,
        stream: str,
        expect_last: int | None = None,
        *,
        behind: int = 0,
        strict: bool = False,
    ) -> None:
        self._server = server
        self._stream = stream
        self._chain = None if expect_last is None else Chain(expect_last)
        self._strict = strict
        self._sent = 0
        self._acks = PubAcks(stream, behind)
        self._fault: MustBind | PublishRefused | None = None

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
        self._check()
        if self._chain is not None:
            blocks = self._chain.link(blocks)
        together = 1 if self._strict else max(1, len(payloads))
        for start in range(0, len(payloads), together):
            for at in self._server.stored_order(together):  # no answer is read in between
                self._answer(self._sent + at, subjects[start + at], blocks[start + at], payloads[start + at])
            self._sent += together
            await self.drain()

    @override
    async def flush(self) -> None:
        self._check()

    @override
    async def wait_progress(self) -> int:
        self._check()
        return self.acked

    @override
    async def drain(self) -> None:
        self._check()

    @override
    async def close(self) -> None:
        self.end(MustBind(Reason.CONNECTION_LOST, "closed by us"))

    def end(self, fault: MustBind | PublishRefused) -> None:
        if self._fault is None:
            self._fault = fault

    def _answer(self, index: int, subject: bytes, block: bytes | None, payload: bytes) -> None:
        """Publish one message; what the server answers is read as the real publisher reads it."""
        taker = self._server.taker(subject)
        if taker is None:
            self.end(PublishRefused(index, PublishRefused.NO_RESPONDERS, "no stream takes this subject"))
            return
        error = self._server.refusal()
        try:
            stored = None if error else self._server.publish(subject, payload, block)
        except WrongLastSequence:
            self.end(TargetMoved(index, WRONG_LAST_SEQUENCE, f"wrong last sequence: {taker.last}"))
            return
        answer = {"error": error} if stored is None else {"stream": taker.name, "seq": stored.seq}
        answer |= {"duplicate": True} if stored is not None and stored.duplicate else {}
        try:
            self._acks.take(index, None, json.dumps(answer, separators=(",", ":")).encode())
        except PublishRefused as fault:
            self.end(fault)

    def _check(self) -> None:
        if self._fault is not None:
            raise self._fault


class MemoryAtomicPublisher(MemoryPublisher):
    """AtomicPublisher over the memory server: a batch and its marker, or neither."""

    def __init__(self, server: MemoryServer, stream: str, marker: Marker, most: int = MOST_MESSAGES) -> None:
        super().__init__(server, stream)
        self._most = most
        self._marker = marker
        self._last = marker.last
        self._stored = 0
        self._under_way: tuple[int, int] | None = None
        """Messages of the batch that is not answered yet, and the seq of its marker."""
        self._held: list[tuple[bytes, bytes | None, bytes]] = []

    @property
    @override
    def acked(self) -> int:
        return self._stored

    @property
    @override
    def target_seq(self) -> int:
        return self._last if self._stored else 0

    @override
    async def send(self, subjects: Sequence[bytes], blocks: Sequence[bytes | None], payloads: Sequence[bytes]) -> None:
        self._check()
        self._held.extend(zip(subjects, blocks, payloads, strict=True))
        while len(self._held) >= self._most:
            await self._commit()

    @override
    async def flush(self) -> None:
        while self._held:
            await self._commit()
        await self._answered()

    @override
    async def drain(self) -> None:
        await self.flush()

    async def _commit(self) -> None:
        """The connection may be lost before the batch arrives, and after it, before its answer does."""
        await self._answered()
        await asyncio.sleep(0)
        self._check()
        stop = self._stored + min(self._most, len(self._held))
        count = end_of_batch(self._stored, stop, self._marker.joined) - self._stored
        batch, self._held = self._held[:count], self._held[count:]
        subjects, blocks, payloads = zip(*batch, strict=True)
        refusal = self._refusal(subjects, blocks)
        if refusal is not None:
            self.end(refusal)
        self._check()
        self._under_way = (len(batch), self._store(subjects, blocks, payloads))

    async def _answered(self) -> None:
        """Until no batch is under way."""
        if self._under_way is not None:
            await asyncio.sleep(0)
        self._check()
        if self._under_way is not None:
            count, self._last = self._under_way
            self._stored += count
            self._under_way = None

    def _refusal(self, subjects: Sequence[bytes], blocks: Sequence[bytes | None]) -> PublishRefused | None:
        """Why the server refuses the batch, None when it takes it."""
        taker = self._server.taker(self._marker.subject)
        if taker is None or any(self._server.taker(subject) is not taker for subject in subjects):
            return PublishRefused(self._stored, PublishRefused.NO_RESPONDERS, "no stream takes this subject")
        error = self._server.refusal()
        if error is not None:
            return refused(self._stored, error)
        if not taker.config.get("allow_atomic"):
            return PublishRefused(self._stored, ATOMIC_REFUSED, "atomic publish is disabled")
        newest = max((one.seq for one in taker.messages.values() if one.subject == self._marker.subject), default=0)
        if newest != self._last:
            return TargetMoved(self._stored, WRONG_LAST_SEQUENCE, f"wrong last sequence: {newest}")
        if any(message_id(block) in taker.ids for block in blocks):
            return TargetMoved(self._stored, KNOWN_ID, "batch contains a known message id")
        return None

    def _store(self, subjects: Sequence[bytes], blocks: Sequence[bytes | None], payloads: Sequence[bytes]) -> int:
        """The seq of the marker."""
        for subject, block, payload in zip(subjects, blocks, payloads, strict=True):
            self._server.publish(subject, payload, block)
        marked = self._server.publish(self._marker.subject, self._marker.payload(self._stored + len(payloads)))
        assert marked is not None
        return marked.seq
