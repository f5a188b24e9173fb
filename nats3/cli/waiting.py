"""`--wait`: look at a load job until it has ended, and end with the code that says how."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from cyclopts import Parameter

from nats3.cli.amounts import seconds
from nats3.cli.exits import Exit, Refused
from nats3.cli.session import Session

BETWEEN_LOOKS_S = 0.5

ENDS = {"completed": Exit.OK, "completed_with_gaps": Exit.WITH_GAPS, "failed": Exit.FAILURE, "deleted": Exit.NOT_FOUND}
"""The states in which nothing more will happen by itself; a blocked job goes on once its cause is gone."""

Wait = Annotated[bool, Parameter(negative=(), help="Wait until the job has ended; the exit code says how.")]
Timeout = Annotated[str | None, Parameter(help="Wait no longer than this, as 90s or 1h30m; ends with 124.")]


@dataclass(frozen=True, slots=True)
class Clock:
    """Monotonic seconds, and how to let some pass."""

    now: Callable[[], float]
    sleep: Callable[[float], None]


def until_ended(session: Session, job_id: str, timeout: str | None, clock: Clock) -> int:
    """Tell each new state on stderr; the exit code of the last one. Raises Refused (124) when the time is up."""
    end = None if timeout is None else clock.now() + seconds("--timeout", timeout)
    seen = ""
    while True:
        job: dict[str, Any] = session.api.get(f"/api/v2/jobs/{job_id}")
        if (state := str(job["state"])) != seen:
            seen = state
            session.output.say(f"load job {job.get('name')} is {state}{_because(job)}")
        if (code := ENDS.get(state)) is not None:
            return code
        if end is not None and clock.now() >= end:
            raise Refused(Exit.TIMED_OUT, f"load job {job.get('name')} is still {state} after {timeout}")
        clock.sleep(BETWEEN_LOOKS_S)


def _because(job: dict[str, Any]) -> str:
    reason = job.get("reason")
    return f": {reason}" if reason else ""
