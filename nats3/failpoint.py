"""Failpoints: named places at the arrows of store and load where a fault test lets this process die, freeze, fail or wait.

`NATS3_FAILPOINTS` names them, `place=action[*count][@nth]` by commas: `store.after_put=kill@3` dies at the third passage,
`bind.after_consumer=raise*2,store.after_ack=delay:0.5` fails twice there and waits half a second here. Without it
`pass_by` stands at every place, and nothing is counted.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, assert_never, cast, get_args

from nats3.errors import Unavailable

Place = Literal[
    "run.after_claim",
    "run.after_activated",
    "bind.after_adopted_put",
    "bind.after_adopt",
    "bind.after_identity",
    "bind.after_gap",
    "bind.after_consumer",
    "bind.after_delete",
    "store.after_recv",
    "store.after_seal",
    "store.after_encode",
    "store.before_put",
    "store.after_put",
    "store.before_append",
    "store.after_append",
    "store.after_ack",
    "load.after_plan",
    "load.after_extend",
    "load.after_bind",
    "load.after_verify",
    "load.before_publish",
    "load.after_publish",
    "load.after_drain",
    "load.before_progress",
    "load.after_progress",
    "load.before_delete",
    "load.after_delete",
    "load.before_completed",
    "load.after_completed",
]
PLACES = frozenset(get_args(Place))


@dataclass(frozen=True, slots=True)
class Kill:
    """SIGKILL, as a crash would."""


@dataclass(frozen=True, slots=True)
class Stop:
    """SIGSTOP: frozen until somebody sends SIGCONT."""


@dataclass(frozen=True, slots=True)
class Fail:
    """A dependency is away for this once."""


@dataclass(frozen=True, slots=True)
class Delay:
    """Whoever comes here waits so long; others go on."""

    seconds: float


Action: TypeAlias = Kill | Stop | Fail | Delay


@dataclass(frozen=True, slots=True)
class Failpoint:
    """At the passages nth <= n < nth + count, counted from 1, of `place`."""

    place: Place
    action: Action
    count: int
    nth: int


class NoFailpoint(ValueError):
    """The text names no failpoint; what is wrong with it, as the end of a sentence."""


_FORM = re.compile(
    r"(?P<place>[a-z._]+)=(?P<action>kill|stop|raise|delay:(?P<s>\d+(\.\d+)?))(\*(?P<c>\d+))?(@(?P<n>\d+))?"
)


def parse(text: str) -> tuple[Failpoint, ...]:
    """Raises NoFailpoint."""
    return tuple(_parse(each.strip()) for each in text.split(",") if each.strip())


def _parse(text: str) -> Failpoint:
    found = _FORM.fullmatch(text)
    if found is None:
        raise NoFailpoint("is no place=kill|stop|raise|delay:SECONDS[*count][@nth], parted by commas")
    if found["place"] not in PLACES:
        raise NoFailpoint("names a place that this version does not have")
    count, nth = int(found["c"] or 1), int(found["n"] or 1)
    if not count or not nth:
        raise NoFailpoint("counts from 1")
    return Failpoint(cast("Place", found["place"]), _action(found["action"], found["s"]), count, nth)


def _action(word: str, seconds: str | None) -> Action:
    plain: dict[str, Action] = {"kill": Kill(), "stop": Stop(), "raise": Fail()}
    return Delay(float(seconds)) if seconds is not None else plain[word]


class Reach(Protocol):
    """What a worker calls at each place. Raises Unavailable where a test wants it so."""

    async def __call__(self, place: Place, /) -> None: ...


async def pass_by(place: Place, /) -> None:
    """Every real life: no failpoint is on."""


class Failpoints:
    """The failpoints of one process. `heard` is told of each passage that acts, right before it does."""

    def __init__(self, planned: tuple[Failpoint, ...], heard: Callable[[str, str], None]) -> None:
        self._planned = planned
        self._heard = heard
        self._passed: Counter[Place] = Counter()

    async def __call__(self, place: Place, /) -> None:
        self._passed[place] += 1
        for each in self._planned:
            if each.place == place and each.nth <= self._passed[place] < each.nth + each.count:
                self._heard(place, type(each.action).__name__.lower())
                await _act(each.action, place)


def armed(planned: tuple[Failpoint, ...], heard: Callable[[str, str], None]) -> Reach:
    """What workers are given: nothing at all where nothing is planned."""
    return Failpoints(planned, heard) if planned else pass_by


def _act(action: Action, place: Place) -> Awaitable[None]:
    match action:
        case Kill():
            return _send(signal.SIGKILL)
        case Stop():
            return _send(signal.SIGSTOP)
        case Fail():
            raise Unavailable("nats", f"failpoint {place}")
        case Delay(seconds):
            return asyncio.sleep(seconds)
        case _:
            assert_never(action)


async def _send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)
