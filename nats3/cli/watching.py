"""`--watch`: what is there, and again each row that changes, as `kubectl get -w` does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from cyclopts import Parameter

from nats3.cli.output import Columns, Row
from nats3.cli.session import Session

BETWEEN_LOOKS_S = 1.0
DELETED = "Deleted"
"""What stands as the status of a job that is not there any more; nobody else says this word."""

Watch = Annotated[
    bool,
    Parameter(name=("--watch", "-w"), negative=(), help="Then each job again when it changes, until you interrupt."),
]


def watch(
    session: Session,
    columns: Columns,
    look: Callable[[], Sequence[dict[str, Any]]],
    sleep: Callable[[float], None],
    *,
    until_gone: bool = False,
) -> None:
    """Print what `look` gives, then what is new in it, look after look; with `until_gone` until nothing is left of it."""
    seen: dict[str, Row] = {}
    first = True
    while True:
        rows: dict[str, Row] = {str(row["id"]): row for row in look()}
        gone = [{**row, "status": DELETED} for job_id, row in seen.items() if job_id not in rows]
        changed = [row for job_id, row in rows.items() if row != seen.get(job_id)]
        session.output.stream([*changed, *gone], columns, first=first)
        if until_gone and not rows:
            return
        seen, first = rows, False
        sleep(BETWEEN_LOOKS_S)
