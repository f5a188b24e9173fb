"""How the demo shows itself: bars while it runs on stderr, a table, a verdict and a history on stdout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text
from typing_extensions import override

MIB = 1 << 20
ENDS = 4
"""Events shown of each end of a long history."""


class RateColumn(ProgressColumn):
    """Messages per second."""

    @override
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f} msg/s", style="cyan")


def bars(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<9}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeRemainingColumn(),
        console=console,
    )


@dataclass(frozen=True, slots=True)
class Archived:
    """Sums over the chunks that are recorded."""

    chunks: int
    messages: int
    raw_bytes: int
    stored_bytes: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it. Times in seconds; `differences` are sentences, empty when every byte came back."""

    title: str
    messages: int
    archived: Archived
    seconds: dict[str, float]
    differences: Sequence[str]
    difference_count: int


def show(console: Console, outcome: Outcome) -> None:
    table = Table(title=f"nats3 demo: {outcome.title}", show_header=False, title_justify="left")
    for name, value in _rows(outcome):
        table.add_row(name, Text(value, justify="right"))
    console.print(table)
    for difference in outcome.differences:
        console.print(f"  {difference}", style="red", markup=False)
    console.print(Text(_verdict(outcome), style="bold red" if outcome.difference_count else "bold green"))


def _rows(outcome: Outcome) -> list[tuple[str, str]]:
    kept = outcome.archived
    ratio = kept.raw_bytes / kept.stored_bytes if kept.stored_bytes else 0.0
    return [
        ("messages", f"{outcome.messages:,}"),
        ("raw bytes (subjects, headers, payloads)", f"{kept.raw_bytes / MIB:,.1f} MiB"),
        ("stored bytes", f"{kept.stored_bytes / MIB:,.1f} MiB"),
        ("ratio", f"{ratio:.1f} : 1"),
        ("chunks", f"{kept.chunks:,}"),
        *((f"{phase} rate", f"{outcome.messages / outcome.seconds[phase]:,.0f} msg/s") for phase in ("store", "load")),
        *((f"seconds to {phase}", f"{seconds:.1f}") for phase, seconds in outcome.seconds.items()),
    ]


def _verdict(outcome: Outcome) -> str:
    if outcome.difference_count:
        return f"NOT EQUAL: {outcome.difference_count:,} of {outcome.messages:,} messages differ"
    return f"EQUAL: all {outcome.messages:,} messages came back in order, byte for byte (subject, headers, payload)"


def show_history(console: Console, name: str, events: Sequence[dict[str, Any]]) -> None:
    """The events of a run as the log has them, the middle of a long one as counts."""
    table = Table(title=f"history of the {name} job, out of the event log", title_justify="left")
    for column in ("position", "recorded at", "event", "data"):
        table.add_column(column, no_wrap=column != "data", overflow="ellipsis")
    middle = events[ENDS:-ENDS]
    for event in events[:ENDS]:
        table.add_row(*_cells(event))
    if middle:
        counts = Counter(event["type"] for event in middle)
        table.add_row("...", "", ", ".join(f"{count} x {kind}" for kind, count in counts.items()), "")
    for event in events[max(ENDS, len(events) - ENDS) :]:
        table.add_row(*_cells(event))
    console.print(table)


def _cells(event: dict[str, Any]) -> tuple[str, str, str, Text]:
    data = ", ".join(f"{key}={value}" for key, value in event["data"].items() if isinstance(value, str | int | float))
    return str(event["position"]), str(event["recorded_at"]), str(event["type"]), Text(data[:200])
