"""Which tokens and cookies may open something, by their digests: enough to refuse one that opens nothing without asking Postgres.

It lets nobody in. Whoever it takes for known is still looked up in the log.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from hmac import compare_digest
from typing import Protocol

from eventstore import Position, Recorded
from nats3.access import sessions, tokens
from nats3.access.sessions import SessionOpened
from nats3.access.tokens import TokenCreated

MOST = 100_000
"""So many are remembered; the oldest is forgotten first."""

_PAGE = 1000
_OF_TOKENS = frozenset({tokens.CREATED, tokens.REVOKED})


class Log(Protocol):
    async def read_log(self, after: Position, limit: int, types: Collection[str] | None = None) -> Sequence[Recorded]:
        """Raises LogUnavailable."""
        ...


@dataclass(frozen=True, slots=True)
class _Secret:
    """`until` is when it ends (UTC, None: never)."""

    digest: str
    until: datetime | None


class Known:
    """Hears of each token and session from the start on; what was made before is read from the log when it is first needed."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._secrets: OrderedDict[str, _Secret] = OrderedDict()
        self._reading = asyncio.Lock()
        self._has_read = False

    def hear(self, event: Recorded) -> None:
        """What this event of the log means here."""
        match event.type:
            case tokens.CREATED:
                made: TokenCreated = tokens.TOKENS.decode(event)
                self._keep(event.entity_id, _Secret(made.digest, made.expires))
            case sessions.OPENED:
                opened: SessionOpened = sessions.SESSIONS.decode(event)
                self._keep(event.entity_id, _Secret(opened.digest, opened.expires))
            case tokens.REVOKED | sessions.CLOSED:
                self._secrets.pop(event.entity_id, None)
            case _:
                return

    async def opens(self, bearer: str | None, cookie: str | None, now: datetime) -> bool:
        """Whether one of them may open something. Raises LogUnavailable."""
        await self._read()
        token, session = tokens.parse(bearer or ""), sessions.parse(cookie or "")
        if bearer is not None:
            return token is not None and self._fits(tokens.entity_of(token.token_id), token.digest, now)
        return session is not None and self._fits(sessions.entity_of(session.session_id), session.digest, now)

    def _fits(self, entity_id: str, digest: str, now: datetime) -> bool:
        known = self._secrets.get(entity_id)
        if known is None or not compare_digest(known.digest, digest):
            return False
        return known.until is None or known.until > now

    def _keep(self, entity_id: str, secret: _Secret) -> None:
        self._secrets[entity_id] = secret
        if len(self._secrets) > MOST:
            self._secrets.popitem(last=False)

    async def _read(self) -> None:
        """The tokens of the whole log, once. Sessions last for hours: those that are older than this node sign in again, or wait."""
        async with self._reading:
            after = Position(0)
            while not self._has_read:
                page = await self._log.read_log(after, _PAGE, _OF_TOKENS)
                for event in page:
                    self.hear(event)
                self._has_read = len(page) < _PAGE
                after = page[-1].position if page else after
