"""A store that says yes to everything, on a port of its own, and remembers what came. It also passes for a proxy before any host."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.faults.s3_wire import LINE, Request, Response, head_bytes, read_request

_CHANCE = {"x-amz-date", "user-agent", "amz-sdk-invocation-id"}
_MOMENT = re.compile(r"/\d{8}/|Signature=\w+")


def yes(request: Request) -> Response:
    """It has the object, which is one byte."""
    status = 206 if request.header("range") else 200
    about = [("Content-Range", "bytes 0-0/1")] if status == 206 else []
    body = b"" if request.method == "PUT" else b"x"
    told = [*about, ("ETag", '"e"'), ("x-amz-checksum-sha256", "AA=="), ("x-amz-meta-nats3-sha256", "00")]
    return Response(status, "", [*told, ("Content-Length", str(len(body)))], b"" if request.method == "HEAD" else body)


@dataclass
class Listener:
    endpoint: str = ""
    answer: Callable[[Request], Response] = yes
    heard: list[Request] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (request := await read_request(reader, writer)) is not None:
            self.heard.append(request)
            answer = self.answer(request)
            writer.write(head_bytes(f"HTTP/1.1 {answer.status} Said", answer.headers) + answer.body)
        writer.close()


def without_chance(request: Request) -> tuple[str, str, list[tuple[str, str]], bytes]:
    """All of a request, its headers in their order, but for what is another each time."""
    headers = [(name, "" if name.lower() in _CHANCE else _MOMENT.sub("", value)) for name, value in request.headers]
    return request.method, request.target, headers, request.body


@asynccontextmanager
async def listening() -> AsyncGenerator[Listener]:
    listener = Listener()
    server = await asyncio.start_server(listener.serve, "127.0.0.1", 0, limit=LINE)
    listener.endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield listener
    finally:
        server.close()
