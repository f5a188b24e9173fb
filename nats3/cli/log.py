"""`nats3 log ...`: the partitions of the event log, and the segments that old ones became."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import App, Parameter

from nats3.cli.exits import Exit
from nats3.cli.output import Columns
from nats3.cli.progress import Said, walked
from nats3.cli.session import Given

PARTITION = Columns(
    usual=(
        ("name", "name"),
        ("from", "from_position"),
        ("to", "to_position"),
        ("state", "state"),
        ("held by", "held"),
    ),
    more=(("exported to", "exported_to"),),
)
SEGMENT = Columns(
    usual=(("name", "name"), ("from", "from_position"), ("to", "to_position"), ("events", "events"), ("size", "size")),
    more=(
        ("sha256", "sha256"),
        ("first", "first_recorded_at"),
        ("last", "last_recorded_at"),
        ("dropped", "dropped_at"),
    ),
)

app = App(name="log")
segments = App(name="segments", help="What moved into the bucket.")
app.command(segments)


@app.command
def partitions(*, session: Given) -> None:
    """The parts of the log, oldest first, and what keeps one in Postgres that is in the bucket already."""
    items = session.api.get("/api/v2/log/partitions")["items"]
    session.output.show({"items": items}, [each | {"held": _held(each["held_by"])} for each in items], PARTITION)


@segments.command(name=("ls", "list"))
def ls(
    *,
    after: Annotated[int | None, Parameter(help="Behind this position.")] = None,
    limit: Annotated[int, Parameter(help="At most so many.")] = 1000,
    session: Given,
) -> None:
    """Segments of the log in the bucket, in the order of the log."""
    items = session.api.items("/api/v2/log/segments", limit, after=None if after is None else str(after))
    session.output.show({"items": items}, items, SEGMENT)


@segments.command
def verify(*, session: Given) -> int:
    """Read every segment back; ends with 1 and names those that are missing or altered."""

    def heard(said: Said) -> None:
        if said["fault"] is not None:
            session.output.say(f"{said['segment']}: {said['fault']}")

    found = walked(session, "/api/v2/log/segments/verify", "verify", heard)
    session.output.say(f"{found['segments']} segments read back, {found['broken']} missing or altered")
    return Exit.OK if found["verdict"] == "whole" else Exit.FAILURE


def _held(holds: list[dict[str, Any]]) -> str:
    told = [f"{each['kind']} {each['name']} at {each['position']}".replace("  ", " ") for each in holds[:3]]
    return ", ".join(told) + (f" and {len(holds) - 3} more" if holds[3:] else "")
