"""How far something is, for a person who waits: a bar on stderr where that is a terminal, nothing elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, TypeAlias

from nats3.cli.exits import Exit, Refused
from nats3.cli.output import Output
from nats3.cli.session import Session

Bar: TypeAlias = Callable[[int, int], None]
"""Takes how far it is, and where the end is."""

Said: TypeAlias = dict[str, Any]
"""A line of an answer: `position` and `head`, or the `verdict` at its end."""


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


def walked(session: Session, path: str, title: str, heard: Callable[[Said], None] = lambda _: None) -> Said:
    """The last line of an answer that tells line by line how far a walk is; `heard` gets each one before.

    Raises Refused where the server ended before the walk did.
    """
    said: Said = {}
    with bar(session.output, title) as shown:
        for line in session.api.lines(path):
            said = json.loads(line)
            if "position" in said:
                shown(said["position"], said["head"])
                heard(said)
    if "verdict" not in said:
        raise Refused(Exit.FAILURE, "the server ended before all was read: try again")
    return said


def _unseen(_done: int, _total: int) -> None:
    return
