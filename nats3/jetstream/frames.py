"""Frames of the NATS protocol: a reader hooked into nats-py's connection, and builders for what nats3 writes.

nats-py must not decode what is archived: a garbage header block or a subject that is no UTF-8 ends its read loop for
good. So the frames of our own subscriptions never reach it; control lines (INFO, PING, PONG, -ERR) still do.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from nats.aio.client import Client
from nats.protocol.parser import Parser
from typing_extensions import override

from nats3.jetstream.errors import BadFrame

HEADROOM = 64 * 1024
"""Bytes that a delivery may be larger than max_payload: the server adds headers of its own.

An answer of the API may be larger by a third and more: STREAM.MSG.GET gives a message in base64, so frames up to twice
max_payload are read.
"""

MAX_LINE = 256 * 1024
"""Longest control line. INFO of a large cluster is the long one."""

_MAX_DIGITS = 18
"""Longer numbers are no sizes; Python refuses to read very long ones at all."""

_CRLF = b"\r\n"
_H = ord("H")
_M = ord("M")
_MESSAGES = (_H, _M)
_HMSG = b"HMSG"
_BARE = 4
_ALIKE = {6: _HMSG, 5: b"MSG", _BARE: b"MSG"}
"""By the number of its words, what a frame is: with a reply, but for the bare one."""


class Frames:
    """Messages of one subscription in columns of equal length, as raw bytes, in the order of the wire.

    `replies` holds b"" where there was none, `headers` None where the frame was a MSG.
    """

    __slots__ = ("headers", "payloads", "replies", "subjects")

    def __init__(self) -> None:
        self.subjects: list[bytes] = []
        self.replies: list[bytes] = []
        self.headers: list[bytes | None] = []
        self.payloads: list[bytes] = []

    def __len__(self) -> int:
        return len(self.subjects)

    def slice(self, start: int, stop: int) -> Frames:
        """The frames at positions start <= i < stop, as columns of their own."""
        part, place = Frames(), slice(start, stop)
        part.subjects, part.replies = self.subjects[place], self.replies[place]
        part.headers, part.payloads = self.headers[place], self.payloads[place]
        return part


class Sink(Protocol):
    """Where the frames of one subscription go."""

    def take(self, frames: Frames) -> None:
        """Called once for each stretch of bytes that held frames, with the columns; they are the sink's from then on."""
        ...

    def lost(self) -> None:
        """Called once when the connection of this subscription is over; nothing is taken after it."""
        ...

    def denied(self, subject: bytes, fault: str) -> None:
        """Called when the server let somebody on this connection not publish on `subject`; who asked nothing there passes."""
        del subject, fault


