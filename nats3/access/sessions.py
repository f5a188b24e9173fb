"""Browser sessions: a token shown once opens one, and its cookie stands for the token until it is closed or too old."""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import assert_never

from typing_extensions import override

from eventstore.event import Recorded
from eventstore.types import Registry

CHANCE = 40
"""Random bytes that a new cookie is made of: 8 for the session's id, 32 for its secret."""

LIFETIME = timedelta(hours=12)
_ID = 16
_TEXT = re.compile(r"n3s_([0-9a-f]{16})_([0-9a-f]{64})", re.ASCII)

SESSIONS = Registry()
"""The events of `session/<id>`."""


@SESSIONS.event("session_opened")
@dataclass(frozen=True, slots=True)
class SessionOpened:
    """Somebody showed this token to a browser. `digest` is the SHA-256 of the cookie's secret; `expires` is UTC."""

    token_id: str
    digest: str
    expires: datetime


@SESSIONS.event("session_closed")
@dataclass(frozen=True, slots=True)
class SessionClosed:
    """The cookie opens nothing any more."""


SessionEvent = SessionOpened | SessionClosed
OPENED, CLOSED = SESSIONS.type_of(SessionOpened), SESSIONS.type_of(SessionClosed)


@dataclass(frozen=True, slots=True)
class Cookie:
    """A session as its browser has it. Its repr shows the id alone."""

    session_id: str
    secret: str

    @property
    def text(self) -> str:
        return f"n3s_{self.session_id}_{self.secret}"

    @property
    def digest(self) -> str:
        return sha256(self.secret.encode()).hexdigest()

    @override
    def __repr__(self) -> str:
        return f"Cookie({self.session_id!r})"


@dataclass(frozen=True, slots=True)
class Session:
    """Fold of `session/<id>`."""

    session_id: str
    opened: SessionOpened
    closed: bool = False

    def opened_by(self, secret: str) -> bool:
        """Whether this is its secret; takes as long for a wrong one."""
        return hmac.compare_digest(sha256(secret.encode()).hexdigest(), self.opened.digest)

    def is_over(self, now: datetime) -> bool:
        return self.closed or self.opened.expires <= now


def bake(chance: bytes) -> Cookie:
    """A new cookie out of CHANCE random bytes."""
    text = chance[:CHANCE].hex()
    return Cookie(text[:_ID], text[_ID:])


def parse(text: str) -> Cookie | None:
    """The cookie that a text is, None when it is none."""
    found = _TEXT.fullmatch(text)
    return Cookie(found[1], found[2]) if found else None


def entity_of(session_id: str) -> str:
    return f"session/{session_id}"


def evolve(session: Session | None, recorded: Recorded) -> Session | None:
    """The session after this event of its entity; None until it is opened."""
    event: SessionEvent = SESSIONS.decode(recorded)
    match event:
        case SessionOpened():
            return Session(recorded.entity_id.partition("/")[2], event)
        case SessionClosed():
            return None if session is None else replace(session, closed=True)
        case _:
            assert_never(event)
