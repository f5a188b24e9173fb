"""Tokens: how one is written, what the log keeps of it, and what it is worth. The log never holds the secret itself."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from typing import Literal, assert_never

from typing_extensions import override

from eventstore.event import Recorded
from eventstore.types import Registry
from nats3.access.roles import Role
from nats3.access.scope import Scope
from nats3.errors import Invalid

CHANCE = 40
"""Random bytes that a new token is made of: 8 for its id, 32 for its secret."""

_ID = 16
_IS_ID = re.compile(r"[0-9a-f]{16}", re.ASCII)
_TEXT = re.compile(r"n3_([0-9a-f]{16})_([0-9a-f]{64})", re.ASCII)

TOKENS = Registry()
"""The events of `token/<id>`."""


@TOKENS.event("token_created")
@dataclass(frozen=True, slots=True)
class TokenCreated:
    """Somebody may come in. `digest` is the SHA-256 of the secret, in hex; `expires` is UTC, None: never."""

    name: str
    role: Role
    digest: str
    scope: Scope = field(default_factory=Scope)
    expires: datetime | None = None


@TOKENS.event("token_revoked")
@dataclass(frozen=True, slots=True)
class TokenRevoked:
    """From here on it opens nothing."""

    reason: str = ""


TokenEvent = TokenCreated | TokenRevoked
CREATED, REVOKED = TOKENS.type_of(TokenCreated), TOKENS.type_of(TokenRevoked)
SHOWN_WITHOUT = "digest"
"""The field that no answer shows."""


@dataclass(frozen=True, slots=True)
class Written:
    """A token as its owner has it: the id may be known, the secret may not. Its repr shows the id alone."""

    token_id: str
    secret: str

    @property
    def text(self) -> str:
        return f"n3_{self.token_id}_{self.secret}"

    @property
    def digest(self) -> str:
        return sha256(self.secret.encode()).hexdigest()

    @override
    def __repr__(self) -> str:
        return f"Written({self.token_id!r})"


@dataclass(frozen=True, slots=True)
class Token:
    """Fold of `token/<id>`."""

    token_id: str
    created: TokenCreated
    created_at: datetime
    created_by: str
    revoked_at: datetime | None = None
    version: int = 1

    def opened_by(self, secret: str) -> bool:
        """Whether this is its secret; takes as long for a wrong one."""
        return hmac.compare_digest(sha256(secret.encode()).hexdigest(), self.created.digest)

    def is_over(self, now: datetime) -> Literal["revoked", "expired"] | None:
        if self.revoked_at is not None:
            return "revoked"
        expires = self.created.expires
        return "expired" if expires is not None and expires <= now else None


def fault_of_first(role: str, ends: str | None = None) -> Invalid | None:
    """What speaks against a token as the first one. Until there is one nobody is asked; from then on only an admin makes others.

    `ends` names what gives it an end, None: it has none.
    """
    if role != "admin":
        fault = f"is {role[:40]}, and this is the first token: nobody could make another"
        return Invalid("role", fault, "make one for an admin first: nats3 token create NAME --role admin")
    if ends is not None:
        fault = "is given, and this is the first token: when it has ended nobody can make another"
        return Invalid(ends, fault, "leave it out for the first one")
    return None


def mint(chance: bytes) -> Written:
    """A new token out of CHANCE random bytes."""
    text = chance[:CHANCE].hex()
    return Written(text[:_ID], text[_ID:])


def parse(text: str) -> Written | None:
    """The token that a text is, None when it is none."""
    found = _TEXT.fullmatch(text)
    return Written(found[1], found[2]) if found else None


def is_id(text: str) -> bool:
    """Whether a token may have this id."""
    return _IS_ID.fullmatch(text) is not None


def entity_of(token_id: str) -> str:
    return f"token/{token_id}"


def evolve(token: Token | None, recorded: Recorded) -> Token | None:
    """The token after this event of its entity; None until it is made."""
    event: TokenEvent = TOKENS.decode(recorded)
    match event:
        case TokenCreated():
            return Token(recorded.entity_id.partition("/")[2], event, recorded.recorded_at, recorded.actor)
        case TokenRevoked():
            return None if token is None else replace(token, revoked_at=recorded.recorded_at, version=recorded.version)
        case _:
            assert_never(event)


def fold(events: Iterable[Recorded]) -> dict[str, Token]:
    """All tokens that these events of the log tell of, by id, in the order in which they were made."""
    found: dict[str, Token] = {}
    for event in events:
        token_id = event.entity_id.partition("/")[2]
        token = evolve(found.get(token_id), event)
        if token is not None:
            found[token_id] = token
    return found
