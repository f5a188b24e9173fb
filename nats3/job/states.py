"""The states of a job: one table for API, CLI, metrics and documents."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

from nats3.job.ordering import Wanted
from nats3.job.running import ConditionName

Word = Literal["Created", "Running", "Paused", "Success", "Failure"]
Command = Literal["pause", "resume", "change", "retry", "delete"]


class State(Enum):
    CREATED = "created"
    RUNNING = "running"
    DEGRADED = "degraded"
    REPAIRING = "repairing"
    BLOCKED = "blocked"
    PAUSED = "paused"
    COMPLETED = "completed"
    COMPLETED_WITH_GAPS = "completed_with_gaps"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Rule:
    """What a state is called in version 1, what it means, and which commands it takes."""

    word: Word
    means: str
    goes_on: bool
    commands: frozenset[Command]


_ACTIVE: frozenset[Command] = frozenset({"pause", "delete"})
_RUNNING: frozenset[Command] = frozenset({"pause", "change", "delete"})
_BLOCKED: frozenset[Command] = frozenset({"pause", "resume", "change", "retry", "delete"})
_PAUSED: frozenset[Command] = frozenset({"resume", "change", "delete"})
_ENDED: frozenset[Command] = frozenset({"retry", "delete"})

RULES: dict[State, Rule] = {
    State.CREATED: Rule("Created", "ordered, no node has it yet", goes_on=True, commands=_ACTIVE),
    State.RUNNING: Rule("Running", "messages flow, or nothing is left to do for now", goes_on=True, commands=_RUNNING),
    State.DEGRADED: Rule("Running", "NATS, S3 or Postgres is away; retrying in place", goes_on=True, commands=_ACTIVE),
    State.REPAIRING: Rule("Running", "index and bucket are being reconciled", goes_on=True, commands=_ACTIVE),
    State.BLOCKED: Rule(
        "Failure",
        "the world must change; looked at again every few seconds",
        goes_on=True,
        commands=_BLOCKED,
    ),
    State.PAUSED: Rule("Paused", "stopped by a command", goes_on=False, commands=_PAUSED),
    State.COMPLETED: Rule("Success", "everything planned is there", goes_on=False, commands=_ENDED),
    State.COMPLETED_WITH_GAPS: Rule(
        "Failure", "loaded but for chunks that were skipped by order", goes_on=False, commands=_ENDED
    ),
    State.FAILED: Rule(
        "Failure", "our bug: the restart law gave up", goes_on=False, commands=frozenset({"resume", "delete"})
    ),
}


def allows(state: State, command: Command) -> bool:
    return command in RULES[state].commands


_OF_CONDITION: dict[ConditionName, State] = {
    "new": State.CREATED,
    "running": State.RUNNING,
    "stopped": State.RUNNING,
    "paused": State.RUNNING,
    "degraded": State.DEGRADED,
    "blocked": State.BLOCKED,
    "failed": State.FAILED,
}


def state_of(
    wanted: Wanted, condition: ConditionName, *, completed: bool = False, skipped: int = 0, resumed: int = 0
) -> State:
    """The one state of a job, out of what is wanted of it and what its run last said.

    What has ended stays ended whatever was wanted meanwhile. A job that was resumed is running although no node may
    have it yet: `created` is only before the first run.
    """
    if completed:
        return State.COMPLETED_WITH_GAPS if skipped else State.COMPLETED
    if condition == "failed":
        return State.FAILED
    if wanted == "paused":
        return State.PAUSED
    if condition == "new" and resumed:
        return State.RUNNING
    return _OF_CONDITION[condition]
