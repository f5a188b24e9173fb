"""An event of the log as a CloudEvent 1.0: https://github.com/cloudevents/spec, structured mode, JSON.

Its attributes also stand in `ce-*` headers, so that who routes or filters need not read the body.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol
from urllib.parse import quote
from uuid import UUID

CONTENT_TYPE = "application/cloudevents+json"
_HEADERS = ("id", "source", "specversion", "type", "subject", "time", "sequence", "correlationid")
_UNFIT = re.compile(r"[\s.*>]+")


class Event(Protocol):
    """Of an event of the log, what is told outside."""

    @property
    def position(self) -> int: ...
    @property
    def entity_id(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def type(self) -> str: ...
    @property
    def schema_version(self) -> int: ...
    @property
    def event_id(self) -> UUID: ...
    @property
    def recorded_at(self) -> datetime: ...
    @property
    def node(self) -> UUID: ...
    @property
    def actor(self) -> str: ...
    @property
    def correlation_id(self) -> UUID | None: ...
    @property
    def causation_position(self) -> int | None: ...
    @property
    def data(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Topic:
    """What an event is about: kind and name of a job, or category and rest of any other entity."""

    kind: str
    name: str

    def subject(self, prefix: str, type_: str) -> str:
        """`<prefix>.<kind>.<name>.<type>`; what no token of a subject may hold becomes `_`."""
        return ".".join([prefix, *(_UNFIT.sub("_", token) or "_" for token in (self.kind, self.name, type_))])


def attributes(log_id: str, event: Event, topic: Topic) -> dict[str, Any]:
    """Everything but the data. `sequence` sorts as text as positions do; the other additions are named in the docs."""
    found = {
        "specversion": "1.0",
        "id": f"{log_id}:{event.position}",
        "source": f"urn:nats3:log:{log_id}",
        "type": f"nats3.{event.type}",
        "subject": event.entity_id,
        "time": event.recorded_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "sequence": f"{event.position:020d}",
        "kind": topic.kind,
        "name": topic.name,
        "entityversion": event.version,
        "schemaversion": event.schema_version,
        "eventid": str(event.event_id),
        "node": str(event.node),
        "actor": event.actor or None,
        "correlationid": None if event.correlation_id is None else str(event.correlation_id),
        "causation": None if event.causation_position is None else str(event.causation_position),
    }
    return {name: value for name, value in found.items() if value is not None}


def body(told: Mapping[str, Any], data: Mapping[str, Any]) -> bytes:
    """The whole event."""
    return _json({**told, "datacontenttype": "application/json", "data": data})


def body_without_data(told: Mapping[str, Any], position: int) -> bytes:
    """An event that a message cannot hold: `dataref` says where its data is, as the extension of that name has it."""
    return _json({**told, "dataref": f"/api/v2/events/{position}"})


def header_block(told: Mapping[str, Any], after: str | None) -> bytes:
    """The header block of its message. With `after`, the server stores it only right behind the message of that id."""
    lines = ["NATS/1.0", f"Nats-Msg-Id: {told['id']}"]
    if after is not None:
        lines.append(f"Nats-Expected-Last-Msg-Id: {after}")
    lines.append(f"content-type: {CONTENT_TYPE}")
    lines += [f"ce-{name}: {_escaped(str(told[name]))}" for name in _HEADERS if name in told]
    return "\r\n".join([*lines, "", ""]).encode()


def _escaped(value: str) -> str:
    """As the HTTP binding has it: what is not printable ASCII, and the percent sign, in percent-encoding."""
    return quote(value, safe="!#$&'()*+,-./:;<=>?@[\\]^_`{|}~")


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
