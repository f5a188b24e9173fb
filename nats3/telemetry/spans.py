"""Signals as spans: a request, a chunk and its steps, each below what caused it."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from http import HTTPStatus
from time import monotonic
from uuid import UUID

from nats3.telemetry.traces import Span, Spot, Traces

CURRENT: ContextVar[Spot | None] = ContextVar("the command that this task works for", default=None)
"""Set where a run is taken up: every task of it inherits that."""

MOST_IN_ONE = 1000
"""Spans of a run below its command; a store job works for years, and a trace that never ends is read by nobody."""


class Spans:
    """One per process. `jobs` are the commands that runs of this node came of."""

    def __init__(self, traces: Traces) -> None:
        self._traces = traces
        self.jobs: dict[str, Spot] = {}
        self._told: dict[str, int] = {}

    def exemplar(self, at: Spot | None) -> dict[str, str] | None:
        return at.exemplar if self._traces.on and at is not None else None

    def ordered(self, job_id: str, correlation_id: UUID, event_id: UUID) -> None:
        """This node has taken up a run; the latest command for it came under this id and made this event."""
        if self._traces.on:
            by = Spot.of(correlation_id.int, event_id.int)
            if self.jobs.get(job_id) != by:
                self._told[job_id] = 0
            self.jobs[job_id] = by
            CURRENT.set(by)

    def forget(self, job_id: str) -> None:
        self.jobs.pop(job_id, None)
        self._told.pop(job_id, None)

    def request(
        self, method: str, route: str, status: int, seconds: float, at: Spot | None, parent: int | None
    ) -> None:
        """What is asked all the time and changes nothing is no span."""
        if not self._traces.on or at is None or (method in ("GET", "HEAD") and parent is None):
            return
        about: dict[str, str | int] = {
            "http.request.method": method,
            "http.route": route,
            "http.response.status_code": status,
        }
        now = monotonic()
        failed = status >= HTTPStatus.INTERNAL_SERVER_ERROR
        self._traces.tell(Span(f"{method} {route}", at, parent, now - seconds, now, about, failed))

    def work(
        self,
        job_id: str,
        name: str,
        times: tuple[float, float],
        about: Mapping[str, str | int],
        steps: Mapping[str, tuple[float, float]],
    ) -> None:
        """What a run did, and the steps of it, below its command."""
        by = self.jobs.get(job_id)
        if by is None or self._told[job_id] >= MOST_IN_ONE:
            return
        self._told[job_id] += 1
        whole = Spot.of(by.trace)
        self._traces.tell(Span(name, whole, by.span, *times, about))
        for step, (began, ended) in steps.items():
            self._traces.tell(Span(f"{name} {step}", Spot.of(by.trace), whole.span, began, ended, {}))
