"""The one table of routes: what is served, by whom, for which role. Routing, metrics and documents read it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal, TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from nats3.api import (
    docs_page,
    login,
    openapi,
    says_archive,
    says_tokens,
    says_v1,
    says_v2,
    system,
    v1,
    v2_archive,
    v2_chunks,
    v2_entities,
    v2_events,
    v2_jobs,
    v2_log,
    v2_messages,
    v2_plans,
    v2_projections,
    v2_runs,
    v2_streams,
    v2_system,
    v2_tokens,
    v2_verify,
)
from nats3.api.reading import no_body
from nats3.api.repeats import once
from nats3.api.services import Services
from nats3.api.spec import IDEMPOTENCY, Says
from nats3.job.order import Kind

Role = Literal["open", "read", "operate", "admin"]
Endpoint: TypeAlias = Callable[[Services, Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Entry:
    """One route. `role` is the least that may call it once tokens are asked for; `says` what it takes and answers."""

    method: Literal["GET", "POST", "PATCH", "DELETE"]
    path: str
    endpoint: Endpoint
    role: Role
    about: str
    says: Says


# fmt: off
def _of_kind(kind: Kind) -> tuple[Entry, ...]:
    return (
        Entry("POST", f"/{kind}/job", v1.create, "operate", f"order a {kind} job", says_v1.create(kind)),
        Entry("GET", f"/{kind}/job", v1.get, "read", f"a {kind} job by job_id", says_v1.one(kind)),
        Entry("DELETE", f"/{kind}/job", v1.delete, "operate", f"delete a {kind} job; what it archived stays", says_v1.delete()),
        Entry("POST", f"/{kind}/job/pause", v1.pause, "operate", f"pause a {kind} job", says_v1.steer(kind)),
        Entry("POST", f"/{kind}/job/resume", v1.resume, "operate", f"resume a {kind} job", says_v1.steer(kind)),
        Entry("GET", f"/{kind}/jobs", v1.get_all, "read", f"all {kind} jobs, newest first", says_v1.every(kind)),
    )


SYSTEM = (
    Entry("GET", "/ping", system.ping, "open", "pong", says_v1.PING),
    Entry("GET", "/health", system.health, "open", "whether the process lives", says_v1.HEALTH),
    Entry("GET", "/ready", system.ready, "open", "whether NATS, Postgres and S3 answer", says_v1.READY),
    Entry("GET", "/metrics", system.metrics, "read", "Prometheus metrics", says_v1.METRICS),
)
VERSION_1 = (*SYSTEM, *_of_kind("store"), *_of_kind("load"))

BROWSER = (
    Entry("GET", "/login", login.show, "open", "sign in with a browser", says_tokens.LOGIN),
    Entry("POST", "/login", login.sign_in, "open", "a token for a cookie", says_tokens.SIGN_IN),
    Entry("POST", "/logout", login.sign_out, "open", "end the session", says_tokens.SIGN_OUT),
)

VERSION_2 = (
    Entry("POST", "/api/v2/jobs", v2_jobs.create, "operate", "order a job", says_v2.JOBS_CREATE),
    Entry("GET", "/api/v2/jobs", v2_jobs.get_all, "read", "jobs, newest first", says_v2.JOBS_LIST),
    Entry("POST", "/api/v2/jobs/plan", v2_plans.count, "operate", "count what a load would publish", says_v2.JOBS_PLAN),
    Entry("GET", "/api/v2/jobs/{id}", v2_jobs.get, "read", "a job", says_v2.JOB_GET),
    Entry("DELETE", "/api/v2/jobs/{id}", v2_jobs.delete, "operate", "delete a job; what it archived stays", says_v2.JOB_DELETE),
    Entry("PATCH", "/api/v2/jobs/{id}", v2_jobs.change, "operate", "change the order of a job", says_v2.JOB_CHANGE),
    Entry("POST", "/api/v2/jobs/{id}/cancel", v2_jobs.cancel, "operate", "end a job for good, with a reason", says_v2.JOB_CANCEL),
    Entry("POST", "/api/v2/jobs/{id}/pause", v2_jobs.pause, "operate", "pause a job", says_v2.JOB_STEER),
    Entry("POST", "/api/v2/jobs/{id}/resume", v2_jobs.resume, "operate", "resume a job, or look at once", says_v2.JOB_STEER),
    Entry("POST", "/api/v2/jobs/{id}/retry", v2_jobs.retry, "operate", "begin the next run of a job that ended", says_v2.JOB_RETRY),
    Entry("GET", "/api/v2/jobs/{id}/chunks", v2_chunks.of_job, "read", "the chunks that a job made", says_v2.JOB_CHUNKS ),
    Entry("GET", "/api/v2/jobs/{id}/coverage", v2_chunks.coverage, "read", "lives, archived ranges and gaps", says_v2.JOB_COVERAGE),
    Entry("GET", "/api/v2/jobs/{id}/events", v2_events.of_job, "read", "the history of a job", says_v2.JOB_EVENTS),
    Entry("GET", "/api/v2/jobs/{id}/runs", v2_runs.of_job, "read", "how often it was ordered to begin, and how that went", says_v2.JOB_RUNS),
    Entry("GET", "/api/v2/jobs/{id}/plan", v2_plans.get, "read", "what a load reads", says_v2.JOB_PLAN),
    Entry("GET", "/api/v2/streams", v2_streams.get_all, "read", "streams, and what of them is archived", says_v2.STREAMS_LIST),
    Entry("GET", "/api/v2/streams/{name}", v2_streams.get, "read", "a stream, and what of it is archived", says_v2.STREAM_GET),
    Entry("GET", "/api/v2/chunks", v2_chunks.get_all, "read", "chunks in the order of the log", says_v2.CHUNKS_LIST),
    Entry("GET", "/api/v2/chunks/{id}", v2_chunks.get, "read", "a chunk", says_v2.CHUNK_GET),
    Entry("POST", "/api/v2/chunks/{id}/verify", v2_messages.verify, "read", "hold the object against the log", says_v2.CHUNK_VERIFY),
    Entry("GET", "/api/v2/chunks/{id}/messages", v2_messages.messages, "read", "the messages in a chunk", says_v2.CHUNK_MESSAGES),
    Entry("GET", "/api/v2/events", v2_events.get_all, "read", "the event log: pages, export, live", says_v2.EVENTS_LIST ),
    Entry("GET", "/api/v2/events/verify", v2_verify.get, "admin", "walk the hash chain of the whole log", says_v2.EVENTS_VERIFY),
    Entry("GET", "/api/v2/log/partitions", v2_log.partitions, "read", "the log's partitions, and what holds them", says_v2.PARTITIONS_LIST),
    Entry("GET", "/api/v2/log/segments", v2_log.segments, "read", "what moved into the bucket", says_v2.SEGMENTS_LIST),
    Entry("GET", "/api/v2/log/segments/verify", v2_log.verify, "admin", "read every segment back", says_v2.SEGMENTS_VERIFY),
    Entry("GET", "/api/v2/events/{position}", v2_events.get, "read", "an event", says_v2.EVENT_GET),
    Entry("GET", "/api/v2/entities/{id:path}", v2_entities.get, "read", "an entity as of any time", says_v2.ENTITY_GET),
    Entry("GET", "/api/v2/projections", v2_system.projections, "read", "where the views stand", says_v2.PROJECTIONS_LIST ),
    Entry("GET", "/api/v2/projections/{name}", v2_system.projection, "read", "where a view stands", says_v2.PROJECTION_GET ),
    Entry("POST", "/api/v2/projections/{name}/skip", v2_system.skip, "admin", "pass over a poison event", says_v2.PROJECTION_SKIP),
    Entry("POST", "/api/v2/projections/{name}/rebuild", v2_projections.rebuild, "admin", "make a view anew, beside", says_v2.PROJECTION_WORK),
    Entry("POST", "/api/v2/projections/{name}/verify", v2_projections.verify, "admin", "compare with a fresh fold", says_v2.PROJECTION_WORK),
    Entry("POST", "/api/v2/projections/{name}/cancel", v2_projections.cancel, "admin", "end what is under way", says_v2.PROJECTION_WORK),
    Entry("POST", "/api/v2/projections/{name}/return", v2_projections.return_to_before, "admin", "show the version before", says_v2.PROJECTION_RETURN),
    Entry("GET", "/api/v2/projections/{name}/operations", v2_projections.operations, "read", "what was asked of a view", says_v2.OPERATIONS_LIST),
    Entry("GET", "/api/v2/projections/{name}/operations/{id}", v2_projections.operation, "read", "how far it is", says_v2.OPERATION_GET),
    Entry("POST", "/api/v2/archive/rebuilds", v2_archive.rebuild, "admin", "make the index anew out of a bucket", says_archive.REBUILD),
    Entry("POST", "/api/v2/archive/verifications", v2_archive.verify, "operate", "hold index and buckets together", says_archive.VERIFY),
    Entry("GET", "/api/v2/archive/surveys", v2_archive.get_all, "read", "what was asked of buckets, newest first", says_archive.SURVEYS_LIST),
    Entry("GET", "/api/v2/archive/surveys/{id}", v2_archive.get, "read", "how far it is, and what it counted", says_archive.SURVEY_GET),
    Entry("GET", "/api/v2/archive/surveys/{id}/findings", v2_archive.findings, "read", "what it found, one by one", says_archive.FINDINGS_LIST),
    Entry("POST", "/api/v2/archive/surveys/{id}/cancel", v2_archive.cancel, "operate", "end it", says_archive.CANCEL),
    Entry("GET", "/api/v2/nodes", v2_system.nodes, "read", "the nodes", says_v2.NODES_LIST),
    Entry("POST", "/api/v2/tokens", v2_tokens.create, "admin", "make a token; its text is told once", says_tokens.CREATE),
    Entry("GET", "/api/v2/tokens", v2_tokens.get_all, "admin", "tokens, without their secrets", says_tokens.LIST),
    Entry("GET", "/api/v2/tokens/{id}", v2_tokens.get, "admin", "a token, without its secret", says_tokens.GET),
    Entry("DELETE", "/api/v2/tokens/{id}", v2_tokens.revoke, "admin", "revoke a token, at once and everywhere", says_tokens.REVOKE),
)


# fmt: on


def below(prefix: str, entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """The same routes under a prefix."""
    return tuple(replace(entry, path=prefix + entry.path) for entry in entries)


def _bodiless(entry: Entry) -> Entry:
    """A command of version 2 that takes no body refuses one that says something."""
    endpoint = entry.endpoint

    async def call(services: Services, request: Request) -> Response:
        await no_body(request)
        return await endpoint(services, request)

    return entry if entry.method == "GET" or entry.says.takes is not None else replace(entry, endpoint=call)


def _once(entry: Entry) -> Entry:
    """A POST of version 2 that is done once under an Idempotency-Key, or says that it takes none."""
    endpoint, takes_keys = entry.endpoint, IDEMPOTENCY in entry.says.headers

    async def call(services: Services, request: Request) -> Response:
        return await once(services, request, takes_keys=takes_keys, do=lambda: endpoint(services, request))

    return replace(entry, endpoint=call) if entry.method == "POST" else entry


@cache
def _document() -> bytes:
    return openapi.text_of(ROUTES).encode()


@cache
def _page() -> bytes:
    return docs_page.page(openapi.document(ROUTES)).encode()


async def described(_services: Services, _request: Request) -> Response:
    """This table as OpenAPI 3.1."""
    return Response(_document(), media_type="application/json")


async def docs(_services: Services, _request: Request) -> Response:
    """This table as a page to read."""
    return Response(_page(), media_type="text/html")


async def style(_services: Services, _request: Request) -> Response:
    return Response(docs_page.STYLE, media_type="text/css")


# fmt: off
DOCUMENTS = (
    Entry("GET", "/openapi.json", described, "open", "all routes as OpenAPI 3.1", says_v1.OPENAPI),
    Entry("GET", "/api/v2/openapi.json", described, "open", "all routes as OpenAPI 3.1", says_v1.OPENAPI),
    Entry("GET", "/docs", docs, "open", "all routes as a page", says_v1.DOCS),
    Entry("GET", "/docs/style.css", style, "open", "how that page looks", says_v1.STYLE),
)
# fmt: on

ROUTES: tuple[Entry, ...] = (
    *VERSION_1,
    *below("/api/v1", VERSION_1),
    *map(_once, map(_bodiless, VERSION_2)),
    *DOCUMENTS,
    *BROWSER,
)
