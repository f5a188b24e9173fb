"""Events of the log as CloudEvents 1.0."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from eventstore import Fence, Position, Recorded, Version
from nats3.job.cloudevent import Topic, attributes, body, body_without_data, header_block

LOG = "5d3f8a52-6a4e-4a55-8fd8-3f5bd1c3b0a1"


def an_event(**changes: Any) -> Recorded:
    event = Recorded(
        position=Position(42),
        entity_id="run/0d6c7f3e-7a5b-4f1e-9a52-5c1f0d1b2a3c",
        version=Version(7),
        fence=Fence(3),
        type="chunk_flushed",
        schema_version=2,
        event_id=UUID(int=1),
        recorded_at=datetime(2026, 11, 23, 3, 4, 5, 678901, UTC),
        node=UUID(int=2),
        actor="run",
        correlation_id=UUID(int=3),
        causation_position=Position(40),
        data={"count": 5, "name": "Kühe"},
    )
    return event._replace(**changes)


def test_a_whole_event() -> None:
    told = attributes(LOG, an_event(), Topic("store", "orders"))
    assert json.loads(body(told, an_event().data)) == {
        "specversion": "1.0",
        "id": f"{LOG}:42",
        "source": f"urn:nats3:log:{LOG}",
        "type": "nats3.chunk_flushed",
        "subject": "run/0d6c7f3e-7a5b-4f1e-9a52-5c1f0d1b2a3c",
        "time": "2026-11-23T03:04:05.678901Z",
        "sequence": "00000000000000000042",
        "kind": "store",
        "name": "orders",
        "entityversion": 7,
        "schemaversion": 2,
        "eventid": str(UUID(int=1)),
        "node": str(UUID(int=2)),
        "actor": "run",
        "correlationid": str(UUID(int=3)),
        "causation": "40",
        "datacontenttype": "application/json",
        "data": {"count": 5, "name": "Kühe"},
    }


def test_names_of_attributes_are_those_that_the_specification_allows() -> None:
    told = attributes(LOG, an_event(), Topic("store", "orders"))
    assert [name for name in told if not (name.isalnum() and name == name.lower() and name.isascii())] == []


def test_what_is_not_there_is_left_out() -> None:
    bare = an_event(actor="", correlation_id=None, causation_position=None)
    assert {"actor", "correlationid", "causation"}.isdisjoint(attributes(LOG, bare, Topic("store", "orders")))


def test_an_event_too_large_says_where_its_data_is() -> None:
    told = attributes(LOG, an_event(), Topic("store", "orders"))
    small = json.loads(body_without_data(told, 42))
    assert small["dataref"] == "/api/v2/events/42"
    assert {"data", "datacontenttype"}.isdisjoint(small)


def test_the_header_block_names_the_message_and_the_one_before() -> None:
    told = attributes(LOG, an_event(), Topic("store", "orders"))
    first, later = header_block(told, None).decode(), header_block(told, f"{LOG}:41").decode()
    assert first.startswith(f"NATS/1.0\r\nNats-Msg-Id: {LOG}:42\r\ncontent-type: application/cloudevents+json\r\nce-id")
    assert "Expected" not in first
    assert f"\r\nNats-Expected-Last-Msg-Id: {LOG}:41\r\n" in later
    assert later.endswith("\r\n\r\n")


def test_no_value_breaks_out_of_its_header() -> None:
    block = header_block(attributes(LOG, an_event(entity_id="a\r\nb: c %é"), Topic("store", "o")), None).decode("ascii")
    assert "\r\nce-subject: a%0D%0Ab:%20c%20%25%C3%A9\r\n" in block


@pytest.mark.parametrize(
    ("topic", "subject"),
    [
        (Topic("store", "orders"), "nats3.event.store.orders.chunk_flushed"),
        (Topic("store", "a.b *>"), "nats3.event.store.a_b_.chunk_flushed"),
        (Topic("projection", ""), "nats3.event.projection._.chunk_flushed"),
    ],
)
def test_a_subject_has_always_as_many_tokens(topic: Topic, subject: str) -> None:
    assert topic.subject("nats3.event", "chunk_flushed") == subject
