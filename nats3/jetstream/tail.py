"""Which message ids the end of a stream holds: how a load finds what it has already published."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, NamedTuple

from nats3.errors import Unavailable
from nats3.jetstream import api
from nats3.jetstream.connection import Connection
from nats3.jetstream.errors import MustBind
from nats3.jetstream.source import PullSource

_QUIET_S = 1.0
_AT_ONCE = 20_000
_ID = b"\r\nNats-Msg-Id:"
"""As the server looks for it: a header that is spelt otherwise is somebody's own."""


class Seen(NamedTuple):
    """A message of a stream without its payload; `id` is its `Nats-Msg-Id`, if it has one."""

    seq: int
    id: bytes | None
    subject: bytes


def message_id(block: bytes | None) -> bytes | None:
    """The first `Nats-Msg-Id` in a raw header block, None where there is none."""
    at = -1 if block is None else block.find(_ID)
    if block is None or at < 0:
        return None
    start = at + len(_ID)
    end = block.find(b"\r\n", start)
    return (block[start:end] if end >= 0 else block[start:]).strip()


async def tail(connection: Connection, stream: str, from_seq: int) -> AsyncGenerator[list[Seen], None]:
    """Every message at or above `from_seq` that is there now, in order, without payloads.

    Reads through a consumer that acknowledges nothing and vanishes by itself. Raises Unavailable, ApiRefused.
    """
    name = connection.link().new_inbox().decode().rpartition(".")[2]
    answer = await api.ask(connection, f"CONSUMER.CREATE.{stream}.{name}", _body(stream, name, from_seq))
    left: int = answer["num_pending"]
    source = PullSource(connection.link(), connection.settings.api, stream, name, ack="none")
    try:
        while left > 0:
            source.ask(_AT_ONCE, 2 * source.least_bytes)
            found = await _receive(source)
            if not found:
                left = min(left, (await api.ask(connection, f"CONSUMER.INFO.{stream}.{name}"))["num_pending"])
                continue
            left -= len(found)
            yield found
        await api.ask(connection, f"CONSUMER.DELETE.{stream}.{name}")
    except MustBind as fault:
        raise Unavailable("nats", str(fault)) from fault
    finally:
        await source.close()


async def _receive(source: PullSource) -> list[Seen]:
    """What came within a moment: nothing comes for messages that were dropped before they were read."""
    try:
        async with asyncio.timeout(_QUIET_S):
            batch = (await source.receive()).batch
    except TimeoutError:
        return []
    return list(map(Seen, batch.seqs, map(message_id, batch.headers), batch.subjects))


def _body(stream: str, name: str, from_seq: int) -> dict[str, Any]:
    start: dict[str, Any] = {"deliver_policy": "all"}
    if from_seq > 1:
        start = {"deliver_policy": "by_start_sequence", "opt_start_seq": from_seq}
    config = {
        "name": name,
        "ack_policy": "none",
        "headers_only": True,
        "mem_storage": True,
        "inactive_threshold": 30_000_000_000,
        **start,
    }
    return {"stream_name": stream, "config": config, "action": "create"}
