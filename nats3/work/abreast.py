"""The views, once they hold what the log holds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from eventstore import EventStore, LogUnavailable, Position
from nats3.errors import Unavailable


class Abreast:
    """`wait_for(view, position, timeout)` is the projector's: whether the view got there within `timeout` seconds."""

    def __init__(self, store: EventStore, wait_for: Callable[[str, Position, float], Awaitable[bool]]) -> None:
        self._store = store
        self._wait_for = wait_for

    async def head(self) -> Position:
        """The position of the log's last event. Raises Unavailable."""
        try:
            return await self._store.head()
        except LogUnavailable as away:
            raise Unavailable("postgres", away.reason) from away

    async def reached(self, view: str, position: Position, patience_s: float) -> None:
        """Wait for the view to hold the event at `position`, and no longer than `patience_s` seconds."""
        await self._wait_for(view, position, patience_s)

    async def fresh(self, *views: str, patience_s: float) -> int:
        """The head of the log, which all these views hold now. Raises Unavailable when one does not get there in time."""
        head = await self.head()
        for view in views:
            if not await self._wait_for(view, head, patience_s):
                raise Unavailable("postgres", f"the view {view} has not reached log position {head}")
        return head
