"""Which command a run came of: its events say it, and so do the spans of a trace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol
from uuid import UUID

from typing_extensions import override

from eventstore import EventStore, Recorded, SegmentFault, Version

_PAGE = 1000

Heard = Callable[[str, UUID, UUID], None]
"""Takes the id of a job, the correlation id of its latest command, and the id of that command's event."""


class Causes(Protocol):
    async def of(self, job_id: str) -> UUID | None:
        """The correlation id for what a run of this job says from now on. Raises LogUnavailable."""
        ...


class NoCauses(Causes):
    """Nobody asks: nothing is read."""

    @override
    async def of(self, job_id: str) -> UUID | None:
        return None


class LatestCommand(Causes):
    """Reads `job/<id>`, once each time that a node takes a run up."""

    def __init__(self, store: EventStore, heard: Heard) -> None:
        self._store = store
        self._heard = heard

    @override
    async def of(self, job_id: str) -> UUID | None:
        try:
            command = await self._latest(job_id)
        except SegmentFault:  # old commands moved away, and are not to be had: the run is worth more than its trace
            return None
        if command is None or command.correlation_id is None:
            return None
        self._heard(job_id, command.correlation_id, command.event_id)
        return command.correlation_id

    async def _latest(self, job_id: str) -> Recorded | None:
        last: Recorded | None = None
        while page := await self._store.read(f"job/{job_id}", last.version if last else Version(0), _PAGE):
            last = page[-1]
            if len(page) < _PAGE:
                break
        return last
