"""The signals of what a node stands on: NATS, S3, Postgres, and the event log in it. A part of Telemetry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from nats3.telemetry.logs import Log
from nats3.telemetry.metrics import Metrics
from nats3.telemetry.spans import CURRENT, Spans

Dependency = Literal["nats", "postgres", "s3"]


class Beneath:
    """Each method writes one log line and moves the metrics that belong to it."""

    def __init__(self, log: Log, metrics: Metrics, spans: Spans) -> None:
        self.log = log
        self.metrics = metrics
        self.spans = spans
        self._connected: dict[str, bool] = {}

    def depends_on(self, name: Dependency) -> None:
        """This node needs it: /metrics says 1 of it until it fails, and does not leave it out."""
        self.metrics.dependency_up.labels(name).set(1)
        self.log.debug("depends on", dependency=name)

    def object_stored(self, size: int) -> None:
        self.metrics.dependency_up.labels("s3").set(1)
        self.metrics.s3_objects.labels("in").inc()
        self.metrics.s3_bytes.labels("in").inc(size)
        self.log.debug("object stored", bytes=size)

    def object_fetched(self, size: int) -> None:
        self.metrics.dependency_up.labels("s3").set(1)
        self.metrics.s3_objects.labels("out").inc()
        self.metrics.s3_bytes.labels("out").inc(size)
        self.log.debug("object fetched", bytes=size)

    def s3_asked(self, operation: str, connection: str = "main") -> None:
        """A request is sent; `operation` is put, get, head, list, delete or head_bucket."""
        self.metrics.s3_requests.labels(operation, connection).inc()
        self.log.debug("S3 asked", operation=operation, connection=connection)

    def s3_answered(self, operation: str, seconds: float, connection: str = "main") -> None:
        at = self.spans.exemplar(CURRENT.get())
        self.metrics.s3_seconds.labels(operation, connection).observe(seconds, at)
        self.log.debug("S3 answered", operation=operation, seconds=round(seconds, 6), connection=connection)

    def nats_awaited(self, connection: str) -> None:
        """A connection to NATS is configured: /metrics says 0 of it until its first login, and does not leave it out."""
        self._tell_nats(connection, up=False)
        self.log.debug("NATS awaited", connection=connection)

    def nats_connected(self, connection: str, up: bool) -> None:  # noqa: FBT001 - told as the connection tells it
        """A connection to NATS was made, or was lost; there are at most 16 names of them."""
        self._tell_nats(connection, up=up)
        write = self.log.info if up else self.log.warning
        write("NATS connected" if up else "NATS connection lost", connection=connection)

    def _tell_nats(self, connection: str, *, up: bool) -> None:
        """NATS is up where all connections to it are."""
        self._connected[connection] = up
        self.metrics.nats_connected.labels(connection).set(up)
        self.metrics.dependency_up.labels("nats").set(all(self._connected.values()))

    def dependency_failed(self, name: Dependency, job: str, reason: str, attempt: int) -> None:
        """Try number `attempt` (from 1) failed. Warned of at 1, 2, 4, 8, ... so that a long outage fills no disk."""
        self.metrics.dependency_up.labels(name).set(0)
        self.metrics.retries.labels(name).inc()
        self._now_and_then(attempt)("dependency failed", dependency=name, job=job, reason=reason, attempt=attempt)

    def dependency_back(self, name: Dependency, job: str) -> None:
        self.metrics.dependency_up.labels(name).set(1)
        self.log.info("dependency back", dependency=name, job=job)

    def _now_and_then(self, attempt: int) -> Callable[..., object]:
        return self.log.warning if attempt & (attempt - 1) == 0 else self.log.debug

    def too_powerful(self, power: str) -> None:
        """The Postgres URL is that of a `superuser` or of the `owner` of the log, who can switch its guards off."""
        remedy = (
            "make a role for nats3 by `nats3 db upgrade --role NAME`, and give the owner's URL as postgres.migrate_url"
        )
        self.log.warning("the Postgres role could change recorded events", power=power, remedy=remedy)

    # --- the event log ----------------------------------------------------------------------------------------------

    def events_appended(self, count: int, head: int, seconds: float) -> None:
        """`head` is the highest position that this append took."""
        self.metrics.events.inc(count)
        self.metrics.log_head.set(head)
        self.metrics.append_seconds.observe(seconds)
        self.log.debug("events appended", count=count, head=head, seconds=round(seconds, 6))

    def events_published(self, count: int) -> None:
        """The stream of events has `count` more."""
        self.metrics.published_events.inc(count)
        self.log.debug("events published", count=count)

    def events_wait(self, reason: str, attempt: int) -> None:
        """The stream of events takes none; they wait in the log. Warned of as rarely as dependency_failed."""
        self._now_and_then(attempt)("events wait to be published", reason=reason, attempt=attempt)

    def partition_moved(self, partition: str, events: int, stored_bytes: int) -> None:
        """Events of the log are in the bucket, proven; `partition_dropped` comes once they leave Postgres."""
        self.log.info("partition of the log exported", partition=partition, events=events, stored_bytes=stored_bytes)

    def partition_dropped(self, partition: str) -> None:
        self.log.info("partition of the log dropped", partition=partition)

    def partition_held(self, partition: str, why: str, attempt: int) -> None:
        """A partition that is due stays, because `why`. Warned of as rarely as dependency_failed."""
        self._now_and_then(attempt)("partition of the log is held", partition=partition, why=why, attempt=attempt)

    def log_retention_failed(self, reason: str, attempt: int) -> None:
        """Old events could not be moved; it is tried again. Warned of as rarely as dependency_failed."""
        self._now_and_then(attempt)("retention of the log failed", reason=reason, attempt=attempt)

    def projection_stalled(self, projection: str, position: int, reason: str) -> None:
        self.log.error("projection stalled", projection=projection, position=position, reason=reason)
