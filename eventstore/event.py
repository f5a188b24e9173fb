"""What is written and what was written: events, appends and their outcomes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, NewType, TypeAlias
from uuid import UUID, uuid4

from eventstore.errors import Unstorable

Version = NewType("Version", int)
"""Place of an event in its entity, from 1; 0 is an entity without events."""

Position = NewType("Position", int)
"""Place of an event in the whole log, from 1, rising in the order of commits, with holes; 0 is before the first."""

Fence = NewType("Fence", int)
"""Number given by a claim; 0 is an entity that was never claimed."""

NodeId = NewType("NodeId", UUID)
"""One run of one program that writes to the log."""

MAX_EVENT_BYTES = 1 << 20

MAX_ENTITY_BYTES = 1024
"""Of an entity's id in UTF-8: it stands in indexes, and a row of an index of Postgres ends at some 2,700 bytes."""


@dataclass(frozen=True, slots=True)
class NewEvent:
    """Something that happened, not yet recorded. `data` is JSON: a dict of str, int, float, bool, None, list, dict.

    Raises Unstorable for what Postgres could not keep or give back as it was.
    """

    type: str
    data: Mapping[str, Any]
    schema_version: int = 1
    event_id: UUID = field(default_factory=uuid4)
    text: str = field(init=False, repr=False, compare=False)
    """Canonical JSON of `data`: sorted keys, no blanks; what is stored, hashed and counted."""

    def __post_init__(self) -> None:
        must_be_plain("type", self.type)
        object.__setattr__(self, "text", canonical(self.data))


class Recorded(NamedTuple):
    """An event of the log. `recorded_at` is the database's clock in UTC, never below that of a lower position."""

    position: Position
    entity_id: str
    version: Version
    fence: Fence
    type: str
    schema_version: int
    event_id: UUID
    recorded_at: datetime
    node: UUID
    actor: str
    correlation_id: UUID | None
    causation_position: Position | None
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Append:
    """Events that belong behind version `expected` of one entity, written by the holder of `fence`.

    `actor` says who, in the words of the product; `correlation_id` and `causation_position` say why.
    """

    entity_id: str
    expected: Version
    fence: Fence
    events: tuple[NewEvent, ...]
    actor: str = ""
    correlation_id: UUID | None = None
    causation_position: Position | None = None

    def __post_init__(self) -> None:
        must_be_entity(self.entity_id)
        must_be_plain("actor", self.actor, empty=True)
        if not self.events:
            raise Unstorable("events", "an append without events says nothing")
        if self.expected < 0 or self.fence < 0:
            raise Unstorable("expected", "versions and fences count from 0")

    @property
    def bytes(self) -> int:
        """How much JSON it writes, in characters."""
        return sum(len(event.text) for event in self.events)


@dataclass(frozen=True, slots=True)
class Appended:
    """It is in the log, durably; `version` is the entity's now."""

    entity_id: str
    version: Version
    first: Position
    last: Position


@dataclass(frozen=True, slots=True)
class Conflict:
    """Nothing was written: the entity is not at the version expected, but at `actual`."""

    entity_id: str
    actual: Version


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was written: the entity was claimed again (or Postgres restarted since the claim); its fence is `fence`."""

    entity_id: str
    fence: Fence


Outcome: TypeAlias = Appended | Conflict | Refused


def canonical(data: Mapping[str, Any]) -> str:
    """One text for equal values, the same before and after a journey through jsonb.

    A float that is a whole number is written as one, because jsonb keeps numbers, not their Python type.
    """
    try:
        text = _DENSE.encode(data if isinstance(data, dict) else dict(data))
        if _has_whole_float(text):
            text = _DENSE.encode(_whole(data))
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise Unstorable("data", str(error)) from error
    if _NUL.search(text):
        raise Unstorable("data", "text with a NUL character cannot be kept")
    if len(text) > MAX_EVENT_BYTES:
        raise Unstorable("data", f"{len(text)} characters of JSON are more than {MAX_EVENT_BYTES}")
    return text


def must_be_plain(name: str, text: str, *, empty: bool = False) -> None:
    """Raise Unstorable unless Postgres can keep `text` as it is."""
    if not (text or empty):
        raise Unstorable(name, "must not be empty")
    if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise Unstorable(name, "has a character that Postgres cannot keep")


def must_be_entity(entity_id: str) -> None:
    """Raise Unstorable unless an entity may have this id."""
    must_be_plain("entity_id", entity_id)
    size = len(entity_id.encode())
    if size > MAX_ENTITY_BYTES:
        raise Unstorable("entity_id", f"{size} bytes are more than {MAX_ENTITY_BYTES}")


_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_DENSE = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))


def _has_whole_float(text: str) -> bool:
    return ".0" in text or "e+" in text


def _whole(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    match value:
        case float() if value.is_integer():
            return int(value)
        case dict():
            return {key: _whole(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_whole(inner) for inner in value]
        case _:
            return value