class FrameParser(Parser):
    """nats-py's parser, with the frames of registered subscriptions handed over in bulk.

    Correct at any cut of the stream of bytes, because only whole lines and frames are ever looked at; what is not
    whole yet is kept in pieces and joined once, when enough has come. `on_reset` is called whenever nats-py drops its
    connection.
    """

    def __init__(self, client: Client, on_reset: Callable[[], None]) -> None:
        self.sinks: dict[bytes, Sink] = {}
        self._pieces: list[bytes] = []
        self._held = 0
        self._needed = 1
        self._resets = 0
        self._client = client
        self._on_reset = on_reset
        super().__init__(client)

    @override
    def reset(self) -> None:
        super().reset()
        self._pieces = []
        self._held = 0
        self._needed = 1
        self._resets += 1
        self._on_reset()

    @override
    async def parse(self, data: bytes = b"") -> None:
        """Take the next bytes of the wire. Raises BadFrame, which makes nats-py close the connection.

        Whoever says anything is alive: on a slow line an answer to a ping comes behind all that was sent before it.
        """
        self._client._pings_outstanding = 0  # noqa: SLF001 - nats-py counts there what was not answered
        try:
            await self._parse(data)
        except BadFrame as fault:
            await self._tell(fault)
            raise
        except Exception as cause:
            # Anything but a protocol error would end nats-py's read loop while it still says that it is connected.
            fault = BadFrame(f"cannot read what the server sent: {cause!r}")
            await self._tell(fault)
            raise fault from cause

    async def _tell(self, fault: BadFrame) -> None:
        """Its own read loop forgets which protocol error it was."""
        await self._client._error_cb(fault)  # noqa: SLF001 - where nats-py reports what goes wrong

    async def _parse(self, data: bytes) -> None:
        if self._pieces:
            self._pieces.append(data)
            self._held += len(data)
            if self._held < self._needed:
                return
            data = b"".join(self._pieces)
            self._pieces = []
        taken: dict[bytes, Frames] = {}
        position = 0
        connection = self._resets
        while position < len(data) and connection == self._resets:
            stop, position, needed = self._frames(data, position, taken)
            if needed:
                self._keep(data, position, needed)
                break
            if stop > position:
                self._deliver(taken)
                await self._to_nats_py(data[position:stop])
                position = stop
        self._deliver(taken)

    def _keep(self, data: bytes, position: int, needed: int) -> None:
        rest = data[position:] if position else data
        self._pieces = [rest]
        self._held = len(rest)
        self._needed = needed

    def _deliver(self, taken: dict[bytes, Frames]) -> None:
        """Give each sink what it was sent; a sink that is no longer registered gets nothing."""
        for sid, frames in taken.items():
            sink = self.sinks.get(sid)
            if sink is not None:
                sink.take(frames)
        taken.clear()

    async def _to_nats_py(self, whole: bytes) -> None:
        """One whole line or frame for nats-py's own parser, which therefore never holds a part of one."""
        await super().parse(whole)
        if self.buf:
            raise BadFrame(f"no operation of the protocol: {whole[:80]!r}")

    def _frames(self, data: bytes, position: int, taken: dict[bytes, Frames]) -> tuple[int, int, int]:
        """Read our frames from `position` on: (stop, position, needed).

        needed > 0: so many bytes from `position` on make it whole. Else data[position:stop] is for nats-py, or nothing.
        """
        find, size = data.find, len(data)
        limit = 2 * self._client._max_payload + HEADROOM  # noqa: SLF001 - nats-py keeps the server's limit there
        while position < size:
            end = find(_CRLF, position)
            if end < 0:
                return 0, position, _line_needed(size - position)
            kind = data[position]
            start = end + 2
            if kind not in _MESSAGES:
                return start, position, 0
            parts = data[position:end].split(b" ")
            length, header = _sizes(parts, kind, limit)
            stop = start + length
            if stop + 2 > size:
                return 0, position, stop + 2 - position
            if not data.startswith(_CRLF, stop):
                raise BadFrame(f"a frame does not end where it says: {data[position:end][:80]!r}")
            sid = parts[2]
            if sid not in self.sinks:
                if int(sid) in self._client._subs:  # noqa: SLF001 - a subscription that nats-py reads itself
                    return stop + 2, position, 0
                position = stop + 2  # a late frame of a subscription that ended
                continue
            frames = taken.setdefault(sid, Frames())
            frames.subjects.append(parts[1])
            frames.replies.append(parts[3] if len(parts) > (4 if kind == _M else 5) else b"")
            frames.headers.append(data[start : start + header] if kind == _H else None)
            frames.payloads.append(data[start + header : stop])
            position = _read_alike(data, stop + 2, limit, sid, frames)
        return position, position, 0


def _read_alike(data: bytes, position: int, limit: int, sid: bytes, frames: Frames) -> int:
    """Read on while whole, well formed frames of `sid` follow each other; where that ends.

    Nearly all that comes does, so nothing is called per message here but what is written in C. A header block without a
    reply, which nobody sends us in bulk, ends it too.
    """
    find, is_whole = data.find, data.startswith
    add_subject, add_reply = frames.subjects.append, frames.replies.append
    add_header, add_payload = frames.headers.append, frames.payloads.append
    while (end := find(_CRLF, position)) >= 0:
        parts = data[position:end].split(b" ")
        kind, size = _ALIKE.get(len(parts)), parts[-1]
        if parts[0] != kind or parts[2] != sid or not (parts[1] and size.isdigit() and len(size) <= _MAX_DIGITS):
            return position
        start = middle = end + 2
        stop = start + int(size)
        if kind is _HMSG:
            if not parts[4].isdigit() or len(parts[4]) > _MAX_DIGITS:
                return position
            middle += int(parts[4])
        if not middle <= stop <= start + limit or not is_whole(_CRLF, stop):
            return position
        add_subject(parts[1])
        add_reply(parts[3] if len(parts) > _BARE else b"")
        add_header(data[start:middle] if kind is _HMSG else None)
        add_payload(data[middle:stop])
        position = stop + 2
    return position


