"""What a load holds of the memory budget: the chunk that it publishes, and as many read ahead as its share has room for."""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType
from typing import Self

from nats3.message import Batch
from nats3.work.budget import OVERHEAD, Budget


class Prefetch:
    """One load's account; a context manager, which closes it.

    What a load needs to go on at all it holds in any case: nobody else would publish it, so waiting could last for ever.
    `rests`: what is held may stay for long, since a pace was ordered; then nobody who is short counts on it.
    """

    def __init__(self, budget: Budget, name: str, *, rests: bool) -> None:
        self._account = budget.account(name)
        self._rests = rests
        self._reserved = 0
        self._sizes: deque[int] = deque()
        self._freed = asyncio.Event()

    async def room_for(self, size: int) -> None:
        """Wait until so much may be read ahead; at once when nothing is held."""
        account = self._account
        while account.held and not (account.held + size <= account.budget.share and account.take(size, size)):
            self._freed.clear()
            await self._freed.wait()
        self._reserved = size if account.held else 0
        self._tell()

    def hold(self, size: int) -> None:
        """What was read has this size, whatever was reserved for it."""
        self._account.hold(size - self._reserved)
        self._sizes.append(size)
        self._reserved = 0
        self._tell()

    def give(self) -> None:
        """The first of what is held is published."""
        self._account.give(self._sizes.popleft())
        self._tell()
        self._freed.set()

    def _tell(self) -> None:
        if self._rests:
            self._account.coming = self._account.held

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._account.close()


def size_of(batch: Batch) -> int:
    """Bytes that a batch takes."""
    return batch.raw_bytes() + OVERHEAD * len(batch)
