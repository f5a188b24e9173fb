"""The rows: each a function that plays one fault in a World and raises when a promise is broken."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.faults.world import World


class Skipped(Exception):
    """This machine cannot play the row; why."""


Play = Callable[[World], Awaitable[None]]


@dataclass(frozen=True)
class Row:
    """`covers` are rows of the matrix (F01 ...), or nothing for a plain case. `sample`: it also runs in `make test`."""

    name: str
    covers: tuple[str, ...]
    play: Play
    sample: bool
    within: float

    @property
    def room(self) -> str:
        return self.play.__module__.rpartition(".")[2]


ROWS: dict[str, Row] = {}


def row(*covers: str, sample: bool = False, within: float = 60.0) -> Callable[[Play], Play]:
    """Register a row under its function's name; `within` seconds it must be over."""

    def register(play: Play) -> Play:
        name = play.__name__  # type: ignore[attr-defined]
        ROWS[name] = Row(name, covers, play, sample, within)
        return play

    return register
