"""What nats3 says about itself: a signal is one log line and one metric, and owns both."""

from nats3.telemetry.beneath import Dependency
from nats3.telemetry.listeners import (
    ActorListener,
    HttpListener,
    LogListener,
    ObjectListener,
    RelayListener,
    WorkListener,
)
from nats3.telemetry.logs import Log, make_log, start_logging
from nats3.telemetry.signals import JobKind, Telemetry

__all__ = [
    "ActorListener",
    "Dependency",
    "HttpListener",
    "JobKind",
    "Log",
    "LogListener",
    "ObjectListener",
    "RelayListener",
    "Telemetry",
    "WorkListener",
    "make_log",
    "start_logging",
]
