"""Just enough HTTP/1.1 and S3 signing for the fault proxy: messages held whole, one at a time."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import socket
import struct
from dataclasses import dataclass, field, replace
from typing import TypeAlias
from urllib.parse import parse_qsl, quote, urlsplit

LINE = 256 * 1024
Headers: TypeAlias = list[tuple[str, str]]


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    headers: Headers
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name), "")


@dataclass(frozen=True)
class Response:
    status: int
    reason: str
    headers: Headers
    body: bytes


@dataclass(frozen=True)
class Signer:
    """AWS signature version 4 with an unsigned payload, enough for what the proxy changes."""

    access: str
    secret: str = field(repr=False)
    region: str = "us-east-1"

    def sign(self, request: Request) -> Request:
        headers = [
            (name, value)
            for name, value in request.headers
            if name.lower() not in {"authorization", "x-amz-content-sha256", "content-length"}
        ]
        headers += [("x-amz-content-sha256", "UNSIGNED-PAYLOAD"), ("Content-Length", str(len(request.body)))]
        signed = sorted((n.lower(), " ".join(v.split())) for n, v in headers if _is_signed(n.lower()))
        names = ";".join(name for name, _ in signed)
        parts = urlsplit(request.target)
        canonical = "\n".join(
            [
                request.method,
                parts.path,
                _canonical_query(parts.query),
                *(f"{name}:{value}" for name, value in signed),
                "",
                names,
                "UNSIGNED-PAYLOAD",
            ]
        )
        moment = dict(signed)["x-amz-date"]
        scope = f"{moment[:8]}/{self.region}/s3/aws4_request"
        text = "\n".join(["AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        key = f"AWS4{self.secret}".encode()
        for step in (moment[:8], self.region, "s3", "aws4_request"):
            key = hmac.digest(key, step.encode(), "sha256")
        proof = hmac.digest(key, text.encode(), "sha256").hex()
        credential = f"AWS4-HMAC-SHA256 Credential={self.access}/{scope}, SignedHeaders={names}, Signature={proof}"
        return replace(request, headers=[*headers, ("Authorization", credential)])


def _is_signed(name: str) -> bool:
    return name == "host" or name.startswith("x-amz-")


def _canonical_query(query: str) -> str:
    pairs = sorted(parse_qsl(query, keep_blank_values=True))
    return "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in pairs)


async def read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, headers = _parse_head(head)
    method, target, _ = first.split(" ", 2)
    if _value(headers, "expect").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    return Request(method, target, headers, await _read_body(reader, headers))


async def read_response(reader: asyncio.StreamReader, method: str) -> Response:
    status = 100
    first, headers = "", []
    while status < 200:
        first, headers = _parse_head(await reader.readuntil(b"\r\n\r\n"))
        status = int(first.split(" ")[1])
    reason = first.partition(" ")[2].partition(" ")[2]
    if method == "HEAD" or status in {204, 304}:
        return Response(status, reason, headers, b"")
    body = await _read_body(reader, headers)
    headers = [(n, v) for n, v in headers if n.lower() not in {"transfer-encoding", "content-length"}]
    return Response(status, reason, [*headers, ("Content-Length", str(len(body)))], body)


def _parse_head(head: bytes) -> tuple[str, Headers]:
    lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines[1:] if line)
    return lines[0], [(name, value.strip()) for name, _, value in pairs]


async def _read_body(reader: asyncio.StreamReader, headers: Headers) -> bytes:
    if _value(headers, "transfer-encoding").lower() != "chunked":
        return await reader.readexactly(int(_value(headers, "content-length") or 0))
    pieces: list[bytes] = []
    while size := int((await reader.readline()).split(b";")[0], 16):
        pieces.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")
    return b"".join(pieces)


def _value(headers: Headers, name: str) -> str:
    return next((value for key, value in headers if key.lower() == name), "")


def request_bytes(request: Request) -> bytes:
    headers = [(name, value) for name, value in request.headers if name.lower() not in {"connection", "expect"}]
    return head_bytes(f"{request.method} {request.target} HTTP/1.1", [*headers, ("Connection", "close")]) + request.body


def head_bytes(first: str, headers: Headers) -> bytes:
    lines = [first, *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN, and forget what is still buffered."""
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
