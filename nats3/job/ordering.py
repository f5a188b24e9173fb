"""`job/<id>`: what is wanted of a job. Only commands write here, guarded by version alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, assert_never

from nats3.job.order import Kind, Order, kind_of

Wanted = Literal["active", "paused", "deleted"]


@dataclass(frozen=True, slots=True)
class JobCreated:
    """Somebody ordered the job. `api` is the version of the interface it came through (1 or 2)."""

    kind: Kind
    order: Order
    api: int = 2


@dataclass(frozen=True, slots=True)
class JobPaused:
    reason: str = ""


@dataclass(frozen=True, slots=True)
class JobResumed:
    """Go on: after a pause, and at once where the run is blocked or failed."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class JobRetried:
    """Begin the next run of a load that has ended; `restart` publishes everything again under new message ids."""

    restart: bool = False


@dataclass(frozen=True, slots=True)
class JobDeleted:
    reason: str = ""


@dataclass(frozen=True, slots=True)
class JobChanged:
    """The order is another from here on: its name, when a chunk ends, how often it polls and the like."""

    order: Order


JobEvent = JobChanged | JobCreated | JobPaused | JobResumed | JobRetried | JobDeleted


@dataclass(frozen=True, slots=True)
class Job:
    """Fold of `job/<id>`. `attempts` counts the runs that were ordered, `generation` those that begin anew."""

    order: Order
    kind: Kind
    api: int
    wanted: Wanted = "active"
    attempts: int = 1
    generation: int = 1
    resumed: int = 0


FOLD = 1
"""Raise it when `evolve` makes another state of the same events: then snapshots of before are not read."""


def evolve(job: Job | None, event: JobEvent) -> Job:
    if isinstance(event, JobCreated):
        return Job(event.order, kind_of(event.order), event.api)
    if job is None:
        message = f"{type(event).__name__} before JobCreated"
        raise ValueError(message)
    match event:
        case JobChanged(order=order):
            return replace(job, order=order)
        case JobPaused():
            return replace(job, wanted="paused")
        case JobResumed():
            return replace(job, wanted="active", resumed=job.resumed + 1)
        case JobRetried(restart=restart):
            generation = job.generation + 1 if restart else job.generation
            return replace(job, wanted="active", attempts=job.attempts + 1, generation=generation)
        case JobDeleted():
            return replace(job, wanted="deleted")
        case _:
            assert_never(event)
