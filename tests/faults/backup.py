"""A stream saved and made anew by the server's own API, as `nats stream backup` and `nats stream restore` do it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import nats
from nats.aio.client import Client

_CHUNK = 128 * 1024
_WITHIN_S = 20


@dataclass(frozen=True, slots=True)
class Saved:
    """What `restore` needs: configuration and state as the server told them, and its archive in parts."""

    config: dict[str, Any]
    state: dict[str, Any]
    parts: tuple[bytes, ...]


async def backup(url: str, stream: str) -> Saved:
    """The stream with its messages and without its consumers."""
    async with await nats.connect(url) as client, asyncio.timeout(_WITHIN_S):
        inbox = client.new_inbox()
        arriving = await client.subscribe(inbox)
        asked = {"deliver_subject": inbox, "no_consumers": True, "chunk_size": _CHUNK}
        told = await _ask(client, f"STREAM.SNAPSHOT.{stream}", json.dumps(asked).encode())
        parts: list[bytes] = []
        while (part := await arriving.next_msg(_WITHIN_S)).data:
            parts.append(part.data)
            if part.reply:
                await part.respond(b"")
        return Saved(told["config"], told["state"], tuple(parts))


async def restore(url: str, saved: Saved) -> None:
    """A stream with the seqs and times of the one that was saved, and a creation time of its own."""
    async with await nats.connect(url) as client, asyncio.timeout(_WITHIN_S):
        asked = json.dumps({"config": saved.config, "state": saved.state}).encode()
        told = await _ask(client, f"STREAM.RESTORE.{saved.config['name']}", asked)
        for part in saved.parts:
            await client.request(told["deliver_subject"], part, timeout=_WITHIN_S)
        _answer((await client.request(told["deliver_subject"], b"", timeout=_WITHIN_S)).data)


async def _ask(client: Client, name: str, body: bytes) -> dict[str, Any]:
    return _answer((await client.request(f"$JS.API.{name}", body, timeout=_WITHIN_S)).data)


def _answer(data: bytes) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(data)
    assert "error" not in told, told
    return told
