"""A store that may be away: whoever waits for it asks a small question, one for all of them, until it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from nats3.errors import Nats3Error, Unavailable

QUESTION_S = 2.0
"""How long the store may take to answer a small question."""

_APART_S = 0.5
"""Seconds between two questions, however many wait."""

_HURRY_S = 3.0
_HURRIES = 4
_HURRIED_BYTES_PER_S = 16 << 20
_HURRIED_BYTES = 64 << 20
"""What is larger may be on its way in parts, which would be left there."""


class Asked(Protocol):
    """The store, as far as it is asked the small question."""

    async def bucket_exists(self, bucket: str) -> bool:
        """As promised by Buckets."""
        ...


class Outage:
    """What is known of the store that has one bucket. `reason` says why it was last thought to be away.

    `returns` counts how often it came back. Until the first success after that it is `fresh`: some stores take connections before
    they can store, and a PUT that comes in between hangs in them for many seconds while the next one passes.
    """

    def __init__(self, store: Asked, bucket: str, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._store = store
        self._bucket = bucket
        self._sleep = sleep
        self._turn = asyncio.Lock()
        self._questions = 0
        self._due = 0.0
        self.is_on = False
        self.is_fresh = False
        self.reason = ""
        self.returns = 0

    def begin(self, reason: str) -> None:
        """Nobody asks it for anything until it has answered a question."""
        self.is_on, self.reason = True, reason

    async def is_over(self) -> bool:
        """Whether it answers by now: at most one question in `_APART_S` seconds for all who ask."""
        before = self._questions
        async with self._turn:
            if self.is_on and self._questions == before:
                await self._ask()
        return not self.is_on

    def worked(self) -> None:
        """It has done something."""
        self.is_fresh = False

    def hurry(self, tries: int, sends: int) -> float | None:
        """Seconds that a request may take which sends so many bytes, after `tries` since the return; None: as many as it likes.

        It ends, so that a store that is only slow is not asked the same for ever.
        """
        if not self.is_fresh or tries >= _HURRIES or sends > _HURRIED_BYTES:
            return None
        return _HURRY_S + sends / _HURRIED_BYTES_PER_S

    async def _ask(self) -> None:
        if (early := self._due - _now()) > 0:
            await self._sleep(early)
        answers = await self._answers()
        self._questions += 1
        self._due = _now() + _APART_S
        if answers:
            self.is_on, self.is_fresh = False, True
            self.returns += 1

    async def _answers(self) -> bool:
        """Whatever it says: who refuses is there."""
        try:
            async with asyncio.timeout(QUESTION_S):
                await self._store.bucket_exists(self._bucket)
        except (Unavailable, TimeoutError):
            return False
        except Nats3Error:
            return True
        return True


class Outages:
    """Those of all buckets that a node uses, by their places.

    Buckets may lie on different machines though one connection leads to them, so none is waited for because another does not answer.
    """

    def __init__(self, store: Asked, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._store = store
        self._sleep = sleep
        self._known: dict[str, Outage] = {}

    def of(self, bucket: str) -> Outage:
        """That of this one."""
        if bucket not in self._known:
            self._known[bucket] = Outage(self._store, bucket, self._sleep)
        return self._known[bucket]


def _now() -> float:
    return asyncio.get_running_loop().time()
