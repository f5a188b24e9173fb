"""The signals: every method writes one log line and moves the metrics that belong to it."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from nats3 import __version__
from nats3.state import Told
from nats3.telemetry.beneath import Beneath
from nats3.telemetry.logs import Log
from nats3.telemetry.metrics import MAX_JOBS, Metrics
from nats3.telemetry.spans import Spans
from nats3.telemetry.traces import NoTraces, Spot, Traces

JobKind = Literal["store", "load"]

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_ENDED: dict[Told, str] = {"completed": "completed", "completed_with_gaps": "failed", "failed": "failed"}
_AT_WORK: frozenset[Told] = frozenset({"running", "degraded", "repairing"})
_RESTS: frozenset[Told] = frozenset({"created", "paused", "failed"})
_BAD: frozenset[Told] = frozenset({"degraded", "blocked", "completed_with_gaps", "failed"})


@dataclass(frozen=True, slots=True)
class Flushed:
    """A chunk by its key in the bucket, with the job and the run that made it; `raw` and `stored` are bytes."""

    job: str
    run: str
    chunk: str
    stream: str
    first: int
    last: int
    count: int
    raw: int
    stored: int


class Telemetry(Beneath):
    """Made once in wiring and handed down. `job` is always the job's name; bytes and counts are whole numbers."""

    def __init__(self, log: Log, registry: CollectorRegistry, traces: Traces | None = None) -> None:
        self.traces = traces or NoTraces()
        super().__init__(log, Metrics(registry), Spans(self.traces))
        self.metrics.build.labels(__version__, platform.python_version()).set(1)
        self._states: dict[str, tuple[str, JobKind, Told]] = {}
        self._jobs: set[str] = set()
        self._kept: set[str] = set()

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """Body and content type for /metrics: OpenMetrics when `accept` asks for it, else the plain text format."""
        encode, content_type = choose_encoder(accept)
        return encode(self.metrics.registry), content_type

    # --- a node -----------------------------------------------------------------------------------------------------

    def node_started(self, node: str, addr: str) -> None:
        self.log.info("node started", node=node, addr=addr, version=__version__)

    def node_stopped(self, node: str) -> None:
        self.log.info("node stopped", node=node)

    def failpoints_on(self, places: list[str]) -> None:
        """This node is part of a fault test and will harm itself."""
        self.log.warning("FAILPOINTS ARE ON: this node will kill, freeze or fail itself on purpose", places=places)

    def failpoint_reached(self, place: str, action: str) -> None:
        self.log.warning("failpoint", place=place, action=action)

    def reloaded(self, node: str, changed: list[str], restart: list[str]) -> None:
        """SIGHUP was heard: `changed` settings count from now on, those under `restart` only after one."""
        write = self.log.warning if restart else self.log.info
        more = {"restart_needed_for": restart} if restart else {}
        write("settings reloaded", node=node, changed=changed, **more)

    def reload_refused(self, node: str, reason: str) -> None:
        """SIGHUP was heard, and nothing changed."""
        self.log.error("settings not reloaded", node=node, reason=reason)

    def child_ended(self, number: int, code: int) -> None:
        """A node of `serve --workers` died; it is started again. A code below 0 is the signal that killed it."""
        self.log.error("child node ended", number=number, code=code)

    def beat(self, loop_lag_s: float, lease_age_s: float | None, head: int, behind: Mapping[str, int]) -> None:
        """How the node is. `behind`: events not yet folded by the views that this node keeps; others leave no gauge."""
        self.metrics.loop_lag.set(loop_lag_s)
        self.metrics.log_head.set(head)
        if lease_age_s is not None:
            self.metrics.lease_age.set(lease_age_s)
        self._tell_lag(behind)
        self.log.debug("beat", loop_lag=loop_lag_s, lease_age=lease_age_s, head=head, behind=dict(behind))

    def _tell_lag(self, behind: Mapping[str, int]) -> None:
        for name in self._kept - behind.keys():
            self.metrics.projection_lag.remove(name)
        self._kept = set(behind)
        for name, events in behind.items():
            self.metrics.projection_lag.labels(name).set(events)

    def request_answered(
        self,
        method: str,
        route: str,
        status: int,
        seconds: float,
        at: Spot | None = None,
        parent: int | None = None,
        *,
        request_id: str = "",
        actor: str = "",
    ) -> None:
        """`route` is the template (`/jobs/{id}`), never the path; a method that HTTP does not know counts as `other`."""
        method = method if method in _METHODS else "other"
        self.metrics.requests.labels(method, route, str(status)).inc()
        self.metrics.http_seconds.labels(method, route).observe(seconds, self.spans.exemplar(at))
        self.spans.request(method, route, status, seconds, at, parent)
        told = {"method": method, "route": route, "status": status, "seconds": round(seconds, 6)}
        self.log.debug("request answered", **told, request_id=request_id, actor=actor)

    def request_crashed(self, request_id: str, error: BaseException, actor: str) -> None:
        """A bug of ours was answered with 500; the answer names `request_id` and nothing else."""
        self.metrics.crashes.inc()
        self.log.error("request crashed", request_id=request_id, actor=actor, exc_info=error)

    # --- jobs and actors --------------------------------------------------------------------------------------------

    def job_state(self, job_id: str, job: str, kind: JobKind, state: Told, reason: str = "") -> None:
        """A job has come into a state; to say the same again changes nothing but the log. Names need not be unique."""
        if self._states.get(job_id) != (job, kind, state):
            self._leave(job_id)
            self._enter(job_id, job, kind, state)
        write = self.log.warning if state in _BAD else self.log.info
        write("job state", job=job, job_id=job_id, kind=kind, state=state, **({"reason": reason} if reason else {}))

    def _leave(self, job_id: str) -> None:
        before = self._states.pop(job_id, None)
        if before is None:
            return
        job, kind, state = before
        self.metrics.state.labels(self._label(job), kind, state).dec()
        if state in _AT_WORK:
            self.metrics.jobs_current.labels(kind).dec()

    def _enter(self, job_id: str, job: str, kind: JobKind, state: Told) -> None:
        if state == "deleted":
            self._forget(job)
            self.spans.forget(job_id)
            return
        self._states[job_id] = (job, kind, state)
        if state in _RESTS:
            self._forget_lag(job)
        self.metrics.state.labels(self._label(job), kind, state).inc()
        if state in _AT_WORK:
            self.metrics.jobs_current.labels(kind).inc()
        if word := _ENDED.get(state):
            self.metrics.jobs.labels(kind, word).inc()

    def _forget_lag(self, job: str) -> None:
        """Who does not read does not know how far behind it is: another node may, and would be contradicted here."""
        if not any(name == job and state not in _RESTS for name, _, state in self._states.values()):
            for gauge in (self.metrics.pending, self.metrics.oldest):
                gauge.remove_by_labels({"job": job})

    def _forget(self, job: str) -> None:
        """The last job of a name leaves no gauges behind; its counters stay, as counters must."""
        if any(name == job for name, _, _ in self._states.values()):
            return
        m = self.metrics
        for gauge in (m.state, m.pending, m.oldest, m.last_seq, m.last_time, m.loaded, m.planned):
            gauge.remove_by_labels({"job": job})
        self._jobs.discard(job)

    def _label(self, job: str) -> str:
        """The job's name as a label; jobs beyond the bound share one, so that names cannot grow the answer for ever."""
        if job not in self._jobs and len(self._jobs) >= MAX_JOBS:
            return "other"
        self._jobs.add(job)
        return job

    def left(self, what: str, reason: str) -> None:
        """This program cannot read the history of a job or a survey, and does nothing for it; a newer one may."""
        self.log.warning("left to a newer nats3", what=what, reason=reason)

    def enduring(self, job: str, what: str, reason: str, attempt: int) -> None:
        """A job waits out a fault; `what` is its kind, one of a closed set. Warned of as rarely as dependency_failed."""
        if what == "s3":
            self.metrics.dependency_up.labels("s3").set(0)
        self.metrics.retries.labels(what).inc()
        self._now_and_then(attempt)("job waits out a fault", job=job, what=what, reason=reason, attempt=attempt)

    def actor_restarted(self, actor: str, reason: str, kind: str, wait: float) -> None:
        """`kind` is what supervision took the fault for; `wait`: seconds until the actor starts again."""
        self.metrics.actor_restarts.inc()
        self.log.warning("actor restarted", actor=actor, reason=reason, kind=kind, wait=wait)

    def actor_failed(self, actor: str, error: BaseException) -> None:
        """Supervision gave the actor up. This is our bug, so the traceback goes with it."""
        self.metrics.actor_failures.inc()
        self.log.error("actor failed", actor=actor, exc_info=error)

    def actor_stopped(self, actor: str, reason: str) -> None:
        self.log.debug("actor stopped", actor=actor, reason=reason)

    def actor_noticed(self, actor: str, reason: str) -> None:
        self.log.warning("actor noticed", actor=actor, reason=reason)

    # --- store ------------------------------------------------------------------------------------------------------

    def messages_archived(self, count: int, size: int) -> None:
        """Messages that came out of NATS and are recorded; `size` is their bytes."""
        self.metrics.nats_messages.labels("out").inc(count)
        self.metrics.nats_bytes.labels("out").inc(size)
        self.log.debug("messages archived", count=count, bytes=size)

    def chunk_flushed(self, flushed: Flushed, seconds: float, *, at: Spot | None = None) -> None:
        """A chunk is stored and recorded, `seconds` after its seal."""
        self.metrics.chunks.labels(self._label(flushed.job), flushed.stream).inc()
        self.metrics.flush_seconds.observe(seconds, self.spans.exemplar(at))
        self.metrics.chunk_bytes.observe(flushed.stored)
        self.metrics.chunk_ratio.observe(flushed.raw / max(flushed.stored, 1))
        self.log.debug("chunk flushed", **asdict(flushed), seconds=round(seconds, 6))

    def archived_up_to(self, job: str, stream: str, seq: int, time_ns: int) -> None:
        """The last archived message: its seq and its server time."""
        labels = (self._label(job), stream)
        self.metrics.last_seq.labels(*labels).set(seq)
        self.metrics.last_time.labels(*labels).set(time_ns / 1e9)
        self.log.debug("archived up to", job=job, stream=stream, seq=seq)

    def lag(self, job: str, stream: str, pending: int, oldest: float) -> None:
        """`pending` messages are not archived, the oldest of them for `oldest` seconds."""
        labels = (self._label(job), stream)
        self.metrics.pending.labels(*labels).set(pending)
        self.metrics.oldest.labels(*labels).set(oldest)
        self.log.debug("lag", job=job, stream=stream, pending=pending, oldest=oldest)

    def gap(self, job: str, first: int, last: int, reason: str) -> None:
        """Seqs first..last could not be archived; `reason` is one of the event's closed set."""
        labels = (self._label(job), reason)
        self.metrics.gaps.labels(*labels).inc()
        self.metrics.gap_messages.labels(*labels).inc(last - first + 1)
        self.log.warning("gap", job=job, first=first, last=last, reason=reason)

    def bound(self, job: str, what: str) -> None:
        """A job found its place in its stream; `what` says how."""
        self.log.info("job bound", job=job, what=what)

    def redelivered(self, job: str, count: int) -> None:
        self.metrics.redelivered.labels(self._label(job)).inc(count)
        self.log.info("messages delivered again", job=job, count=count)

    # --- load -------------------------------------------------------------------------------------------------------

    def messages_published(self, count: int, size: int) -> None:
        """Messages that NATS acknowledged; `size` is their bytes."""
        self.metrics.nats_messages.labels("in").inc(count)
        self.metrics.nats_bytes.labels("in").inc(size)
        self.log.debug("messages published", count=count, bytes=size)

    def load_progressed(self, job: str, loaded: int, planned: int) -> None:
        """`loaded` of `planned` messages are acknowledged without a hole."""
        self.metrics.loaded.labels(self._label(job)).set(loaded)
        self.metrics.planned.labels(self._label(job)).set(planned)
        self.log.debug("load progressed", job=job, loaded=loaded, planned=planned)

    def duplicates(self, job: str, count: int) -> None:
        """The target knew these messages already: published before, and not twice in effect."""
        self.metrics.duplicates.labels(self._label(job)).inc(count)
        self.log.info("duplicates dropped by NATS", job=job, count=count)

    def displaced(self, job: str, count: int, total: int) -> None:
        """So many more messages of a load, now `total`, stand in its target in another order. The first are warned of."""
        self.metrics.displaced.labels(self._label(job)).inc(count)
        write = self.log.warning if count == total else self.log.info
        write("messages stand in the target in another order", job=job, count=count, total=total)

    # --- surveys ----------------------------------------------------------------------------------------------------

    def surveyed(self, task: str, outcome: str, reason: str) -> None:
        """A walk over a bucket has ended."""
        write = self.log.warning if outcome == "failed" else self.log.info
        write("survey ended", task=task, outcome=outcome, **({"reason": reason} if reason else {}))
