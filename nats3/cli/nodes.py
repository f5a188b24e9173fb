"""`nats3 nodes ...`: the processes that run jobs on this Postgres."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from nats3.cli.output import Columns
from nats3.cli.session import Given

NODE = Columns(
    usual=(("id", "id"), ("name", "name"), ("alive", "alive"), ("started", "started_at")),
    more=(("lease until", "lease_until"),),
)

app = App(name="nodes")


@app.command(name=("ls", "list"))
def ls(*, limit: Annotated[int, Parameter(help="At most so many.")] = 1000, session: Given) -> None:
    """Nodes that registered and did not leave, oldest first."""
    items = session.api.items("/api/v2/nodes", limit)
    session.output.show({"items": items}, items, NODE)
