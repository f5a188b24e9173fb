"""The metrics in one table each. Names of the original stay exactly; labels are job and stream, never subject."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

MAX_JOBS = 1000
"""So many job names become labels; later ones share the label `other`."""

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
BYTES = tuple(1024 * 4**power for power in range(11))
RATIOS = (1, 1.5, 2, 3, 4, 6, 8, 12, 16, 32)


class Metrics:
    """Every metric of one process, in a registry of its own. A counter named `x` is exposed as `x_total`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        disable_created_metrics()  # process-wide in prometheus-client, and only this process's answer shows it
        self.registry = registry
        self._make_the_originals()
        self._make_job_metrics()
        self._make_latencies()
        self._make_node_metrics()

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(name, about, labels, registry=self.registry)

    def _gauge(self, name: str, about: str, *labels: str) -> Gauge:
        return Gauge(name, about, labels, registry=self.registry)

    def _histogram(self, name: str, about: str, *labels: str, buckets: tuple[float, ...] = SECONDS) -> Histogram:
        return Histogram(name, about, labels, registry=self.registry, buckets=buckets)

    def _make_the_originals(self) -> None:
        self.jobs = self._counter("nats3_jobs", "Jobs that ended", "job_type", "status")
        self.jobs_current = self._gauge("nats3_jobs_current", "Jobs that run now", "job_type")
        for kind in ("store", "load"):
            self.jobs_current.labels(kind).set(0)
        self.nats_messages = self._counter("nats3_nats_messages", "Messages into (in) and out of NATS", "direction")
        self.nats_bytes = self._counter("nats3_nats_bytes", "Message bytes into (in) and out of NATS", "direction")
        self.s3_objects = self._counter("nats3_s3_objects", "Objects put into (in) and read out of S3", "direction")
        self.s3_bytes = self._counter("nats3_s3_bytes", "Object bytes put into (in) and read out of S3", "direction")

    def _make_job_metrics(self) -> None:
        self.state = self._gauge("nats3_job_state", "1 for the state a job is in", "job", "job_type", "state")
        self.pending = self._gauge("nats3_lag_messages", "Messages not yet archived", "job", "stream")
        self.oldest = self._gauge("nats3_lag_seconds", "Age of the oldest message not archived", "job", "stream")
        self.last_seq = self._gauge("nats3_last_archived_seq", "Last archived seq", "job", "stream")
        self.last_time = self._gauge(
            "nats3_last_archived_timestamp_seconds", "Server time of the last archived message", "job", "stream"
        )
        self.chunks = self._counter("nats3_chunks", "Chunks recorded", "job", "stream")
        self.redelivered = self._counter("nats3_redeliveries", "Messages delivered again by NATS", "job")
        self.duplicates = self._counter("nats3_duplicates", "Publishes that NATS knew already", "job")
        self.displaced = self._counter("nats3_displaced", "Messages out of order in the target of a load", "job")
        self.gaps = self._counter("nats3_gaps", "Gaps recorded", "job", "reason")
        self.gap_messages = self._counter("nats3_gap_seqs", "Seqs in recorded gaps", "job", "reason")
        self.loaded = self._gauge("nats3_load_messages", "Messages acknowledged by the target", "job")
        self.planned = self._gauge("nats3_load_planned_messages", "Messages a load has planned", "job")

    def _make_latencies(self) -> None:
        self.flush_seconds = self._histogram("nats3_flush_seconds", "From a sealed chunk to its event")
        self.s3_seconds = self._histogram("nats3_s3_seconds", "One request to S3", "operation", "connection")
        self.append_seconds = self._histogram("nats3_append_seconds", "One append to the event log")
        self.chunk_bytes = self._histogram("nats3_chunk_bytes", "Stored size of a chunk", buckets=BYTES)
        self.chunk_ratio = self._histogram("nats3_chunk_ratio", "Raw size by stored size of a chunk", buckets=RATIOS)
        self.http_seconds = self._histogram("nats3_http_seconds", "One HTTP answer", "method", "route")

    def _make_node_metrics(self) -> None:
        self.events = self._counter("nats3_events", "Events appended")
        self.published_events = self._counter("nats3_events_published", "Events put into the stream of events")
        self.log_head = self._gauge("nats3_event_log_head", "Highest position of the event log")
        self.projection_lag = self._gauge("nats3_projection_lag_events", "Events not yet projected", "projection")
        self.retries = self._counter("nats3_retries", "Tries that failed and were made again", "cause")
        self.s3_requests = self._counter("nats3_s3_requests", "Requests to S3", "operation", "connection")
        self.dependency_up = self._gauge("nats3_dependency_up", "1 while a dependency answers", "dependency")
        self.nats_connected = self._gauge("nats3_nats_connected", "1 while a connection to NATS is there", "connection")
        self.actor_restarts = self._counter("nats3_actor_restarts", "Actors started again after a fault")
        self.actor_failures = self._counter("nats3_actor_failures", "Actors that the restart law gave up")
        self.requests = self._counter("nats3_http_requests", "HTTP answers", "method", "route", "status")
        self.crashes = self._counter("nats3_http_crashes", "Requests that met a bug of ours")
        self.lease_age = self._gauge("nats3_lease_age_seconds", "Since this node last renewed its lease")
        self.loop_lag = self._gauge("nats3_loop_lag_seconds", "How late the event loop runs")
        self.build = self._gauge("nats3_build_info", "1, with the version in its labels", "version", "python")
