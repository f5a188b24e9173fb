"""How far something is, for a person who waits: a bar on stderr where that is a terminal, nothing elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TypeAlias

from nats3.cli.output import Output

Bar: TypeAlias = Callable[[int, int], None]
"""Takes how far it is, and where the end is."""


@contextmanager
def bar(output: Output, title: str) -> Generator[Bar]:
    if not output.stderr.isatty():
        yield _unseen
        return
    from rich.console import Console  # noqa: PLC0415 - rich is only worth its start-up time on a terminal
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=output.stderr)) as shown:
        task = shown.add_task(title, total=None)

        def move(done: int, total: int) -> None:
            shown.update(task, completed=done, total=total)

        yield move


def _unseen(_done: int, _total: int) -> None:
    return
