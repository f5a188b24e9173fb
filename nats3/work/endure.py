"""What a worker does about a fault: go on at once, say that it is degraded, or say what must change. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from eventstore.errors import UnknownType
from nats3.errors import Blocked, Unavailable
from nats3.jetstream.errors import MustBind
from nats3.jetstream.streams import ConsumerRefused, StreamMissing
from nats3.job.running import Dependency, RunBlocked, RunDegraded
from nats3.objects.store import AccessDenied, BucketMissing, ObjectDiffers

CONFIRMATIONS = 3
"""How often in a row a fault that only the world can cure is seen before the run says so."""

_LONGEST_WAIT_S = 2.0
_LONGEST_LOOK_S = 10.0
_FIRST_WAIT_S = 0.05
_FIRST_LOOK_S = 1.0

NEWER_EVENT = "newer_event"
"""The log says something that only a newer nats3 can read."""

# What each fault is called when it blocks; the first class that fits counts.
_BLOCKING: tuple[tuple[type[Exception], str], ...] = (
    (Blocked, ""),
    (StreamMissing, "stream_missing"),
    (ConsumerRefused, "consumer_refused"),
    (BucketMissing, "bucket_missing"),
    (AccessDenied, "access_denied"),
    (UnknownType, NEWER_EVENT),
)

_AGAIN = (MustBind, ObjectDiffers)

_DEPENDENCIES: dict[str, Dependency] = {"nats": "nats", "s3": "s3", "postgres": "postgres"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Wait `delay_s`, then bind again; record `says` first, when it is not None."""

    delay_s: float
    says: RunDegraded | RunBlocked | None


def judge(fault: Exception, times: int) -> Verdict | None:
    """What to do about the fault, seen `times` in a row (from 1) without progress; None: it is not one to endure."""
    if isinstance(fault, Unavailable):
        return Verdict(_growing(_FIRST_WAIT_S, times, _LONGEST_WAIT_S), _degraded(fault.dependency, fault.reason))
    if isinstance(fault, _AGAIN):
        says = _degraded("nats", str(fault)) if times > CONFIRMATIONS else None
        return Verdict(_growing(_FIRST_WAIT_S, times, _LONGEST_WAIT_S) if times > 1 else 0.0, says)
    code = next((code for kind, code in _BLOCKING if isinstance(fault, kind)), None)
    if code is None:
        return None
    says = _blocked(fault, code) if times >= CONFIRMATIONS or isinstance(fault, Blocked) else None
    return Verdict(_growing(_FIRST_LOOK_S, times, _LONGEST_LOOK_S), says)


def _growing(first: float, times: int, longest: float) -> float:
    return min(longest, first * 2 ** min(times - 1, 16))


def _degraded(dependency: str, reason: str) -> RunDegraded:
    return RunDegraded(_DEPENDENCIES[dependency], _keepable(reason))


def _blocked(fault: Exception, code: str) -> RunBlocked:
    if isinstance(fault, Blocked):
        return RunBlocked(fault.code, _keepable(fault.reason))
    return RunBlocked(code, _keepable(str(fault)))


def _keepable(reason: str) -> str:
    """Postgres keeps no NUL in a text, and a reason may quote an archived subject."""
    return reason.replace("\0", "\\0")


def sole(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first real fault of a TaskGroup: its tasks end together, and the first says why."""
    first = group.exceptions[0]
    return sole(first) if isinstance(first, BaseExceptionGroup) else first
