"""The rows by name: each measures one thing and says what it found."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from tests.bench.figures import Figure
from tests.bench.house import House


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured: messages in a stream that is read often, and in the long one (0: none), runs, log events."""

    messages: int = 50_000
    long: int = 1_000_000
    runs: int = 5
    events: int = 20_000
    jobs: int = 1000
    warm: bool = True


QUICK = Size(messages=5000, long=0, runs=1, events=1000, jobs=50, warm=False)

Row: TypeAlias = Callable[[House, Size], Coroutine[None, None, Sequence[Figure]]]

ROWS: dict[str, Row] = {}


def row(name: str) -> Callable[[Row], Row]:
    """Enter a row under its name; they run in the order in which they are entered."""

    def enter(measure: Row) -> Row:
        ROWS[name] = measure
        return measure

    return enter


def chosen(words: Sequence[str]) -> dict[str, Row]:
    """The rows that are named, all where none is. Raises KeyError."""
    return {name: ROWS[name] for name in words} if words else dict(ROWS)
