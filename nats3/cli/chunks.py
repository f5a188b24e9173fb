"""`nats3 chunks ...`: what lies in the buckets, and what is in it."""

from __future__ import annotations

import sys
from base64 import b64decode
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from nats3.cli.amounts import moment
from nats3.cli.exits import Exit
from nats3.cli.output import Columns
from nats3.cli.session import Given

CHUNK = Columns(
    usual=(
        ("id", "id"),
        ("stream", "stream"),
        ("life", "ordinal"),
        ("first", "first"),
        ("last", "last"),
        ("messages", "count"),
        ("bytes", "stored_bytes"),
        ("key", "key"),
    ),
    more=(
        ("job", "job_id"),
        ("bucket", "bucket"),
        ("codec", "codec"),
        ("first time", "first_time"),
        ("last time", "last_time"),
        ("raw bytes", "raw_bytes"),
        ("sha256", "sha256"),
        ("deletion", "deletion"),
    ),
    name="id",
)
VERDICT = Columns(
    usual=(("id", "id"), ("verdict", "verdict"), ("key", "key"), ("fault", "fault")),
    more=(("bucket", "bucket"), ("messages", "messages"), ("bytes", "stored_bytes"), ("sha256", "sha256")),
    name="id",
)
MESSAGE = Columns(
    usual=(("seq", "seq"), ("time", "time"), ("subject", "subject"), ("payload", "text")),
    more=(("header", "header"), ("base64", "payload")),
    name="seq",
)

app = App(name="chunks")

Chunk = Annotated[int, Parameter(help="Id of the chunk: the position of its event.")]


@app.command(name=("ls", "list"))
def ls(
    *,
    job: Annotated[str | None, Parameter(help="Only made by the job of this id.")] = None,
    bucket: Annotated[str | None, Parameter(help="Only in this bucket.")] = None,
    stream: Annotated[str | None, Parameter(help="Only of this stream.")] = None,
    deleted: Annotated[
        Literal["true", "false", "any"] | None, Parameter(help="Those deleted by order: alone, without them, both.")
    ] = None,
    limit: Annotated[int, Parameter(help="At most so many.")] = 100,
    session: Given,
) -> None:
    """Chunks in the order in which they were recorded."""
    query = {"job_id": job, "bucket": bucket, "stream": stream, "deleted": deleted}
    items = session.api.items("/api/v2/chunks", limit, **query)
    session.output.show({"items": items}, items, CHUNK)


@app.command
def get(chunk: Chunk, /, *, session: Given) -> None:
    """One chunk."""
    found = session.api.get(f"/api/v2/chunks/{chunk}")
    session.output.show(found, [found], CHUNK)


@app.command
def verify(chunk: Chunk, /, *, session: Given) -> int:
    """Hold the object, every byte of it, against the log; ends with 1 where it is not whole."""
    found = session.api.post(f"/api/v2/chunks/{chunk}/verify")
    session.output.show(found, [found], VERDICT)
    return Exit.OK if found["verdict"] == "whole" else Exit.FAILURE


@app.command
def cat(
    chunk: Chunk,
    /,
    *,
    seq: Annotated[int | None, Parameter(help="Only the message with this seq.")] = None,
    start: Annotated[
        str | None, Parameter(name="--from", help="Only from this time on, RFC 3339, or so long ago, as 1h.")
    ] = None,
    to: Annotated[str | None, Parameter(help="Only before this time.")] = None,
    subject: Annotated[str | None, Parameter(help="Only on subjects that this filter takes.")] = None,
    raw: Annotated[bool, Parameter(negative=(), help="The payloads as they are, one after the other.")] = False,
    limit: Annotated[int, Parameter(help="At most so many.")] = 1000,
    session: Given,
) -> None:
    """The messages in a chunk, after all of it is verified."""
    query = {"seq": None if seq is None else str(seq), "from": moment(start), "to": moment(to), "subject": subject}
    items = session.api.items(f"/api/v2/chunks/{chunk}/messages", limit, **query)
    if raw:
        _write(items)
    else:
        session.output.show({"items": items}, items, MESSAGE)


def _write(items: list[dict[str, Any]]) -> None:
    for message in items:
        sys.stdout.buffer.write(b64decode(message["payload"]))
    sys.stdout.flush()
