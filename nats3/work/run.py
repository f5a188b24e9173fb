"""A run as the steps of a worker see it: who owns it, what it is, and how something is added to its history."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from nats3.job.loading import Loading, LoadingEvent
from nats3.job.storing import Storing, StoringEvent


@dataclass(frozen=True, slots=True)
class Claimed:
    """A run that this node owns under `fence`.

    `binds` counts through all restarts of its actor under this fence, so that no consumer and no object key is used twice.
    """

    job_id: str
    name: str
    fence: int
    binds: Iterator[int]


class StoringRun(Protocol):
    """The one history of a store job, as its bound actor writes it."""

    @property
    def state(self) -> Storing: ...

    async def emit(self, *events: StoringEvent) -> int: ...


class LoadingRun(Protocol):
    """The one history of a load job, as its actor writes it."""

    @property
    def state(self) -> Loading: ...

    async def emit(self, *events: LoadingEvent) -> int: ...
