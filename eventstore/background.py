"""Work that goes on beside a block and ends with it."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Background(ABC):
    """Entered as an async context manager, it runs as a task until the block ends; or make `run()` a task of your own.

    A fault of `run` cancels the block, and comes out of it in an ExceptionGroup.
    """

    @abstractmethod
    async def run(self) -> None:
        """Work until cancelled."""

    async def __aenter__(self) -> Self:
        self._beside = await asyncio.TaskGroup().__aenter__()
        self._running = self._beside.create_task(self.run(), name=type(self).__name__.lower())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.cancel()
        await self._beside.__aexit__(kind, error, trace)
