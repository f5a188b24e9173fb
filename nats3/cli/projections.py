"""`nats3 projections ...`: the tables made from the event log, and work on them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, Any

from cyclopts import App, Parameter

from nats3.cli.exits import Exit
from nats3.cli.output import Columns
from nats3.cli.progress import Bar, bar
from nats3.cli.session import Given, Session

PROJECTION = Columns(
    usual=(("name", "name"), ("version", "version"), ("status", "status"), ("position", "position"), ("lag", "lag")),
    more=(("seen by readers", "active"), ("kept", "kept"), ("error", "error"), ("updated", "updated_at")),
)
OPERATION = Columns(
    usual=(
        ("id", "id"),
        ("name", "name"),
        ("kind", "kind"),
        ("state", "state"),
        ("position", "position"),
        ("differ", "differ"),
    ),
    more=(("reason", "reason"), ("actor", "actor"), ("asked", "asked_at"), ("ended", "ended_at")),
    name="id",
)
BETWEEN_LOOKS_S = 0.2

app = App(name="projections")

Name = Annotated[str, Parameter(help="Name of the projection.")]
NoWait = Annotated[bool, Parameter(negative=(), help="Do not wait for the end.")]


@app.command(name=("ls", "list"))
def ls(*, session: Given) -> None:
    """The tables made from the log, and how far they are."""
    items = session.api.items("/api/v2/projections", 1000)
    session.output.show({"items": items}, items, PROJECTION)


@app.command
def rebuild(name: Name, /, *, no_wait: NoWait = False, session: Given) -> int:
    """Make a table anew from the whole log while the old one is read, then show it. Ctrl-C leaves it at work."""
    return _work(session, name, "rebuild", wait=not no_wait)


@app.command
def verify(name: Name, /, *, no_wait: NoWait = False, session: Given) -> int:
    """Compare a table with a fresh fold of the whole log; ends with 1 where they differ."""
    return _work(session, name, "verify", wait=not no_wait)


@app.command
def cancel(name: Name, /, *, session: Given) -> None:
    """End the rebuild or verification under way."""
    _show(session, session.api.post(f"/api/v2/projections/{name}/cancel"))


@app.command(name="return")
def return_to_before(name: Name, /, *, session: Given) -> None:
    """Show the version before, at once."""
    answer = session.api.post(f"/api/v2/projections/{name}/return")
    session.output.say(f"{name}: readers see version {answer['version']} again")


@app.command
def skip(
    name: Name,
    position: Annotated[int, Parameter(help="The event at which it stopped.")],
    /,
    *,
    reason: Annotated[str, Parameter(help="Why; it stands in the log for ever.")],
    session: Given,
) -> None:
    """Let a projection pass over an event that it cannot take."""
    answer = session.api.post(f"/api/v2/projections/{name}/skip", {"position": position, "reason": reason})
    session.output.say(f"{name}: position {answer['skipped']} is passed over, recorded at {answer['position']}")


def _work(session: Session, name: str, kind: str, *, wait: bool) -> int:
    operation = session.api.post(f"/api/v2/projections/{name}/{kind}")
    if wait:
        with bar(session.output, f"{kind} {name}") as shown:
            operation = until_ended(session, operation, shown, time.sleep)
    _show(session, operation)
    return verdict(operation)


def until_ended(
    session: Session, operation: dict[str, Any], shown: Bar, sleep: Callable[[float], None]
) -> dict[str, Any]:
    """The operation at its end."""
    while operation["ended_at"] is None:
        sleep(BETWEEN_LOOKS_S)
        operation = session.api.get(f"/api/v2/projections/{operation['name']}/operations/{operation['id']}")
        shown(operation["position"] or 0, operation["head"])
    return operation


def verdict(operation: dict[str, Any]) -> int:
    """What it means for a script: not done, or done and not equal, is a failure."""
    good = operation["state"] in ("running", "done") and not operation["differ"]
    return Exit.OK if good else Exit.FAILURE


def _show(session: Session, operation: dict[str, Any]) -> None:
    session.output.show(operation, [operation], OPERATION)
    if operation["reason"]:
        session.output.say(f"{operation['name']}: {operation['reason']}")
