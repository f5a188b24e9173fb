"""The log, its functions and its guards."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

OBJECTS = (
    "schema",
    "refuse_change",
    "make_partitions",
    "append",
    "take",
    "claim",
    "release",
    "renew",
    "leave",
    "new_log_id",
    "privileges",
)


def upgrade() -> None:
    for name in OBJECTS:
        # The driver's own entry: nothing in the text is a parameter.
        op.execute((Path(__file__).parent.parent / f"{name}.sql").read_text("utf-8"))
    op.execute("SELECT es.make_partitions()")
