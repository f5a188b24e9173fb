"""Two things at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


async def together(first: Awaitable[A], second: Awaitable[B]) -> tuple[A, B]:
    """Both, each to its end. A fault is raised as it is and in no group; that of the first, where both have one."""
    async with asyncio.TaskGroup() as tasks:
        one = tasks.create_task(_kept(first))
        other = tasks.create_task(_kept(second))
    return _told(one.result()), _told(other.result())


async def _kept(work: Awaitable[A]) -> A | _Fault:
    try:
        return await work
    except Exception as fault:  # noqa: BLE001 - it is raised where both have ended
        return _Fault(fault)


class _Fault:
    def __init__(self, fault: Exception) -> None:
        self.fault = fault


def _told(result: A | _Fault) -> A:
    if isinstance(result, _Fault):
        raise result.fault
    return result
