"""What a benchmark found, as values: rates, ratios, percentiles, the table and the line of history."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Literal

Direction = Literal[">=", "<="]


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure has to reach: it is met at the bound itself."""

    direction: Direction
    bound: float

    def is_met(self, value: float) -> bool:
        return value >= self.bound if self.direction == ">=" else value <= self.bound

    def __str__(self) -> str:
        return f"{self.direction} {shown(self.bound)}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One number: `spread` is the least and the greatest that its median stands for, `said` how it came about."""

    name: str
    value: float
    unit: str
    target: Target | None = None
    spread: tuple[float, float] | None = None
    said: str = ""

    @property
    def verdict(self) -> str:
        if self.target is None:
            return ""
        return "met" if self.target.is_met(self.value) else "missed"


def at_least(bound: float) -> Target:
    return Target(">=", bound)


def at_most(bound: float) -> Target:
    return Target("<=", bound)


def middle(name: str, values: Sequence[float], unit: str, target: Target | None = None, said: str = "") -> Figure:
    """The median of several runs."""
    return Figure(name, median(values), unit, target, (min(values), max(values)), said)


def ratio(name: str, ours: Sequence[float], theirs: Sequence[float], target: Target | None = None) -> Figure:
    """The median of the ratios of neighbours: runs of one turn meet the same machine, those of two turns may not."""
    return middle(name, [one / other for one, other in zip(ours, theirs, strict=True)], "x", target)


def percentile(values: Sequence[float], share: float) -> float:
    """The least value that at least `share` (0 to 1) of all values do not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def latencies(
    name: str, seconds: Sequence[float], targets: tuple[Target | None, Target | None] = (None, None)
) -> list[Figure]:
    """p50 and p99 in milliseconds."""
    return [
        Figure(f"{name}, p{share}", percentile(seconds, share / 100) * 1000, "ms", target)
        for share, target in zip((50, 99), targets, strict=True)
    ]


def shown(value: float) -> str:
    """Three digits that count, thousands grouped."""
    if abs(value) >= 100:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.3g}"


HEAD = ("figure", "value", "unit", "range", "target", "", "how")


def table(figures: Sequence[Figure]) -> str:
    """Markdown, aligned, so that the terminal shows what the document holds."""
    rows = [HEAD, *map(_cells, figures)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(HEAD))]
    lines = [_line(row, widths) for row in rows]
    return "\n".join([lines[0], _line(["-" * width for width in widths], widths), *lines[1:]])


TABLE_BEGINS, TABLE_ENDS = "<!-- what make bench said -->\n", "<!-- until here -->\n"


def with_table(page: str, said: str) -> str:
    """The page with `said` in the place that it keeps for it. Raises ValueError where it keeps none."""
    before, begins, rest = page.partition(TABLE_BEGINS)
    _, ends, after = rest.partition(TABLE_ENDS)
    if not ends:
        raise ValueError(f"the page has no {TABLE_BEGINS.strip()} ... {TABLE_ENDS.strip()}")
    return f"{before}{begins}\n{said}\n\n{ends}{after}"


def _cells(figure: Figure) -> Sequence[str]:
    spread = "" if figure.spread is None else f"{shown(figure.spread[0])} .. {shown(figure.spread[1])}"
    target = "" if figure.target is None else str(figure.target)
    return (figure.name, shown(figure.value), figure.unit, spread, target, figure.verdict, figure.said)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    numbers = {1, 3}
    padded = [
        cell.rjust(width) if place in numbers else cell.ljust(width)
        for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "| " + " | ".join(padded) + " |"


def as_json(figures: Sequence[Figure]) -> list[dict[str, Any]]:
    """Each figure with the fields that it has."""
    return [
        {name: value for name, value in asdict(figure).items() if value not in (None, "")} | _verdict(figure)
        for figure in figures
    ]


def _verdict(figure: Figure) -> dict[str, Any]:
    return {} if figure.target is None else {"target": str(figure.target), "verdict": figure.verdict}


def history_line(about: dict[str, Any], figures: Sequence[Figure]) -> dict[str, Any]:
    """What is kept of a run: the commit, the machine, and each figure by its name."""
    return {**about, "figures": {figure.name: float(f"{figure.value:.4g}") for figure in figures}}
