"""The entrance: who comes in, with which token.

The log is asked anew for every request, so that what was revoked on one node opens nothing on any other from its commit
on. Remembered is only that tokens exist at all, which never changes back.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import reduce
from hmac import compare_digest
from time import monotonic
from typing import Protocol

from eventstore import LogRewound, LogUnavailable, Position, Recorded, Version
from nats3.access import sessions, tokens
from nats3.access.sessions import Session
from nats3.access.tokens import Token
from nats3.api.callers import EVERYBODY, Caller
from nats3.api.errors import TooOften, Unauthenticated
from nats3.api.known import Known
from nats3.api.rates import Rate, Rates

REFUSALS = Rate(per_second=5, burst=20)
"""How often one address may come with a token that opens nothing.

A secret has 256 random bits and is found at no rate: what this keeps is Postgres, which is asked about each. Who comes too often is
therefore held against digests in memory first. What opens something passes, so that nobody who guesses shuts out who comes
from the same address; every other is told the same and costs nothing.
"""

_AGAIN_S = 1.0
_BEGIN = Version(0)
_PAGE = 100
_REMEMBERED = 1000
_ASK = "send a token: `Authorization: Bearer n3_...`; `nats3 token create` makes one"
_ENDS = frozenset({tokens.REVOKED, sessions.CLOSED})


class Log(Protocol):
    """Reads the event log. Every method raises LogUnavailable."""

    async def read(self, entity_id: str, after: Version, limit: int) -> list[Recorded]: ...

    async def read_log(self, after: Position, limit: int, types: Collection[str] | None = None) -> list[Recorded]: ...

    async def head(self) -> Position: ...


class Follower(Protocol):
    def follow(self, after: Position) -> AsyncGenerator[Sequence[Recorded]]: ...


class Entrance:
    """Knows who asks. `required` asks for a token always; else only once there is one in the log.

    `now` is the wall clock in UTC, by which tokens expire; `rates` bound how often each may ask.
    """

    def __init__(self, log: Log, *, required: bool, now: Callable[[], datetime], rates: Rates, refusals: Rates) -> None:
        self._log = log
        self._required = required
        self.now = now
        self.rates = rates
        self._refusals = refusals
        self._known = Known(log)
        self._tokens_exist = False
        self._inside: dict[str, set[asyncio.Timeout]] = defaultdict(set)
        self._lately: OrderedDict[str, tuple[str, Caller]] = OrderedDict()

    @classmethod
    def open(cls, log: Log, *, required: bool, per_second: float) -> Entrance:
        """An entrance by this machine's clocks; `per_second` requests of each token are let in, 0: any."""
        return cls(
            log,
            required=required,
            now=lambda: datetime.now(UTC),  # noqa: TID251 - the border: tokens expire by the wall clock
            rates=Rates(Rate(per_second, round(2 * per_second)), monotonic),
            refusals=Rates(REFUSALS, monotonic),
        )

    @property
    def asks(self) -> bool:
        """Whether a token is needed for what is not open to all."""
        return self._required or self._tokens_exist

    async def look(self) -> Position:
        """Learn whether tokens exist, and from where on `watch` must follow. Raises LogUnavailable."""
        head = await self._log.head()
        self._tokens_exist = bool(await self._log.read_log(Position(0), 1, {tokens.CREATED})) or self._tokens_exist
        return head

    async def watch(self, tail: Follower, after: Position) -> None:
        """Follow the log for ever: notice the first token, and show out whose token or session was ended."""
        while True:
            try:
                async with aclosing(tail.follow(after)) as pages:
                    async for page in pages:
                        after = page[-1].position
                        self.hear(page)
            except LogRewound:
                after = await self._begin_anew()

    def exist(self) -> None:
        """A token was made: from now on everybody is asked for one."""
        self._tokens_exist = True

    def hear(self, page: Collection[Recorded]) -> None:
        """What these events of the log mean here."""
        for event in page:
            self._known.hear(event)
            if event.type == tokens.CREATED:
                self.exist()
            elif event.type in _ENDS:
                self._lately.pop(event.entity_id, None)
                for limit in self._inside.get(event.entity_id, ()):
                    limit.reschedule(asyncio.get_running_loop().time())

    async def admit(self, bearer: str | None, cookie: str | None, address: str) -> Caller:
        """Who this is. Raises Unauthenticated, TooOften, LogUnavailable. `address` is where the request came from."""
        if bearer is None and cookie is None:
            if self.asks:
                raise Unauthenticated(_ASK)
            return EVERYBODY
        wait = self._refusals.wait_now(address)
        if wait and not await self._known.opens(bearer, cookie, self.now()):
            raise TooOften(wait)
        try:
            caller = await (self._by_token(bearer) if bearer is not None else self._by_cookie(cookie or ""))
        except Unauthenticated:
            self._refusals.wait_of(address)
            raise
        self._count(caller.principal)
        return caller

    def remembered(self, bearer: str | None) -> Caller | None:
        """Whom this token let in before Postgres went away: for what needs no Postgres, and nothing else."""
        written = tokens.parse(bearer or "")
        if written is None:
            return None
        digest, caller = self._lately.get(tokens.entity_of(written.token_id), ("", None))
        if caller is None or not compare_digest(digest, written.digest):
            return None
        return None if caller.until is not None and caller.until <= self.now() else caller

    @asynccontextmanager
    async def inside(self, caller: Caller) -> AsyncGenerator[None]:
        """What is done for a caller ends when what they came in by does. Raises Unauthenticated then."""
        names = [tokens.entity_of(caller.token_id)] if caller.token_id else []
        names += [sessions.entity_of(caller.session_id)] if caller.session_id else []
        if not names:
            yield
            return
        limit = asyncio.timeout_at(self._deadline(caller))
        try:
            async with limit:
                for name in names:
                    self._inside[name].add(limit)
                try:
                    yield
                finally:
                    self._forget(names, limit)
        except TimeoutError:
            if limit.expired():
                raise Unauthenticated("the token was revoked or has expired meanwhile") from None
            raise

    async def token(self, token_id: str) -> Token | None:
        """A token as the log has it. Raises LogUnavailable."""
        events = await self._log.read(tokens.entity_of(token_id), _BEGIN, _PAGE)
        return reduce(tokens.evolve, events, None)

    async def session(self, session_id: str) -> Session | None:
        """A session as the log has it. Raises LogUnavailable."""
        events = await self._log.read(sessions.entity_of(session_id), _BEGIN, _PAGE)
        return reduce(sessions.evolve, events, None)

    async def _begin_anew(self) -> Position:
        """What was heard of the log is of one that is no more: whoever is inside comes in again, by what there is now."""
        self._lately.clear()
        for limit in {limit for limits in self._inside.values() for limit in limits}:
            limit.reschedule(asyncio.get_running_loop().time())
        while True:
            try:
                return await self.look()
            except LogUnavailable:
                await asyncio.sleep(_AGAIN_S)

    async def _by_token(self, text: str) -> Caller:
        written = tokens.parse(text)
        token = await self.token(written.token_id) if written else None
        if written is None or token is None or not token.opened_by(written.secret):
            raise Unauthenticated("the token opens nothing here")
        caller = self._caller(token)
        self._lately[tokens.entity_of(token.token_id)] = (written.digest, caller)
        if len(self._lately) > _REMEMBERED:
            self._lately.popitem(last=False)
        return caller

    async def _by_cookie(self, text: str) -> Caller:
        cookie = sessions.parse(text)
        session = await self.session(cookie.session_id) if cookie else None
        if cookie is None or session is None or not session.opened_by(cookie.secret) or session.is_over(self.now()):
            raise Unauthenticated("the session is over: sign in again at /login")
        token = await self.token(session.opened.token_id)
        if token is None:
            raise Unauthenticated("the session is over: sign in again at /login")
        caller = self._caller(token)
        until = min(session.opened.expires, caller.until or session.opened.expires)
        return replace(caller, until=until, session_id=session.session_id)

    def _caller(self, token: Token) -> Caller:
        over = token.is_over(self.now())
        if over is not None:
            raise Unauthenticated(f"the token {'has expired' if over == 'expired' else 'was revoked'}: make another")
        said = token.created
        return Caller(f"token/{token.token_id}", said.role, said.scope, said.expires, token.token_id)

    def _count(self, principal: str) -> None:
        wait = self.rates.wait_of(principal)
        if wait:
            raise TooOften(wait)

    def _deadline(self, caller: Caller) -> float | None:
        if caller.until is None:
            return None
        return asyncio.get_running_loop().time() + (caller.until - self.now()).total_seconds()

    def _forget(self, names: Sequence[str], limit: asyncio.Timeout) -> None:
        for name in names:
            self._inside[name].discard(limit)
            if not self._inside[name]:
                del self._inside[name]