def _line_needed(held: int) -> int:
    """One byte more than is there, as no line ending has come. Raises BadFrame where no line is that long."""
    if held > MAX_LINE:
        raise BadFrame(f"a control line of more than {MAX_LINE} bytes")
    return held + 1


def _sizes(parts: list[bytes], kind: int, limit: int) -> tuple[int, int]:
    """Bytes of header block and payload together, and of the header block, as a control line says. Raises BadFrame."""
    count = len(parts)
    least = 4 if kind == _M else 5
    operation = b"MSG" if kind == _M else b"HMSG"
    shaped = parts[0] == operation and least <= count <= least + 1 and parts[1] != b""
    if not (shaped and _is_number(parts[-1]) and _is_number(parts[2])):
        raise BadFrame(f"malformed control line: {b' '.join(parts)[:80]!r}")
    length = int(parts[-1])
    if length > limit:
        raise BadFrame(f"a frame of {length} bytes is above the limit of {limit}")
    if kind == _M:
        return length, 0
    if not _is_number(parts[-2]) or int(parts[-2]) > length:
        raise BadFrame(f"malformed control line: {b' '.join(parts)[:80]!r}")
    return length, int(parts[-2])


def _is_number(token: bytes) -> bool:
    return token.isdigit() and len(token) <= _MAX_DIGITS


def publish_frame(subject: bytes, payload: bytes, reply: bytes = b"", block: bytes | None = None) -> bytes:
    """One PUB, or one HPUB where there is a header block. The caller vouches for a subject without blanks."""
    if block is None:
        return b"PUB %b %b %d\r\n%b\r\n" % (subject, reply, len(payload), payload)
    size = len(block) + len(payload)
    return b"HPUB %b %b %d %d\r\n%b%b\r\n" % (subject, reply, len(block), size, block, payload)


def publish_frames(
    subjects: Iterable[bytes], blocks: Iterable[bytes | None], payloads: Iterable[bytes], inbox: bytes, first: int
) -> bytes:
    """One frame for each message, in order, as publish_frame makes it; the answers come on `inbox` with `first` behind it,
    and so on. In one loop, because it is run for every message of a load.
    """
    parts: list[bytes] = []
    for number, (subject, block, payload) in enumerate(zip(subjects, blocks, payloads, strict=True), first):
        if block is None:
            parts += (b"PUB %b %b%d %d\r\n" % (subject, inbox, number, len(payload)), payload, _CRLF)
        else:
            size = len(block)
            line = b"HPUB %b %b%d %d %d\r\n" % (subject, inbox, number, size, size + len(payload))
            parts += (line, block, payload, _CRLF)
    return b"".join(parts)


def batch_frames(
    subjects: Iterable[bytes], blocks: Iterable[bytes], payloads: Iterable[bytes], batch: bytes, first: int
) -> bytes:
    """The same for messages of an atomic batch, which are not answered; each block says its number, from `first` on."""
    parts: list[bytes] = []
    opening = b"Nats-Batch-Id: %b\r\nNats-Batch-Sequence: " % batch
    for number, (subject, block, payload) in enumerate(zip(subjects, blocks, payloads, strict=True), first):
        ending = b"%b%d\r\n\r\n" % (opening, number)
        size = len(block) - 2 + len(ending)
        parts += (b"HPUB %b %d %d\r\n" % (subject, size, size + len(payload)), block[:-2], ending, payload, _CRLF)
    return b"".join(parts)
