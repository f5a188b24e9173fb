"""`nats3 streams ...`: the streams of NATS, and what of each is archived."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from nats3.cli.jobs import Nats
from nats3.cli.output import Columns
from nats3.cli.session import Given

STREAM = Columns(
    usual=(
        ("name", "name"),
        ("messages", "there.messages"),
        ("first", "there.first_seq"),
        ("last", "there.last_seq"),
        ("archived", "archived.messages"),
        ("up to", "archived.last_seq"),
        ("chunks", "archived.chunks"),
    ),
    more=(
        ("retention", "there.retention"),
        ("subjects", "there.subjects"),
        ("created", "there.created"),
        ("jobs", "archived.jobs"),
        ("bytes", "archived.stored_bytes"),
        ("archived until", "archived.last_time"),
    ),
)

app = App(name="streams")


@app.command(name=("ls", "list"))
def ls(*, limit: Annotated[int, Parameter(help="At most so many.")] = 1000, nats: Nats = None, session: Given) -> None:
    """Streams that are there, and those that were archived."""
    items = session.api.items("/api/v2/streams", limit, nats=nats)
    session.output.show({"items": items}, items, STREAM)


@app.command
def get(name: Annotated[str, Parameter(help="Name of the stream.")], /, *, nats: Nats = None, session: Given) -> None:
    """One stream."""
    found = session.api.get(f"/api/v2/streams/{name}", nats=nats)
    session.output.show(found, [found], STREAM)
