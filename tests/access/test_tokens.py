"""Tokens and sessions as values: how they are written, what the log keeps, when they are over."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from eventstore import Fence, Position, Recorded, Version
from nats3.access import sessions, tokens
from nats3.access.scope import Scope
from nats3.access.sessions import SESSIONS, SessionClosed, SessionOpened
from nats3.access.tokens import TOKENS, TokenCreated, TokenRevoked

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SCOPE = Scope(jobs=("a*",), streams=("ORDERS",), buckets=("archive-*",), subjects=("orders.>",))
EVENTS = {
    "token_created": TokenCreated("ci", "operate", "ab" * 32, SCOPE, NOW),
    "token_revoked": TokenRevoked("lost"),
    "session_opened": SessionOpened("0123456789abcdef", "cd" * 32, NOW),
    "session_closed": SessionClosed(),
}
GOLDEN = Path(__file__).parent.parent / "golden" / "access"


@pytest.mark.parametrize("name", EVENTS)
def test_a_golden_event_decodes_for_ever_and_is_what_is_written_today(name: str) -> None:
    registry = TOKENS if name in TOKENS.types() else SESSIONS
    new = registry.encode(EVENTS[name])
    written = json.loads((GOLDEN / f"{name}.v1.json").read_text())
    assert {"type": new.type, "schema_version": new.schema_version, "data": json.loads(new.text)} == written
    assert registry.decode_data(written["type"], written["schema_version"], written["data"]) == EVENTS[name]


def test_every_type_has_a_golden_file() -> None:
    assert set(EVENTS) == TOKENS.types() | SESSIONS.types() == {path.name[:-8] for path in GOLDEN.glob("*.json")}


def recorded(entity_id: str, version: int, event: object) -> Recorded:
    new = (TOKENS if type(event).__name__.startswith("Token") else SESSIONS).encode(event)
    return Recorded(
        Position(version), entity_id, Version(version), Fence(0), new.type, 1, new.event_id, NOW, UUID(int=0), "me",
        None, None, dict(new.data),
    )  # fmt: skip


def test_a_token_comes_back_from_its_text_and_its_repr_hides_the_secret() -> None:
    written = tokens.mint(bytes(range(40)))
    assert tokens.parse(written.text) == written
    assert written.secret not in repr(written)
    assert len(written.secret) == 64
    cookie = sessions.bake(bytes(range(40)))
    assert sessions.parse(cookie.text) == cookie
    assert cookie.secret not in repr(cookie)
    assert tokens.parse(cookie.text) is None
    assert sessions.parse(written.text) is None


@pytest.mark.parametrize("text", ["", "n3__", "n3_x_y", "N3_" + "0" * 16 + "_" + "0" * 64, "n3_" + "0" * 80 + "\n"])
def test_what_is_no_token_is_none(text: str) -> None:
    assert tokens.parse(text) is None


def test_a_token_is_opened_by_its_secret_alone_and_is_over_when_revoked_or_expired() -> None:
    written = tokens.mint(bytes(40))
    made = TokenCreated("ci", "read", written.digest, expires=NOW)
    token = tokens.evolve(None, recorded(f"token/{written.token_id}", 1, made))
    assert token is not None
    assert token.opened_by(written.secret)
    assert not token.opened_by(written.secret[:-1] + "1")
    assert not token.opened_by("")
    assert token.is_over(NOW - timedelta(microseconds=1)) is None
    assert token.is_over(NOW) == "expired"
    revoked = tokens.evolve(token, recorded(f"token/{written.token_id}", 2, TokenRevoked()))
    assert revoked is not None
    assert revoked.is_over(NOW - timedelta(days=1)) == "revoked"
    assert replace(token, created=replace(made, expires=None)).is_over(NOW + timedelta(days=9999)) is None


def test_a_session_is_over_when_closed_or_too_old() -> None:
    cookie = sessions.bake(bytes(40))
    opened = SessionOpened("t", cookie.digest, NOW)
    session = sessions.evolve(None, recorded(sessions.entity_of(cookie.session_id), 1, opened))
    assert session is not None
    assert session.opened_by(cookie.secret)
    assert not session.opened_by("")
    assert session.is_over(NOW)
    assert not session.is_over(NOW - timedelta(seconds=1))
    closed = sessions.evolve(session, recorded(sessions.entity_of(cookie.session_id), 2, SessionClosed()))
    assert closed is not None
    assert closed.is_over(NOW - timedelta(seconds=1))
