"""What a command prints: data to stdout in the form that was asked for, everything said to stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TextIO, assert_never, cast, get_args

Form = Literal["table", "wide", "json", "jsonl", "yaml", "name"]
FORMS: tuple[Form, ...] = get_args(Form)
Row = Mapping[str, Any]

# The original's table: round corners, a double line under the header, a line between rows.
_BOX = """\
╭─┬╮
│ ││
╞═╪╡
│ ││
├─┼┤
├─┼┤
│ ││
╰─┴╯
"""
_COLOURS = {
    "Created": "bright_black",
    "Running": "yellow",
    "Paused": "cyan",
    "Success": "green",
    "Failure": "red",
}
_NO_LIMIT = 100_000
"""Columns of what is no terminal: a table in a file or pipe is never folded."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Headers and where their values lie in a row (`batch.max_bytes` lies in `batch`); `more` is for wide."""

    usual: tuple[tuple[str, str], ...]
    more: tuple[tuple[str, str], ...] = ()
    name: str = "name"


@dataclass(frozen=True, slots=True)
class Output:
    """Where and how to print."""

    form: Form
    stdout: TextIO
    stderr: TextIO

    def show(self, answer: object, rows: Sequence[Row], columns: Columns) -> None:
        """Print `rows`; the JSON and YAML forms print `answer`, which is what the server said, whole."""
        match self.form:
            case "json":
                self.line(json.dumps(answer, indent=2, ensure_ascii=False))
            case "yaml":
                self.line(_yaml(answer))
            case "jsonl" | "name":
                for row in rows:
                    self.line(_compact(row) if self.form == "jsonl" else _cell(row, columns.name))
            case "table" | "wide":
                self._table(rows, columns.usual + (columns.more if self.form == "wide" else ()))
            case _:
                assert_never(self.form)

    def stream(self, rows: Sequence[Row], columns: Columns, *, first: bool) -> None:
        """Print rows as they come, at once: a table for the first ones, a line for each later one; JSON and YAML one by one."""
        match self.form:
            case "table" | "wide" if not first:
                shown = columns.usual + (columns.more if self.form == "wide" else ())
                for row in rows:
                    self.line("  ".join(_cell(row, key) or "-" for _, key in shown))
            case "json":
                for row in rows:
                    self.show(row, [row], columns)
            case "yaml":
                for row in rows:
                    self.line("---")
                    self.show(row, [row], columns)
            case _:
                self.show(rows, rows, columns)
        self.stdout.flush()

    def say(self, text: str) -> None:
        """A message for the person, out of the way of the data."""
        print(text, file=self.stderr)

    def line(self, text: str) -> None:
        print(text, file=self.stdout)

    def _table(self, rows: Sequence[Row], columns: Sequence[tuple[str, str]]) -> None:
        from rich.box import Box  # noqa: PLC0415 - rich is only worth its start-up time for a table
        from rich.console import Console  # noqa: PLC0415 - see above
        from rich.table import Table  # noqa: PLC0415 - see above
        from rich.text import Text  # noqa: PLC0415 - see above

        tty = self.stdout.isatty()
        table = Table(box=Box(_BOX), show_lines=True, header_style="blue", expand=False)
        for header, _ in columns:
            table.add_column(Text(header), overflow="fold")
        for row in rows:
            cells = (_cell(row, key) for _, key in columns)
            table.add_row(*(Text(cell, style=_COLOURS.get(cell, "")) for cell in cells))
        Console(
            file=self.stdout,
            width=None if tty else _NO_LIMIT,
            no_color=not tty or "NO_COLOR" in os.environ,
            force_terminal=tty,
        ).print(table)


def _compact(row: Row) -> str:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":"))


def _cell(row: Row, key: str) -> str:
    """A value as text: nothing for null; control characters escaped, since a name must not command a terminal."""
    value: object = row
    for part in key.split("."):
        value = cast("Mapping[str, object]", value).get(part) if isinstance(value, Mapping) else None
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _yaml(answer: object) -> str:
    import yaml  # noqa: PLC0415 - most calls print no YAML

    return yaml.safe_dump(answer, sort_keys=False, allow_unicode=True).rstrip("\n")


def standard(form: Form) -> Output:
    """Printing on the streams of this process."""
    return Output(form, sys.stdout, sys.stderr)
