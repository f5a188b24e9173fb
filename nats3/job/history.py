"""The types of all events of a job, under the names they have in the log for ever, and the entities they stand on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from uuid import UUID

from eventstore.event import NewEvent
from eventstore.types import Registry, Upcaster
from nats3.job.loading import LOADING_EVENTS, ChunkDeleteRequested, LoadExtended, LoadPlanned, without_origins
from nats3.job.ordering import JobChanged, JobCreated, JobDeleted, JobPaused, JobResumed, JobRetried
from nats3.job.running import RUN_EVENTS, RunFailed, with_fault
from nats3.job.storing import STORING_EVENTS
from nats3.job.surveying import SURVEYING_EVENTS

ORDERING_EVENTS = (JobChanged, JobCreated, JobPaused, JobResumed, JobRetried, JobDeleted)
EVENTS: tuple[type, ...] = (
    *ORDERING_EVENTS,
    *RUN_EVENTS,
    *STORING_EVENTS,
    *LOADING_EVENTS,
    *SURVEYING_EVENTS,
)


def type_name(event: type) -> str:
    """`ChunkFlushed` is `chunk_flushed` in the log."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", event.__name__).lower()


VERSIONS: Mapping[type, int] = {
    ChunkDeleteRequested: 2,
    JobChanged: 4,
    JobCreated: 4,
    LoadExtended: 3,
    LoadPlanned: 3,
    RunFailed: 2,
}
"""Schema versions above 1: what is stored in an older one is raised when it is read, and stays as it is.

An order of version 2 may say which headers, subjects and pace a load has, one of version 3 through which connections it goes, one of
version 4 that it keeps its order strictly: a program that knows less must not run it as if that were not there, so it refuses the
event: it leaves that job to a program that can read it (work/journal.py:Unreadable), its views stop there, and all else goes on.
A plan of version 3 says which times its messages have, from which follows what several jobs archived twice, and is refused as well.
"""

UPCASTERS: Mapping[tuple[type, int], Upcaster] = {
    (LoadExtended, 2): without_origins,
    (LoadPlanned, 2): without_origins,
    (RunFailed, 1): with_fault,
}
"""How data of a version becomes that of the next, where more changed than a field that came with a default."""


def registry() -> Registry:
    """A registry that knows every event of a job."""
    known = Registry()
    for event in EVENTS:
        newest = VERSIONS.get(event, 1)
        known.add(event, type_name(event), newest)
        for version in range(1, newest):
            known.upcaster(type_name(event), version)(UPCASTERS.get((event, version), dict))
    return known


HISTORY = registry()
"""The one registry of the program; nothing is added to it while the program runs."""


def types_of(*events: type) -> frozenset[str]:
    """The names under which these events stand in the log."""
    return frozenset(HISTORY.type_of(event) for event in events)


def ends(event: NewEvent) -> bool:
    """Whether the history that this event stands in ends with it: the job is deleted, its run or walk has no more to do.

    A run that is ordered anew goes on in the same history, which is then open again.
    """
    match event.type:
        case "job_deleted" | "load_completed" | "walk_ended":
            return True
        case "run_stopped":
            return event.data["reason"] == "deleted"
        case _:
            return False


def job_entity(job_id: UUID) -> str:
    """Where commands write what is wanted."""
    return f"job/{job_id}"


def run_entity(job_id: UUID) -> str:
    """Where the job's actor writes what happened."""
    return f"run/{job_id}"


@lru_cache(maxsize=1024)
def job_of(entity_id: str) -> UUID:
    """The job that a `job/<id>` or `run/<id>` belongs to. Raises ValueError for any other entity."""
    return UUID(entity_id.partition("/")[2])
