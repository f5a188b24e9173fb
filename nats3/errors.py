"""The base of every error that nats3 raises on purpose."""

from __future__ import annotations


class Nats3Error(Exception):
    """An error that says what its caller can do. Its text is written for a person."""


class Invalid(Nats3Error):
    """A value from outside that nats3 will not take: the caller changes `field` as `remedy` says."""

    def __init__(self, field: str, fault: str, remedy: str) -> None:
        super().__init__(f"{field}: {fault}; {remedy}")
        self.field = field
        self.fault = fault
        self.remedy = remedy


class Unavailable(Nats3Error):
    """A dependency is away or refuses for now: wait and try again in place; spends no restarts."""

    def __init__(self, dependency: str, reason: str) -> None:
        super().__init__(f"{dependency} is unavailable: {reason}")
        self.dependency = dependency
        self.reason = reason


class Blocked(Nats3Error):
    """The world must change before this can go on: look again every few seconds, and at once when someone says so."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason
