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
FACTS = (
    "reason", "code", "node", "activation", "mode", "stream", "first", "last", "count", "raw_bytes", "stored_bytes",
    "sealed_by", "chunks", "messages", "published", "duplicates", "skipped", "seq", "target_seq",
)  # fmt: skip
"""What is shown of an event, in this order; the rest is at /api/v2/events/<position>."""


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
    console.print(
        Text(_verdict(outcome), style="bold red" if outcome.difference_count else "bold green"), soft_wrap=True
    )


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
    """The events of a run as the log has them, one a line; the middle of a long one as counts."""
    console.print(f"\nhistory of the {name} job, out of the event log", style="italic")
    middle = Counter(event["type"] for event in events[ENDS:-ENDS])
    lines = [_line(event) for event in events[:ENDS]]
    lines += ["     ... " + ", ".join(f"{count} x {kind}" for kind, count in middle.items())] if middle else []
    lines += [_line(event) for event in events[max(ENDS, len(events) - ENDS) :]]
    for line in lines:
        console.print(Text(line, no_wrap=True, overflow="ellipsis"), soft_wrap=not console.is_terminal)


def _line(event: dict[str, Any]) -> str:
    data = event["data"]
    facts = ", ".join(f"{key}={data[key]}" for key in FACTS if data.get(key) not in (None, ""))
    return f"{event['position']:>8} {event['recorded_at']} {event['type']:<16} {facts}"
