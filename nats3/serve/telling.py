"""The telemetry of a process, for as long as the process lives: spans that wait are sent before it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry

from nats3.config import Config
from nats3.telemetry.logs import Log
from nats3.telemetry.signals import Telemetry
from nats3.telemetry.traces import open_traces


@contextmanager
def telemetry_of(config: Config, log: Log) -> Generator[Telemetry]:
    """Raises NoOtel where traces are asked for and cannot be sent."""
    traces = open_traces(config.traces.endpoint, config.node_name, wall_clock())
    try:
        yield Telemetry(log, CollectorRegistry(), traces)
    finally:
        traces.close()


def wall_clock() -> Callable[[float], int]:
    """Unix nanoseconds for times of the monotonic clock, for who shows them to people; in step from now on."""
    since = time.time_ns() - time.monotonic_ns()
    return lambda monotonic: since + round(monotonic * 1e9)
