"""A small NATS client of its own for the demo and the checks: it shares no line with what it judges.

Loopback, one task, no reconnect: a lost connection is an error here.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

from nats3.errors import Nats3Error

READ_BYTES = 1 << 20
WINDOW = 8_000
"""Messages on their way that JetStream has not acknowledged yet."""
PART = 500
"""Messages per write."""
PULL = 2_000
STATE_WITHIN_S = 30.0
GREETING = b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\nPING\r\n'


class Said(NamedTuple):
    """One message. `header` is the raw block, None where there was none."""

    subject: bytes
    header: bytes | None
    payload: bytes


class Frame(NamedTuple):
    reply: bytes
    said: Said


class NatsRefused(Nats3Error):
    """The server will not do what was asked: `text` is its reason, `code` its error code, 0 where it gave none."""

    def __init__(self, asked: str, text: str, code: int = 0) -> None:
        super().__init__(f"NATS refuses {asked}: {text}")
        self.code = code


class Frames:
    """Takes bytes as they come, gives whole frames. No waiting in here."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Frame | bytes]:
        """Frames of messages, and other lines as they are."""
        buffer, at = self._rest + data, 0
        while (end := buffer.find(b"\r\n", at)) >= 0:
            words = buffer[at:end].split(b" ")
            size = int(words[-1]) if words[0] in {b"MSG", b"HMSG"} else -2
            if end + 4 + size > len(buffer):
                break
            yield _frame(words, buffer[end + 2 : end + 2 + size]) if size >= 0 else buffer[at:end]
            at = end + 4 + size
        self._rest = buffer[at:]


def _frame(words: Sequence[bytes], body: bytes) -> Frame:
    """`MSG subject sid [reply] size` or `HMSG subject sid [reply] header size`."""
    header_size = int(words[-2]) if words[0] == b"HMSG" else 0
    has_reply = len(words) == (6 if header_size else 5)
    return Frame(
        words[3] if has_reply else b"",
        Said(words[1], body[:header_size] if header_size else None, body[header_size:]),
    )


class Wire:
    """One connection. `async with await Wire.open(url) as wire`. Raises OSError when there is none (any more)."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._frames = Frames()
        self._inbox = f"_INBOX.{secrets.token_hex(8)}"
        self._ready = deque[Frame]()

    @classmethod
    async def open(cls, url: str) -> Self:
        address = urlsplit(url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=READ_BYTES)
        wire = cls(reader, writer)
        writer.write(GREETING + f"SUB {wire._inbox}.* 1\r\n".encode())
        return wire

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def api(self, verb: str, body: object = None) -> dict[str, Any]:
        """Ask `$JS.API.<verb>`. Raises NatsRefused with the server's reason."""
        data = b"" if body is None else json.dumps(body).encode()
        self._writer.write(f"PUB $JS.API.{verb} {self._inbox}.api {len(data)}\r\n".encode() + data + b"\r\n")
        async with asyncio.timeout(STATE_WITHIN_S):
            answer = json.loads((await self._next()).said.payload or b'{"error":{"description":"no JetStream"}}')
        if "error" in answer:
            raise NatsRefused(verb, answer["error"]["description"], answer["error"].get("err_code", 0))
        return answer

    async def publish(self, messages: Iterable[Said]) -> AsyncIterator[int]:
        """Publish in order, many in flight; yields how many more are acknowledged. Raises NatsRefused at the first no."""
        reply = f" {self._inbox}.ack ".encode()
        source, sent, acknowledged = iter(messages), 0, 0
        while part := list(islice(source, PART)):
            self._writer.write(b"".join(_published(said, reply) for said in part))
            await self._writer.drain()
            sent += len(part)
            while sent - acknowledged > WINDOW:
                acknowledged += await self._acknowledged()
                yield acknowledged
        while acknowledged < sent:
            acknowledged += await self._acknowledged()
            yield acknowledged

    async def read(self, stream: str) -> AsyncIterator[Said]:
        """What the stream holds now, from its first message to its last, through a consumer that acknowledges nothing."""
        count = (await self.api(f"STREAM.INFO.{stream}"))["state"]["messages"]
        config = {"ack_policy": "none", "mem_storage": True, "inactive_threshold": 60_000_000_000}
        made = await self.api(f"CONSUMER.CREATE.{stream}", {"stream_name": stream, "config": config})
        pull = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{made['name']} {self._inbox}.next".encode()
        asked = 0
        for seen in range(count):
            while asked - seen < PULL and asked < count:
                asked += await self._pull(pull, min(PULL, count - asked))
            async with asyncio.timeout(STATE_WITHIN_S):
                frame = await self._next()
            if not frame.reply.startswith(b"$JS.ACK."):
                raise NatsRefused(f"a pull from {stream}", repr(frame.said.header))
            yield frame.said

    async def _pull(self, pull: bytes, batch: int) -> int:
        body = json.dumps({"batch": batch, "expires": 25_000_000_000}).encode()
        self._writer.write(b"PUB %b %d\r\n%b\r\n" % (pull, len(body), body))
        await self._writer.drain()
        return batch

    async def _acknowledged(self) -> int:
        """Wait for one PubAck at least, take all that came with it; how many."""
        async with asyncio.timeout(STATE_WITHIN_S):
            frames = [await self._next(), *self._ready]
        self._ready.clear()
        for frame in frames:
            answer = json.loads(frame.said.payload or b"{}")
            if "seq" not in answer or answer.get("duplicate"):
                raise NatsRefused("a message", repr(frame.said))
        return len(frames)

    async def _next(self) -> Frame:
        while not self._ready:
            data = await self._reader.read(READ_BYTES)
            if not data:
                raise ConnectionResetError("NATS closed the connection")
            for item in self._frames.feed(data):
                if isinstance(item, Frame):
                    self._ready.append(item)
                elif item == b"PING":
                    self._writer.write(b"PONG\r\n")
                elif item.startswith(b"-ERR"):
                    raise NatsRefused("the connection", item.decode("ascii", "replace"))
        return self._ready.popleft()


def _published(said: Said, reply: bytes) -> bytes:
    if said.header is None:
        return b"PUB %b%b%d\r\n%b\r\n" % (said.subject, reply, len(said.payload), said.payload)
    size = len(said.header)
    return b"HPUB %b%b%d %d\r\n%b%b\r\n" % (
        said.subject, reply, size, size + len(said.payload), said.header, said.payload,
    )  # fmt: skip
