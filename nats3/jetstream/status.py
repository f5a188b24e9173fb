"""Status frames of a pull consumer: what the server says when it sends no message."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from nats3.jetstream.errors import Reason
from nats3.jetstream.link import status_of


class Ended(Enum):
    """A pull request is over in the ordinary way."""

    USED_UP = "used up"
    TOO_SMALL = "the next message does not fit"


class Heartbeat(NamedTuple):
    """Nothing to send; `last_dseq` is the delivery sequence of the last message sent, None where it does not say."""

    last_dseq: int | None


MEANING_OF_409: dict[bytes, Ended | Reason] = {
    b"Batch Completed": Ended.USED_UP,
    b"Message Size Exceeds MaxBytes": Ended.TOO_SMALL,
    b"Consumer Deleted": Reason.CONSUMER_DELETED,
    b"Leadership Change": Reason.LEADERSHIP_CHANGED,
    b"Server Shutdown": Reason.CONNECTION_LOST,
}
"""The server tells its 409s apart only by their text. One that is not here refuses the request."""

_HEARTBEAT = 100
_OVER = (404, 408)
_CONFLICT = 409
_NOBODY = 503


class Status(NamedTuple):
    """A status frame: its meaning, its text, and what the request left unused."""

    meaning: Ended | Reason | Heartbeat
    text: str
    messages_left: int
    bytes_left: int


def read(header: bytes | None) -> Status | None:
    """The status in a header block; None when it is none, which only a stranger sends to an inbox of ours."""
    code = status_of(header)
    if header is None or code is None:
        return None
    line, _, rest = header.partition(b"\r\n")
    fields = _fields(rest)
    description = line[13:].strip()
    return Status(
        _meaning(code, description, fields),
        line[9:].decode("ascii", "replace"),
        _number(fields, b"Nats-Pending-Messages") or 0,
        _number(fields, b"Nats-Pending-Bytes") or 0,
    )


def _meaning(code: int, description: bytes, fields: dict[bytes, bytes]) -> Ended | Reason | Heartbeat:
    if code == _HEARTBEAT:
        return Heartbeat(_number(fields, b"Nats-Last-Consumer"))
    if code in _OVER:
        return Ended.USED_UP
    if code == _NOBODY:
        return Reason.CONSUMER_DELETED
    if code == _CONFLICT:
        return MEANING_OF_409.get(description, Reason.PULL_REFUSED)
    return Reason.PULL_REFUSED


def _fields(block: bytes) -> dict[bytes, bytes]:
    pairs = (line.partition(b":") for line in block.split(b"\r\n"))
    return {name: value.strip() for name, colon, value in pairs if colon}


def _number(fields: dict[bytes, bytes], name: bytes) -> int | None:
    value = fields.get(name, b"")
    return int(value) if value.isdigit() else None
