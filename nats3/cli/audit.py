"""`nats3 events ...`, `nats3 job history`: the event log over version 2 of the API."""

from __future__ import annotations

import json
import time
from typing import Annotated, Any

from cyclopts import App, Parameter

from nats3.cli.amounts import moment
from nats3.cli.exits import Exit, Refused
from nats3.cli.following import follow
from nats3.cli.output import Columns
from nats3.cli.progress import walked
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

events = App(name="events")
job = App(name="job")

Entity = Annotated[str | None, Parameter(help="Only of this entity, as job/ID or run/ID.")]
Category = Annotated[str | None, Parameter(help="Only of entities of this kind: job, run or projection.")]
EventType = Annotated[str | None, Parameter(name="--type", help="Only of these types, by commas.")]
Node = Annotated[str | None, Parameter(help="Only written by this node.")]
Actor = Annotated[str | None, Parameter(help="Only done by this user, or by this node's jobs.")]
Correlation = Annotated[str | None, Parameter(help="Only what came of this request.")]
Since = Annotated[str | None, Parameter(help="Only from this time on, as 2026-01-31T12:00:00Z, or so long ago, as 1h.")]
Until = Annotated[str | None, Parameter(help="Only before this time, the same.")]
After = Annotated[int | None, Parameter(help="Only after this position.")]


@events.command(name=("ls", "list"))
def ls(
    *,
    entity: Entity = None,
    category: Category = None,
    event_type: EventType = None,
    node: Node = None,
    actor: Actor = None,
    correlation: Correlation = None,
    since: Since = None,
    until: Until = None,
    after: After = None,
    newest: Annotated[bool, Parameter(negative=(), help="The newest first.")] = False,
    limit: Annotated[int, Parameter(help="At most so many.")] = 100,
    session: Given,
) -> None:
    """Events in the order of the log."""
    query = {"entity": entity, "category": category, "type": event_type, "node": node, "actor": actor}
    query |= {"correlation": correlation, "since": moment(since), "until": moment(until), "after": _text(after)}
    query["order"] = "desc" if newest else None
    _show(session, session.api.items("/api/v2/events", limit, **query))


@events.command
def tail(
    *,
    entity: Entity = None,
    category: Category = None,
    event_type: EventType = None,
    actor: Actor = None,
    after: After = None,
    session: Given,
) -> None:
    """Events as they happen, one JSON object a line, until interrupted; a server that restarts is waited for."""
    query = {"entity": entity, "category": category, "type": event_type, "actor": actor}
    query |= {"after": _text(after), "follow": "true"}

    def wait(seconds: float, reason: str) -> None:
        session.output.say(f"{reason}; again in {seconds:g} s")
        time.sleep(seconds)

    for data in follow(session.api, "/api/v2/events", query, wait):
        session.output.line(json.dumps(json.loads(data), ensure_ascii=False, separators=(",", ":")))


@events.command(name="get")
def get_event(position: Annotated[int, Parameter(help="Its place in the log.")], /, *, session: Given) -> None:
    """One event."""
    found = session.api.get(f"/api/v2/events/{position}")
    session.output.show(found, [found], EVENT)


@events.command
def verify(*, session: Given) -> int:
    """Walk the hash chain of the whole log; ends with 1 and names the first event that does not fit."""
    found = walked(session, "/api/v2/events/verify", "verify")
    session.output.say(f"{found['events']} events up to position {found['up_to']}: {_verdict(found)}")
    return Exit.OK if found["verdict"] == "whole" else Exit.FAILURE


def _verdict(found: dict[str, Any]) -> str:
    broken = found["broken"]
    if broken is None:
        return "each one fits the one before"
    where = "" if broken["position"] is None else f" at position {broken['position']}"
    return f"{broken['entity_id']} version {broken['version']}{where}: {broken['fault']}"


@job.command
def history(
    job_id: Annotated[str, Parameter(help="Id of the job.")],
    /,
    *,
    as_of: Annotated[
        str | None, Parameter(help="As it was at this position (inclusive) or time, or so long ago.")
    ] = None,
    limit: Annotated[int, Parameter(help="At most so many events.")] = 100,
    session: Given,
) -> None:
    """What happened to a job: its orders and its runs; with --as-of up to then, and how it was."""
    as_of = moment(as_of)
    items = session.api.items(f"/api/v2/jobs/{job_id}/events", limit, as_of=as_of)
    if as_of is None:
        _show(session, items)
        return
    states = {name: _state(session, f"{name}/{job_id}", as_of) for name in ("job", "run")}
    session.output.show({"items": items, **states}, items, EVENT)
    for name, state in states.items():
        session.output.say(f"{name}: {json.dumps(state, ensure_ascii=False)}")


def _state(session: Session, entity: str, as_of: str) -> object:
    """The folded state of an entity then; None before its first event."""
    try:
        return session.api.get(f"/api/v2/entities/{entity}", as_of=as_of)["state"]
    except Refused as refused:
        if refused.code is Exit.NOT_FOUND:
            return None
        raise


def _show(session: Session, items: list[dict[str, Any]]) -> None:
    session.output.show({"items": items}, items, EVENT)


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)
