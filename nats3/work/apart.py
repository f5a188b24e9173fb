"""A task of its own for work that runs TaskGroups, so that only real cancellations reach whoever waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


class Interrupted(Exception):
    """The work was cancelled, and by nobody outside: begin it again."""


async def apart(work: Callable[[], Awaitable[T]]) -> T:
    """What `work` returns or raises.

    Before Python 3.13 a TaskGroup whose child fails late leaves its task marked as cancelled, or cancels what that task
    does next; and a child that fails while the group is being cancelled hides the cancellation. Here the marks end with
    the task, and a cancellation of the caller is raised whatever else fails in that moment (tests/sim found all three).
    """
    results: list[T] = []
    faults: list[BaseException] = []

    async def keep() -> None:
        try:
            results.append(await work())
        except BaseException as fault:  # noqa: BLE001 - handed to the caller, below
            faults.append(fault)

    async with asyncio.TaskGroup() as alone:
        alone.create_task(keep())
    if not faults:
        return results[0]
    if isinstance(faults[0], asyncio.CancelledError):
        raise Interrupted
    raise faults[0]
