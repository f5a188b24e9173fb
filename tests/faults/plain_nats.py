r"""A NATS client of a few lines: raw bytes in, raw bytes out. Imports nothing of the product and no NATS library.

    async with await Plain.connect(url) as nats:
        await nats.api("STREAM.CREATE.S", {"name": "S", "subjects": ["s"]})
        seq = (await nats.publish(b"s", b"payload", b"NATS/1.0\r\nA: 1\r\n\r\n"))["seq"]
        async for kept in nats.read("S"): ...

Header blocks and subjects go out as they are given, whatever they hold. A connection that dies fails everything that
waits on it with ConnectionError: what became of it is then unknown.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from base64 import b64decode
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

ANSWER_S = 10.0
LONGEST_LINE = 1 << 20
WINDOW = 512
MOST_BYTES = 32 << 20
"""Asked for at once: a server ends a connection on which more than 64 MB wait."""


V1_TOKENS = 9
"""Tokens of `$JS.ACK.<stream>.<consumer>.<delivered>.<seq>.<dseq>.<time>.<pending>`."""


@dataclass(frozen=True)
class Kept:
    """A message as a stream has it."""

    seq: int
    time: int
    subject: bytes
    header: bytes | None
    payload: bytes


@dataclass(frozen=True)
class Frame:
    subject: bytes
    reply: bytes
    header: bytes | None
    payload: bytes


class Refused(Exception):
    """The JetStream API said no."""

    def __init__(self, subject: str, error: dict[str, Any]) -> None:
        super().__init__(f"{subject}: {error}")
        self.code = int(error.get("err_code") or error.get("code") or 0)


class Plain:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._inbox = b"_INBOX." + secrets.token_hex(8).encode()
        self._waiting: dict[bytes, asyncio.Future[Frame]] = {}
        self._sinks: dict[bytes, asyncio.Queue[Frame | None]] = {}
        self._count = 0
        self._task = asyncio.get_running_loop().create_task(self._listen())

    @classmethod
    async def connect(cls, url: str) -> Self:
        parts = urlsplit(url)
        async with asyncio.timeout(ANSWER_S):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=LONGEST_LINE)
            await reader.readline()
            options = {"verbose": False, "pedantic": False, "headers": True, "no_responders": True, "lang": "plain"}
            writer.write(b"CONNECT " + json.dumps(options).encode() + b"\r\nPING\r\n")
            line = await reader.readline()
            while not line.startswith(b"PONG"):
                if not line or line.startswith(b"-ERR"):
                    raise ConnectionError(line)
                line = await reader.readline()
        made = cls(reader, writer)
        writer.write(b"SUB %b.* 1\r\n" % made._inbox)
        return made

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError, OSError):
            await self._task
        self._writer.close()

    # --- asking

    async def api(self, name: str, body: object = None, *, within: float = ANSWER_S) -> dict[str, Any]:
        """One request to `$JS.API.<name>`. Raises Refused."""
        payload = b"" if body is None else json.dumps(body).encode()
        frame = await self.request(f"$JS.API.{name}".encode(), payload, within=within)
        answer: dict[str, Any] = json.loads(frame.payload) if frame.payload else {"error": {"code": 503}}
        if "error" in answer:
            raise Refused(name, answer["error"])
        return answer

    async def request(
        self, subject: bytes, payload: bytes, header: bytes | None = None, *, within: float = ANSWER_S
    ) -> Frame:
        reply, future = self._expect()
        try:
            self._send(subject, reply, header, payload)
            await self._writer.drain()
            async with asyncio.timeout(within):
                return await future
        finally:
            self._waiting.pop(reply, None)

    async def publish(
        self, subject: bytes, payload: bytes, header: bytes | None = None, *, within: float = ANSWER_S
    ) -> dict[str, Any]:
        """The PubAck. Raises Refused."""
        frame = await self.request(subject, payload, header, within=within)
        answer: dict[str, Any] = json.loads(frame.payload) if frame.payload else {"error": {"code": 503}}
        if "error" in answer:
            raise Refused(subject.decode("utf-8", "replace"), answer["error"])
        return answer

    async def publish_all(
        self, messages: Iterable[tuple[bytes, bytes | None, bytes]], *, window: int = WINDOW, within: float = ANSWER_S
    ) -> list[int | None]:
        """The seq of each (subject, header block, payload), None where no acknowledgement came. Order is kept."""
        futures: list[tuple[bytes, asyncio.Future[Frame]]] = []
        seqs: list[int | None] = []
        dead = False
        for subject, header, payload in messages:
            reply, future = self._expect()
            futures.append((reply, future))
            if dead:
                future.cancel()
                continue
            self._send(subject, reply, header, payload)
            if len(futures) - len(seqs) >= window:
                with contextlib.suppress(OSError):
                    await self._writer.drain()
                seq = await self._seq(*futures[len(seqs)], within)
                dead = seq is None
                seqs.append(seq)
        for reply, future in futures[len(seqs) :]:
            seq = await self._seq(reply, future, 0.1 if dead else within)
            dead = dead or seq is None  # who waited for this one in vain has waited for all behind it
            seqs.append(seq)
        return seqs

    async def _seq(self, reply: bytes, future: asyncio.Future[Frame], within: float) -> int | None:
        try:
            async with asyncio.timeout(within):
                answer = json.loads((await future).payload or b"{}")
        except (TimeoutError, OSError, asyncio.CancelledError):
            return None
        finally:
            self._waiting.pop(reply, None)
        return answer.get("seq")

    def _expect(self) -> tuple[bytes, asyncio.Future[Frame]]:
        if self._task.done():
            raise ConnectionError("the connection is gone")
        self._count += 1
        reply = b"%b.%d" % (self._inbox, self._count)
        future: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._waiting[reply] = future
        return reply, future

    def _send(self, subject: bytes, reply: bytes, header: bytes | None, payload: bytes) -> None:
        if header is None:
            self._writer.write(b"PUB %b %b %d\r\n%b\r\n" % (subject, reply, len(payload), payload))
        else:
            total = len(header) + len(payload)
            self._writer.write(b"HPUB %b %b %d %d\r\n%b%b\r\n" % (subject, reply, len(header), total, header, payload))

    # --- reading a stream

    async def read(self, stream: str, first: int = 1) -> AsyncIterator[Kept]:
        """All that the stream holds now, from seq `first` on, without consuming any of it."""
        info = await self.api(f"STREAM.INFO.{stream}")
        if info["config"].get("retention", "limits") != "limits":
            async for kept in self._read_one_by_one(stream, max(first, info["state"]["first_seq"]), info):
                yield kept
            return
        last = info["state"]["last_seq"]
        if not info["state"]["messages"] or first > last:
            return
        config = {"ack_policy": "none", "deliver_policy": "by_start_sequence", "opt_start_seq": max(first, 1)}
        made = await self.api(
            f"CONSUMER.CREATE.{stream}", {"stream_name": stream, "config": {**config, "mem_storage": True}}
        )
        try:
            async for kept in self._pull(stream, made["name"], made["num_pending"]):
                yield kept
        finally:
            with contextlib.suppress(Refused, OSError):
                await self.api(f"CONSUMER.DELETE.{stream}.{made['name']}")

    async def steal(self, stream: str, consumer: str) -> bool:
        """Pull one message from somebody else's consumer and acknowledge it; False when none was there."""
        with self._sink() as (inbox, sink):
            order = json.dumps({"batch": 1, "no_wait": True}).encode()
            self._send(f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}".encode(), inbox, None, order)
            frame = await self._next(sink)
        if not frame.reply:
            return False
        await self.request(frame.reply, b"+ACK")
        return True

    async def _pull(self, stream: str, consumer: str, pending: int) -> AsyncIterator[Kept]:
        with self._sink() as (inbox, sink):
            left, asked = pending, 0
            while left > 0:
                if asked <= 0:
                    asked = min(left, 1000)
                    asking = {"batch": asked, "max_bytes": MOST_BYTES, "expires": 5_000_000_000}
                    order = json.dumps(asking).encode()
                    self._send(f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}".encode(), inbox, None, order)
                    await self._writer.drain()
                frame = await self._next(sink)
                if not frame.reply.startswith(b"$JS.ACK."):
                    asked = 0
                    continue
                asked, left = asked - 1, left - 1
                yield kept_of(frame)

    @contextlib.contextmanager
    def _sink(self) -> Iterator[tuple[bytes, asyncio.Queue[Frame | None]]]:
        """An inbox of its own: deliveries keep their subject, so they are known by the subscription."""
        self._count += 1
        inbox, sid = b"_SINK.%b.%d" % (self._inbox[7:], self._count), b"%d" % (self._count + 1)
        sink = self._sinks[sid] = asyncio.Queue()
        self._writer.write(b"SUB %b %b\r\n" % (inbox, sid))
        try:
            yield inbox, sink
        finally:
            self._writer.write(b"UNSUB %b\r\n" % sid)
            del self._sinks[sid]

    async def _next(self, sink: asyncio.Queue[Frame | None]) -> Frame:
        async with asyncio.timeout(ANSWER_S):
            frame = await sink.get()
        if frame is None:
            raise ConnectionError("the connection is gone")
        return frame

    async def _read_one_by_one(self, stream: str, first: int, info: dict[str, Any]) -> AsyncIterator[Kept]:
        """By MSG.GET, which consumes nothing."""
        seq = first
        while seq <= info["state"]["last_seq"]:
            try:
                found = (await self.api(f"STREAM.MSG.GET.{stream}", {"seq": seq, "next_by_subj": ">"}))["message"]
            except Refused:
                return
            yield Kept(
                found["seq"],
                _nanoseconds(found["time"]),
                found["subject"].encode(),
                b64decode(found["hdrs"]) if "hdrs" in found else None,
                b64decode(found.get("data") or ""),
            )
            seq = found["seq"] + 1

    # --- the wire

    async def _listen(self) -> None:
        try:
            while line := await self._reader.readline():
                await self._take(line)
        except (OSError, asyncio.IncompleteReadError, ValueError):
            pass
        finally:
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(ConnectionError("the connection is gone"))
                    future.exception()  # somebody may wait, nobody must
            for sink in self._sinks.values():
                sink.put_nowait(None)

    async def _take(self, line: bytes) -> None:
        words = line.split()
        if words[0] == b"PING":
            self._writer.write(b"PONG\r\n")
        if words[0] not in {b"MSG", b"HMSG"}:
            return
        # A subject may hold bytes that split() takes for blanks, but never a blank itself: cut at blanks alone.
        words = line.rstrip(b"\r\n").split(b" ")
        sizes = 1 if words[0] == b"MSG" else 2
        total = int(words[-1])
        body = await self._reader.readexactly(total + 2)
        cut = int(words[-2]) if sizes == 2 else 0
        reply = words[3] if len(words) == 4 + sizes else b""
        frame = Frame(words[1], reply, body[:cut] if sizes == 2 else None, body[cut:-2])
        sink = self._sinks.get(words[2])
        if sink is not None:
            sink.put_nowait(frame)
            return
        future = self._waiting.get(words[1])
        if future is not None and not future.done():
            future.set_result(frame)


def kept_of(frame: Frame) -> Kept:
    """A delivery, by its ack reply: 9 tokens, or 11 and more with a domain and an account hash in front."""
    tokens = frame.reply.split(b".")
    at = 5 if len(tokens) == V1_TOKENS else 7
    return Kept(int(tokens[at]), int(tokens[at + 2]), frame.subject, frame.header, frame.payload)


def _nanoseconds(text: str) -> int:
    """RFC 3339 in UTC with up to nine digits behind the point."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    moment = datetime.fromisoformat(whole).replace(tzinfo=UTC)
    return int(moment.timestamp()) * 1_000_000_000 + int(fraction.ljust(9, "0") or 0)
