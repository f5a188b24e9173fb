"""`nats3 events ...`, `nats3 job history`, `nats3 projections ls`: the event log over version 2 of the API."""

from __future__ import annotations

import json
from typing import Annotated, Any

from cyclopts import App, Parameter

from nats3.cli.output import Columns
from nats3.cli.session import Given, Session

EVENT = Columns(
    usual=(
        ("position", "position"),
        ("time", "recorded_at"),
        ("entity", "entity_id"),
        ("version", "version"),
        ("type", "type"),
    ),
    more=(("actor", "actor"), ("node", "node"), ("correlation", "correlation_id"), ("data", "data")),
    name="position",
)
PROJECTION = Columns(
    usual=(("name", "name"), ("version", "version"), ("status", "status"), ("position", "position"), ("lag", "lag")),
    more=(("error", "error"), ("updated", "updated_at")),
)

events = App(name="events")
job = App(name="job")
projections = App(name="projections")

Entity = Annotated[str | None, Parameter(help="Only of this entity, as job/ID or run/ID.")]
EventType = Annotated[str | None, Parameter(name="--type", help="Only of this type.")]
After = Annotated[int | None, Parameter(help="Only after this position.")]


@events.command(name=("ls", "list"))
def ls(
    *,
    entity: Entity = None,
    event_type: EventType = None,
    after: After = None,
    limit: Annotated[int, Parameter(help="At most so many.")] = 100,
    session: Given,
) -> None:
    """Events in the order of the log."""
    query = {"entity": entity, "type": event_type, "after": _text(after)}
    _show(session, EVENT, session.api.items("/api/v2/events", limit, **query))


@events.command
def tail(*, entity: Entity = None, event_type: EventType = None, after: After = None, session: Given) -> None:
    """Events as they happen, one JSON object a line, until interrupted."""
    query = {"entity": entity, "type": event_type, "after": _text(after), "follow": "true"}
    for line in session.api.follow("/api/v2/events", **query):
        session.output.line(json.dumps(json.loads(line), ensure_ascii=False, separators=(",", ":")))


@events.command(name="get")
def get_event(position: Annotated[int, Parameter(help="Its place in the log.")], /, *, session: Given) -> None:
    """One event."""
    found = session.api.get(f"/api/v2/events/{position}")
    session.output.show(found, [found], EVENT)


@job.command
def history(
    job_id: Annotated[str, Parameter(help="Id of the job.")],
    /,
    *,
    limit: Annotated[int, Parameter(help="At most so many events.")] = 100,
    session: Given,
) -> None:
    """What happened to a job: its orders and its runs."""
    _show(session, EVENT, session.api.items(f"/api/v2/jobs/{job_id}/events", limit))


@projections.command(name=("ls", "list"))
def list_projections(*, session: Given) -> None:
    """The tables made from the log, and how far they are."""
    _show(session, PROJECTION, session.api.items("/api/v2/projections", 1000))


def _show(session: Session, columns: Columns, items: list[dict[str, Any]]) -> None:
    session.output.show({"items": items}, items, columns)


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)
