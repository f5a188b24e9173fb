"""An endpoint that gives out credentials of a few seconds, as the agent beside a container does. Imports nothing of the product."""

from __future__ import annotations

import asyncio
import json
from calendar import timegm
from time import gmtime, monotonic, strftime
from types import TracebackType
from typing import Self

from tests.faults.s3_wire import Request

LOOPBACK = "127.0.0.1"
GRACE_S = 2.0
"""A request that was signed in the last moment may be on its way for so long."""


class Issuer:
    """Each answer is another key that is good for `lives` seconds."""

    def __init__(self, lives: float) -> None:
        self._lives = lives
        self._given: dict[str, float] = {}
        self._server: asyncio.Server | None = None
        self.port = 0
        self.away = False

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}/credentials"

    @property
    def given(self) -> int:
        """How many keys were given out."""
        return len(self._given)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, LOOPBACK)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()

    def is_stale(self, request: Request) -> bool:
        """Whether a request is signed with a key that was never given, or is too old by now."""
        signed = request.header("authorization") or ""
        key = signed.partition("Credential=")[2].partition("/")[0]
        until = self._given.get(key)
        return until is None or monotonic() > until + GRACE_S

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        status, body = ("503 Away", b"{}") if self.away else ("200 OK", self._another())
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()

    def _another(self) -> bytes:
        key = f"KEY{len(self._given):017}"
        self._given[key] = monotonic() + self._lives
        ends = strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(timegm(gmtime()) + self._lives + 1))
        return json.dumps(
            {"AccessKeyId": key, "SecretAccessKey": "of-" + key, "Token": "with-" + key, "Expiration": ends}
        ).encode()
