"""Errors of the runtime, each named for what its caller can do, and the closed set of kinds they fall into."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum


class ActorError(Exception):
    """The base of every error that this library raises on purpose."""


class Transient(ActorError):
    """A dependency is away for now: try again; spends no restarts."""


class Permanent(ActorError):
    """Trying again cannot help: give up at once, until someone changes the order."""


class Fenced(ActorError):
    """Another activation owns the entity: stop here, write nothing, tell nobody, do not retry."""

    def __init__(self, entity: str, fence: int) -> None:
        super().__init__(f"{entity} is owned by someone newer than fence {fence}")
        self.entity = entity
        self.fence = fence


class Conflict(ActorError):
    """Someone else wrote to the entity and nothing of ours was written: recover, then decide again."""

    def __init__(self, entity: str, expected: int, actual: int) -> None:
        super().__init__(f"{entity} stands at version {actual}, not {expected}")
        self.entity = entity
        self.expected = expected
        self.actual = actual


class MailboxClosed(ActorError):
    """The actor has ended and takes no message: look its reference up again, or let it go."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} has ended and takes no messages")
        self.name = name


class AskTimeout(ActorError):
    """No answer within the deadline. The question may have been acted upon: look before you repeat it."""

    def __init__(self, name: str, seconds: float) -> None:
        super().__init__(f"{name} did not answer within {seconds:g} s")
        self.name = name
        self.seconds = seconds


class AskFailed(ActorError):
    """The actor failed over the question, `__cause__` says how. Its supervision judges that; the asker need not."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} failed over the question")
        self.name = name


class WouldDeadlock(ActorError):
    """To wait here closes a circle of actors that wait for each other: send back on the control lane."""

    def __init__(self, circle: list[str]) -> None:
        super().__init__(f"would wait in a circle: {' -> '.join(circle)}")
        self.circle = circle


class StrayCancellation(ActorError):
    """A method of the actor ended with CancelledError though nobody had cancelled it: a bug of that method."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} was cancelled from within")
        self.name = name


class AlreadyRunning(ActorError):
    """The name is taken: at most one actor of a name lives in a system. Stop it, or use it."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is running already")
        self.name = name


class SystemStopping(ActorError):
    """The system takes no new actors any more."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} was not started: the system is stopping")
        self.name = name


class Undelivered(ActorError):
    """An actor ended with messages in its mailbox. Noticed, never raised: nothing is dropped silently."""

    def __init__(self, name: str, messages: list[object]) -> None:
        super().__init__(f"{name} ended with {len(messages)} messages undelivered")
        self.name = name
        self.messages = messages


class Kind(Enum):
    """What supervision needs to know of a failure."""

    TRANSIENT = "transient"
    PERMANENT = "permanent"
    FENCED = "fenced"
    BUG = "bug"


Classify = Callable[[BaseException], Kind]

_KINDS: tuple[tuple[type[ActorError], Kind], ...] = (
    (Transient, Kind.TRANSIENT),
    (Permanent, Kind.PERMANENT),
    (Fenced, Kind.FENCED),
)
# A fenced actor must not write, whatever else went wrong beside it; an outage explains nothing but itself.
_GRAVEST_FIRST = (Kind.FENCED, Kind.PERMANENT, Kind.BUG, Kind.TRANSIENT)


def classify(error: BaseException) -> Kind:
    """Kind of this library's own errors; everything unknown is a bug. A product's own rule asks this one last."""
    return next((kind for of, kind in _KINDS if isinstance(error, of)), Kind.BUG)


def gravest(error: BaseException, rule: Classify) -> tuple[BaseException, Kind]:
    """The error that decides, out of `error` and, if it is a group, all it holds."""
    judged = [(leaf, rule(leaf)) for leaf in _leaves(error)]
    return min(judged, key=lambda pair: _GRAVEST_FIRST.index(pair[1]))


def _leaves(error: BaseException) -> list[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
