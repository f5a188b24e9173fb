"""Version 2: which events a request asks for, and how an event is told."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Any
from uuid import UUID

from pydantic_core import to_json
from starlette.requests import Request

from eventstore import OWN_TYPES, Position, Recorded
from eventstore.audit import Question
from nats3.access.sessions import SESSIONS
from nats3.access.tokens import SHOWN_WITHOUT, TOKENS
from nats3.api.errors import BadQuery
from nats3.api.reading import MAX_INT, as_uuid, int_of, text_of
from nats3.api.services import Services
from nats3.api.words import TIME_REMEDY, format_time, parse_time
from nats3.errors import Invalid
from nats3.job.history import HISTORY

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NAME = re.compile(r".+")
ENTITIES: Mapping[str, re.Pattern[str]] = {
    **dict.fromkeys(("job", "run", "survey", "walk"), _ID),
    **dict.fromkeys(("token", "session", "projection", "partition"), _NAME),
}
"""Every category that the log has, and what stands behind it."""
ENTITIES_SAID = (
    "job/<id>, run/<id>, survey/<id>, walk/<id>, token/<id>, session/<id>, projection/<name> or partition/<name>"
)
TYPES = HISTORY.types() | TOKENS.types() | SESSIONS.types() | OWN_TYPES
"""Every type of event that the log may hold."""

FILTERS = ("entity", "category", "type", "node", "actor", "correlation", "since", "until")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NS_PER_US = 1000


def question_of(request: Request) -> Question:
    """Every filter of the audit; `type` may be several, by commas or repeated. Raises BadQuery for what can match nothing."""
    since, until = time_of(request, "since"), time_of(request, "until")
    if since is not None and until is not None and since >= until:
        raise BadQuery([Invalid("since", "is not before until", "give a since that comes before until")])
    return Question(
        entity_id=_entity(request),
        category=_category(request),
        types=_types(request),
        node=uuid_in(request, "node"),
        actor=text_of(request, "actor"),
        correlation_id=uuid_in(request, "correlation"),
        since=since,
        until=until,
    )


def _types(request: Request) -> frozenset[str] | None:
    names = [name for value in request.query_params.getlist("type") for name in value.split(",")]
    for name in names:
        if name not in TYPES:
            near = get_close_matches(name, TYPES, n=1)
            remedy = f"did you mean {near[0]}?" if near else f"use {', '.join(sorted(TYPES))}"
            raise BadQuery([Invalid("type", f"{name[:40]!r} is no type of event", remedy)])
    return frozenset(names) or None


def _category(request: Request) -> str | None:
    category = text_of(request, "category")
    if category is None or category in ENTITIES:
        return category
    *most, last = ENTITIES
    raise BadQuery([Invalid("category", f"{category[:40]!r} is no kind of entity", f"use {', '.join(most)} or {last}")])


def _entity(request: Request) -> str | None:
    entity = text_of(request, "entity")
    if entity is None:
        return None
    category, _, name = entity.partition("/")
    if category in ENTITIES and ENTITIES[category].fullmatch(name):
        return entity
    raise BadQuery([Invalid("entity", f"{entity[:80]!r} is no entity", f"name it {ENTITIES_SAID}")])


def time_of(request: Request, name: str) -> datetime | None:
    """A time in the query, in whole microseconds. Raises BadQuery, Invalid."""
    text = text_of(request, name)
    return None if text is None else moment_of(name, text)


def moment_of(name: str, text: str) -> datetime:
    """The time that a text says, in UTC. A '+' that the address turned into a blank is one again."""
    micros = parse_time(name, text.replace(" ", "+") if "T" in text.upper() else text) // _NS_PER_US
    try:
        return _EPOCH + timedelta(microseconds=micros)
    except OverflowError:
        raise BadQuery([Invalid(name, "is out of range", TIME_REMEDY)]) from None


def uuid_in(request: Request, name: str) -> UUID | None:
    """An id in the query that may be left out. Raises BadQuery."""
    text = text_of(request, name)
    found = None if text is None else as_uuid(text)
    if text is not None and found is None:
        raise BadQuery([Invalid(name, f"{text[:60]!r} is no UUID", "give a UUID")])
    return found


async def position_in(services: Services, request: Request, name: str, default: int = 0) -> Position:
    """A position of the log that may be left out. Raises BadQuery for one beyond its end."""
    position = int_of(request, name, default, 0, MAX_INT)
    return await within(services, name, position)


async def as_of_in(services: Services, request: Request) -> Position | datetime | None:
    """A position (inclusive) or a time in `as_of`. Raises BadQuery, Invalid."""
    text = text_of(request, "as_of")
    if text is None:
        return None
    if text.isascii() and text.isdigit() and len(text) <= 18:  # noqa: PLR2004 - digits of a bigint
        return await within(services, "as_of", int(text))
    return moment_of("as_of", text)


async def within(services: Services, name: str, position: int) -> Position:
    if position:
        head = await services.log.head()
        if position > head:
            fault = f"{position} is beyond the end of the log at {head}"
            raise BadQuery([Invalid(name, fault, "use a position that an answer gave")])
    return Position(position)


def event_json(event: Recorded) -> bytes:
    """How an event is told."""
    return to_json(_event_body(event))


def events_json(events: Sequence[Recorded]) -> bytes:
    """How several are told: a list."""
    return to_json([_event_body(event) for event in events])


def _event_body(event: Recorded) -> dict[str, Any]:
    data = event.data
    return {
        "position": event.position,
        "entity_id": event.entity_id,
        "version": event.version,
        "type": event.type,
        "schema_version": event.schema_version,
        "event_id": event.event_id,
        "recorded_at": format_time(event.recorded_at),
        "node": event.node,
        "actor": event.actor,
        "correlation_id": event.correlation_id,
        "causation_position": event.causation_position,
        "data": {name: data[name] for name in data if name != SHOWN_WITHOUT} if SHOWN_WITHOUT in data else data,
    }
