"""A proxy before an S3 endpoint that understands HTTP and does wrong on order. Imports nothing of the product.

    async with S3Proxy(endpoint, access, secret) as proxy:
        store = open(proxy.endpoint)                       # sign against the proxy's address: Host goes on unchanged
        proxy.next(Answer(503, "SlowDown"), times=2)       # the next two requests
        proxy.next(LoseAnswer(), when=is_put)              # done, and the connection dies before the answer
        proxy.share(Answer(500, "InternalError"), 0.3, chance=random.Random(7).random)
        proxy.always(Rewrite(drop=WEAK))                   # a store that knows no conditions and no checksums
        proxy.clear()

Each request meets the first rule that fits and still has uses, or none. `proxy.requests` are all that came,
`proxy.most_at_once` how many of them were open together.
Bodies are held in memory whole; connections to the store are not kept.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self, TypeAlias
from urllib.parse import urlsplit

from tests.faults.s3_wire import (
    LINE,
    Request,
    Response,
    Signer,
    head_bytes,
    read_request,
    read_response,
    request_bytes,
    reset,
)

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Answer:
    """An error in the store's name, or an empty 200. `applied`: the store has done it all the same."""

    status: int
    code: str
    message: str = "ordered by the test"
    applied: bool = False


@dataclass(frozen=True)
class Delay:
    """The answer comes `seconds` later."""

    seconds: float


@dataclass(frozen=True)
class Truncate:
    """Only `keep` bytes of the answer's body arrive. `honest`: Content-Length says so, and nothing looks wrong."""

    keep: int
    honest: bool = False


@dataclass(frozen=True)
class FlipBit:
    """One bit of the answer's body is changed: bit `bit` of byte `at`."""

    at: int
    bit: int = 0


@dataclass(frozen=True)
class SlowBody:
    """The answer's body comes in pieces of `piece` bytes with `seconds` between them."""

    piece: int
    seconds: float


@dataclass(frozen=True)
class LoseAnswer:
    """The store does it; the connection is reset before the answer."""


@dataclass(frozen=True)
class Hang:
    """The request is read and nothing more happens until the client goes away."""


@dataclass(frozen=True)
class Late:
    """The connection is reset now; the request reaches the store when `land` is called."""


@dataclass(frozen=True)
class Rewrite:
    """The request is changed, signed again with the store's keys and sent on; the store's answer comes back.

    `drop` names headers that are taken off (beside the checksum, which could not be right any more when the body
    changes). `echo`: the answer shows the client's own checksum, as if all had arrived.
    """

    body: Callable[[bytes], bytes] | None = None
    drop: tuple[str, ...] = ()
    echo: bool = False


@dataclass(frozen=True)
class Relabel:
    """The answer's headers say something else; names in lower case, None takes one away."""

    headers: dict[str, str | None]


CHECKSUM = ("x-amz-checksum-sha256", "x-amz-sdk-checksum-algorithm")
WEAK = (*CHECKSUM, "if-none-match", "x-amz-checksum-mode")
"""What a store that knows neither conditions nor checksums does not look at."""

Fault: TypeAlias = Answer | Delay | Truncate | FlipBit | SlowBody | LoseAnswer | Hang | Late | Rewrite | Relabel


def is_put(request: Request) -> bool:
    return request.method == "PUT"


def is_get(request: Request) -> bool:
    return request.method == "GET"


def is_head(request: Request) -> bool:
    return request.method == "HEAD"


def anything(_: Request) -> bool:
    return True


class Gone(Exception):
    """The connection to the client ends here, with RST."""


@dataclass
class Rule:
    fault: Fault
    left: int | None
    when: Callable[[Request], bool]
    share: float = 1.0
    chance: Callable[[], float] = field(default=lambda: 0.0)

    def meets(self, request: Request) -> bool:
        if self.left == 0 or not self.when(request) or self.chance() >= self.share:
            return False
        if self.left is not None:
            self.left -= 1
        return True


