"""An event loop for tests without I/O: the seed decides who runs next, and time jumps to what is due next.

It lives millions of histories, so it does only what such a loop needs. It reaches into asyncio's loop, whose run queue
and timers have no public face.
"""

from __future__ import annotations

import asyncio
import heapq
import random
import selectors
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, TypeVar, cast

T = TypeVar("T")

_RESOLUTION_S = 1e-6
"""What is due within it runs in the same turn. It must not vanish beside a large clock reading."""
_MANY_TIMERS = 100


class Stuck(AssertionError):
    """Every task waits for something that cannot come any more: a deadlock."""

    def __init__(self, seed: int) -> None:
        super().__init__(f"seed {seed}: every task waits and nothing is due")
        self.seed = seed


class _NumberedTask(asyncio.Task[Any]):
    """A task whose place in a set does not depend on its address, for asyncio keeps tasks in sets."""

    def __init__(self, number: int, coroutine: Coroutine[Any, Any, Any], **settings: Any) -> None:  # noqa: ANN401
        self._number = number
        super().__init__(coroutine, **settings)

    def __hash__(self) -> int:  # pyright: ignore[reportImplicitOverride]  typing.override is younger than 3.11
        return self._number


class _Blind(selectors.SelectSelector):
    """Nothing comes from outside, so nobody asks the kernel."""

    def select(self, timeout: float | None = None) -> list[Any]:  # pyright: ignore[reportImplicitOverride]  as above
        del timeout
        return []


class SeededLoop(asyncio.SelectorEventLoop):
    """What runs in it has as many schedules as there are seeds."""

    def __init__(self, seed: int) -> None:
        super().__init__(_Blind())
        loop = cast("Any", self)
        self._queue: deque[Any] = loop._ready
        self._timers: list[Any] = loop._scheduled
        self._seed = seed
        self._shuffle = random.Random(seed).shuffle  # noqa: S311  a schedule, no secret
        self._virtual_now = 0.0
        self._tasks: list[_NumberedTask] = []
        loop.set_task_factory(SeededLoop._numbered)

    def time(self) -> float:  # pyright: ignore[reportImplicitOverride]  as above
        return self._virtual_now

    def call_soon(  # pyright: ignore[reportImplicitOverride]  as above
        self,
        callback: Callable[..., object],
        *args: Any,  # noqa: ANN401  as asyncio has it
        context: Context | None = None,
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._queue.append(handle)
        return handle

    def call_later(  # pyright: ignore[reportImplicitOverride]  as above
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,  # noqa: ANN401  as asyncio has it
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(self._virtual_now + delay, callback, args, self, context)
        heapq.heappush(self._timers, timer)
        cast("Any", timer)._scheduled = True
        return timer

    def end(self) -> None:
        """Cancel what is left, let it end, and close."""
        try:
            while left := [task for task in self._tasks if not task.done()]:
                for task in left:
                    task.cancel()
                self.run_until_complete(asyncio.wait(left))
            self.run_until_complete(self.shutdown_asyncgens())
        finally:
            self.close()
            for task in self._tasks:
                asyncio.tasks._unregister_task(task)  # those of the next loop have the same numbers and would collide

    def _numbered(self, coroutine: Coroutine[Any, Any, Any], **settings: Any) -> asyncio.Task[Any]:  # noqa: ANN401
        task = _NumberedTask(len(self._tasks), coroutine, loop=self, **settings)
        self._tasks.append(task)
        return task

    def _run_once(self) -> None:
        """Everything that waits to run, in an order that the seed decides; then what is due with it, in the order of time."""
        self._forget_cancelled()
        queue, timers = self._queue, self._timers
        if len(queue) > 1:
            waiting = list(queue)
            self._shuffle(waiting)
            queue.clear()
            queue.extend(waiting)
        elif not queue:
            self._jump()
        end = self._virtual_now + _RESOLUTION_S
        while timers and timers[0]._when < end:
            due = heapq.heappop(timers)
            due._scheduled = False
            queue.append(due)
        for _ in range(len(queue)):
            handle = queue.popleft()
            if not handle._cancelled:
                handle._run()

    def _jump(self) -> None:
        """To the moment of the next timer."""
        if not self._timers:
            raise Stuck(self._seed)
        self._virtual_now = max(self._virtual_now, self._timers[0]._when)

    def _forget_cancelled(self) -> None:
        """The timers at the head, and all of them where most are."""
        loop, timers = cast("Any", self), self._timers
        if len(timers) > _MANY_TIMERS and loop._timer_cancelled_count * 2 > len(timers):
            for timer in timers:
                timer._scheduled = not timer._cancelled
            timers[:] = [timer for timer in timers if not timer._cancelled]
            heapq.heapify(timers)
            loop._timer_cancelled_count = 0
        while timers and timers[0]._cancelled:
            heapq.heappop(timers)._scheduled = False
            loop._timer_cancelled_count -= 1


def run_seeded(seed: int, main: Callable[[], Coroutine[object, object, T]]) -> T:
    """Run `main` to its end under a schedule that depends on `seed` alone. Raises Stuck where it would hang."""
    loop = SeededLoop(seed)
    try:
        return loop.run_until_complete(main())
    finally:
        loop.end()
