"""Retention: segments, what they hold, and dropping what nobody needs; an append says when it ends its entity."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

APPEND = (
    "es.append(uuid, text[], bigint[], bigint[], bigint[], bytea[], bytea[], text[], uuid[], bigint[],"
    " int[], bigint[], text[], smallint[], uuid[], text[], bytea[]{})"
)
OBJECTS = (
    "retention",
    "following",
    "append",
    "take",
    "held",
    "keep_segment",
    "drop_partition",
    "privileges",
    "grant_again",
)


def upgrade() -> None:
    # A program of before, which still runs, calls the new one without its last argument.
    op.execute(f"DROP FUNCTION IF EXISTS {APPEND.format('')}")
    op.execute(f"DROP FUNCTION IF EXISTS {APPEND.format(', boolean[]')}")
    for name in OBJECTS:
        op.execute((Path(__file__).parent.parent / f"{name}.sql").read_text("utf-8"))
