"""As much of Postgres' protocol 3.0 as it takes to ask a server on loopback whether it is up, and ours."""

from __future__ import annotations

import asyncio
import struct

from nats3.dev.errors import NotReady
from nats3.dev.ports import LOOPBACK

PROTOCOL_3 = 196_608
OK, CLEARTEXT = 0, 3
"""Answers to the greeting: no password is asked for, or a plain one (loopback only)."""


async def ask(port: int, user: str, password: str, database: str, sql: str) -> bool:
    """Run one statement; whether it answered a row. Raises NotReady when refused, OSError or EOFError when away."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        writer.write(_greeting(user, database))
        await _log_in(reader, writer, password)
        await _until_ready(reader)
        writer.write(_frame(b"Q", sql.encode() + b"\0"))
        answered = await _until_ready(reader)
        writer.write(_frame(b"X", b""))
        return b"D" in answered
    finally:
        writer.close()


async def _log_in(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, password: str) -> None:
    kind, body = await _read(reader)
    if kind == b"R" and struct.unpack_from("!I", body)[0] == CLEARTEXT:
        writer.write(_frame(b"p", password.encode() + b"\0"))
        kind, body = await _read(reader)
    if kind != b"R" or struct.unpack_from("!I", body)[0] != OK:
        raise NotReady(body)


async def _until_ready(reader: asyncio.StreamReader) -> set[bytes]:
    """The kinds of messages that came before the server was ready for the next statement."""
    kinds: set[bytes] = set()
    while True:
        kind, body = await _read(reader)
        if kind == b"E":
            raise NotReady(body)
        if kind == b"Z":
            return kinds
        kinds.add(kind)


async def _read(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    kind, length = struct.unpack("!cI", await reader.readexactly(5))
    return kind, await reader.readexactly(length - 4)


def _greeting(user: str, database: str) -> bytes:
    pairs = b"".join(word.encode() + b"\0" for word in ("user", user, "database", database)) + b"\0"
    return struct.pack("!II", len(pairs) + 8, PROTOCOL_3) + pairs


def _frame(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body
