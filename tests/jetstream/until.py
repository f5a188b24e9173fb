"""One raw pull request and every frame that answers it."""

from __future__ import annotations

import asyncio
import json

from nats3.jetstream.frames import Frames, publish_frame
from nats3.jetstream.link import Link, status_of


class _Until:
    def __init__(self) -> None:
        self.frames: list[tuple[bytes | None, bytes]] = []
        self.done = asyncio.Event()

    def take(self, frames: Frames) -> None:
        self.frames += zip(frames.headers, frames.payloads, strict=True)
        if status_of(self.frames[-1][0]) is not None:
            self.done.set()

    def lost(self) -> None:
        raise AssertionError


async def frames_until_status(link: Link, subject: str, limits: dict[str, int]) -> list[tuple[bytes | None, bytes]]:
    until, inbox = _Until(), link.new_inbox()
    sid = link.subscribe(inbox, until)
    link.write(publish_frame(subject.encode(), json.dumps(limits).encode(), inbox))
    await until.done.wait()
    link.unsubscribe(sid)
    return until.frames