class S3Proxy:
    """Stands before `endpoint` (plain HTTP). The keys are only for what it must sign again."""

    def __init__(self, endpoint: str, access: str, secret: str, region: str = "us-east-1") -> None:
        parts = urlsplit(endpoint)
        self._target = (parts.hostname or LOOPBACK, parts.port or 80)
        self._signer = Signer(access, secret, region)
        self.port = 0
        self.requests: list[Request] = []
        self.at_once = 0
        self.most_at_once = 0
        self._rules: list[Rule] = []
        self._late: list[Request] = []
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._changed = asyncio.Condition()

    @property
    def endpoint(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    async def __aenter__(self) -> Self:
        await self.accept()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.refuse()
        await self.until(lambda: not self._writers)

    async def accept(self) -> None:
        """Listen: on a free port the first time, on the same one later."""
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, LOOPBACK, self.port, limit=LINE)
            self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """The endpoint is away: nobody listens, and every connection is reset."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            reset(writer)

    def next(self, fault: Fault, times: int = 1, when: Callable[[Request], bool] = anything) -> None:
        """The next `times` requests that fit meet the fault."""
        self._rules.append(Rule(fault, times, when))

    def share(
        self, fault: Fault, part: float, chance: Callable[[], float], when: Callable[[Request], bool] = anything
    ) -> None:
        """That part of the requests meets the fault, as `chance` (in [0, 1)) decides."""
        self._rules.append(Rule(fault, None, when, part, chance))

    def always(self, fault: Fault, when: Callable[[Request], bool] = anything) -> None:
        """Every request that fits meets the fault."""
        self._rules.append(Rule(fault, None, when))

    def clear(self) -> None:
        """No faults any more."""
        self._rules.clear()

    async def land(self) -> None:
        """What was late reaches the store now, in the order in which it came."""
        late, self._late = self._late, []
        for request in late:
            await self._ask(request)

    async def until(self, predicate: Callable[[], bool]) -> None:
        """Wait until something about this proxy is so: `lambda: len(proxy.requests) == 3`."""
        async with self._changed:
            await self._changed.wait_for(predicate)

    def count(self, when: Callable[[Request], bool] = anything) -> int:
        """How many of the requests so far fit."""
        return sum(map(when, self.requests))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while request := await read_request(reader, writer):
                self.requests.append(request)
                await self._tell()
                with self._counted():
                    await self._answer(request, reader, writer)
        except (Gone, OSError, asyncio.IncompleteReadError):
            reset(writer)
        finally:
            self._writers.discard(writer)
            writer.close()
            await self._tell()

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            yield
        finally:
            self.at_once -= 1

    async def _answer(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        fault = next((rule.fault for rule in self._rules if rule.meets(request)), None)
        match fault:
            case Answer():
                if fault.applied:
                    await self._ask(request)
                await _write(writer, request, _error(fault))
            case LoseAnswer():
                await self._ask(request)
                raise Gone
            case Late():
                self._late.append(request)
                raise Gone
            case Hang():
                await reader.read(1)
                raise Gone
            case Delay(seconds):
                await asyncio.sleep(seconds)
                await _write(writer, request, await self._ask(request))
            case Rewrite():
                await _write(writer, request, await self._rewritten(request, fault))
            case _:
                await _damaged(writer, request, await self._ask(request), fault)

    async def _rewritten(self, request: Request, fault: Rewrite) -> Response:
        body = fault.body(request.body) if fault.body else request.body
        drop = {*fault.drop, *(CHECKSUM if fault.body else ())}
        headers = [(name, value) for name, value in request.headers if name.lower() not in drop]
        response = await self._ask(self._signer.sign(replace(request, headers=headers, body=body)))
        if fault.echo:
            echo = ("x-amz-checksum-sha256", request.header("x-amz-checksum-sha256"))
            return replace(response, headers=[*response.headers, echo])
        return response

    async def _ask(self, request: Request) -> Response:
        """The store's answer. A store that is away looks to the client like a connection that dies."""
        try:
            reader, writer = await asyncio.open_connection(*self._target, limit=LINE)
        except OSError as error:
            raise Gone from error
        try:
            writer.write(request_bytes(request))
            await writer.drain()
            return await read_response(reader, request.method)
        finally:
            writer.close()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()


async def _write(writer: asyncio.StreamWriter, request: Request, response: Response) -> None:
    headers = [(name, value) for name, value in response.headers if name.lower() != "connection"]
    writer.write(head_bytes(f"HTTP/1.1 {response.status} {response.reason}", headers))
    if request.method != "HEAD":
        writer.write(response.body)
    await writer.drain()


async def _damaged(
    writer: asyncio.StreamWriter,
    request: Request,
    response: Response,
    fault: Truncate | FlipBit | SlowBody | Relabel | None,
) -> None:
    match fault:
        case None:
            await _write(writer, request, response)
        case Truncate(keep, honest=True):
            short = response.body[:keep]
            headers = [(n, v) for n, v in response.headers if n.lower() != "content-length"]
            await _write(writer, request, replace(response, headers=[*headers, _length(short)], body=short))
        case Truncate(keep):
            await _write(writer, request, replace(response, body=response.body[:keep]))
            writer.close()
            raise Gone
        case FlipBit(at, bit):
            body = bytearray(response.body)
            body[at] ^= 1 << bit
            await _write(writer, request, replace(response, body=bytes(body)))
        case Relabel(changed):
            kept = [(n, v) for n, v in response.headers if n.lower() not in changed]
            added = [(n, v) for n, v in changed.items() if v is not None]
            await _write(writer, request, replace(response, headers=[*kept, *added]))
        case SlowBody():
            await _write_slowly(writer, request, response, fault)


async def _write_slowly(writer: asyncio.StreamWriter, request: Request, response: Response, fault: SlowBody) -> None:
    await _write(writer, request, replace(response, body=b""))
    for start in range(0, len(response.body), fault.piece):
        await asyncio.sleep(fault.seconds)
        writer.write(response.body[start : start + fault.piece])
        await writer.drain()


def _length(body: bytes) -> tuple[str, str]:
    return ("Content-Length", str(len(body)))


def _error(fault: Answer) -> Response:
    if fault.status < 300:
        return Response(fault.status, fault.code, [_length(b"")], b"")
    body = f"<?xml version='1.0'?><Error><Code>{fault.code}</Code><Message>{fault.message}</Message></Error>".encode()
    return Response(fault.status, fault.code, [("Content-Type", "application/xml"), _length(body)], body)
