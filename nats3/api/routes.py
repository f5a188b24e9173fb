"""The one table of routes: what is served, by whom, for which role. Routing, metrics and documents read it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from nats3.api import system, v1, v2_chunks, v2_entities, v2_events, v2_jobs, v2_projections, v2_system, v2_verify
from nats3.api.services import Services

Role = Literal["open", "read", "operate", "admin"]
Endpoint: TypeAlias = Callable[[Services, Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Entry:
    """One route. `role` is the least that may call it once tokens are asked for."""

    method: Literal["GET", "POST", "DELETE"]
    path: str
    endpoint: Endpoint
    role: Role
    about: str


def _of_kind(kind: str) -> tuple[Entry, ...]:
    return (
        Entry("POST", f"/{kind}/job", v1.create, "operate", f"order a {kind} job"),
        Entry("GET", f"/{kind}/job", v1.get, "read", f"a {kind} job by job_id"),
        Entry("DELETE", f"/{kind}/job", v1.delete, "operate", f"delete a {kind} job; what it archived stays"),
        Entry("POST", f"/{kind}/job/pause", v1.pause, "operate", f"pause a {kind} job"),
        Entry("POST", f"/{kind}/job/resume", v1.resume, "operate", f"resume a {kind} job"),
        Entry("GET", f"/{kind}/jobs", v1.get_all, "read", f"all {kind} jobs, newest first"),
    )


SYSTEM = (
    Entry("GET", "/ping", system.ping, "open", "pong"),
    Entry("GET", "/health", system.health, "open", "whether the process lives"),
    Entry("GET", "/ready", system.ready, "open", "whether NATS, Postgres and S3 answer"),
    Entry("GET", "/metrics", system.metrics, "read", "Prometheus metrics"),
)
VERSION_1 = (*SYSTEM, *_of_kind("store"), *_of_kind("load"))

VERSION_2 = (
    Entry("POST", "/api/v2/jobs", v2_jobs.create, "operate", "order a job"),
    Entry("GET", "/api/v2/jobs", v2_jobs.get_all, "read", "jobs, newest first"),
    Entry("GET", "/api/v2/jobs/{id}", v2_jobs.get, "read", "a job"),
    Entry("DELETE", "/api/v2/jobs/{id}", v2_jobs.delete, "operate", "delete a job; what it archived stays"),
    Entry("POST", "/api/v2/jobs/{id}/pause", v2_jobs.pause, "operate", "pause a job"),
    Entry("POST", "/api/v2/jobs/{id}/resume", v2_jobs.resume, "operate", "resume a job, or look at once"),
    Entry("POST", "/api/v2/jobs/{id}/retry", v2_jobs.retry, "operate", "begin the next run of a job that ended"),
    Entry("GET", "/api/v2/jobs/{id}/chunks", v2_chunks.of_job, "read", "the chunks that a job made"),
    Entry("GET", "/api/v2/jobs/{id}/coverage", v2_chunks.coverage, "read", "lives, archived ranges and gaps"),
    Entry("GET", "/api/v2/jobs/{id}/events", v2_events.of_job, "read", "the history of a job"),
    Entry("GET", "/api/v2/chunks", v2_chunks.get_all, "read", "chunks in the order of the log"),
    Entry("GET", "/api/v2/chunks/{id}", v2_chunks.get, "read", "a chunk"),
    Entry("GET", "/api/v2/events", v2_events.get_all, "read", "the event log: pages, export, live"),
    Entry("GET", "/api/v2/events/verify", v2_verify.get, "admin", "walk the hash chain of the whole log"),
    Entry("GET", "/api/v2/events/{position}", v2_events.get, "read", "an event"),
    Entry("GET", "/api/v2/entities/{id:path}", v2_entities.get, "read", "an entity as of any time"),
    Entry("GET", "/api/v2/projections", v2_system.projections, "read", "where the views stand"),
    Entry("GET", "/api/v2/projections/{name}", v2_system.projection, "read", "where a view stands"),
    Entry("POST", "/api/v2/projections/{name}/skip", v2_system.skip, "admin", "pass over a poison event"),
    Entry("POST", "/api/v2/projections/{name}/rebuild", v2_projections.rebuild, "admin", "make a view anew, beside"),
    Entry("POST", "/api/v2/projections/{name}/verify", v2_projections.verify, "admin", "compare with a fresh fold"),
    Entry("POST", "/api/v2/projections/{name}/cancel", v2_projections.cancel, "admin", "end what is under way"),
    Entry(
        "POST", "/api/v2/projections/{name}/return", v2_projections.return_to_before, "admin", "show the version before"
    ),
    Entry(
        "GET", "/api/v2/projections/{name}/operations", v2_projections.operations, "read", "what was asked of a view"
    ),
    Entry("GET", "/api/v2/projections/{name}/operations/{id}", v2_projections.operation, "read", "how far it is"),
    Entry("GET", "/api/v2/nodes", v2_system.nodes, "read", "the nodes"),
)


def below(prefix: str, entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """The same routes under a prefix."""
    return tuple(Entry(e.method, prefix + e.path, e.endpoint, e.role, e.about) for e in entries)


ROUTES: tuple[Entry, ...] = (*VERSION_1, *below("/api/v1", VERSION_1), *VERSION_2)
