"""The memory that messages on their way may take in this process: one budget, an account for each job.

Nobody waits for memory that would never come back: what is sealed is settled without asking for more, and while little of
what is held is on its way, the largest open chunk is flushed for those who wait.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from typing_extensions import override

OVERHEAD = 240
"""Bytes that a message in a batch takes beside its own: five objects, and their places in five columns."""

_ENOUGH = 4
"""While a quarter of the budget is on its way to the bucket, those who are short wait for that."""

_PARTS = 2
"""One job alone may have a half, so that the next one finds room to begin."""


@dataclass(frozen=True, slots=True)
class _Turn:
    """Somebody waits for `size` bytes."""

    account: Account
    size: int
    granted: asyncio.Future[None]


class Budget:
    """`total` bytes for all accounts together. Belongs to one event loop."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.held = 0
        self._accounts: list[Account] = []
        self._waiting: deque[_Turn] = deque()

    @override
    def __repr__(self) -> str:
        return f"<Budget {self.held} of {self.total}, {len(self._accounts)} accounts, {len(self._waiting)} wait>"

    @property
    def most(self) -> int:
        """What one job may take, and so the largest message that fits at all."""
        return self.total // _PARTS

    @property
    def share(self) -> int:
        """What each job may have whoever waits."""
        return self.total // max(_PARTS, len(self._accounts))

    @property
    def crowded(self) -> bool:
        """Whether anybody waits."""
        return bool(self._waiting)

    def account(self, name: str, flush: Callable[[], None] | None = None) -> Account:
        """A new account, to be closed. `flush` is called when somebody is short and its open chunk is the largest."""
        account = Account(self, name, flush)
        self._accounts.append(account)
        return account

    def may_have(self, account: Account, wanted: int, least: int) -> int:
        """How much of `wanted` the account may take now; 0 when that is less than `least`."""
        others_first = bool(self._waiting) and account.held + least > self.share
        free = 0 if others_first else self.total - self.held
        granted = min(wanted, self.most - account.held, free)
        return granted if granted >= least else 0

    def moved(self, account: Account, size: int) -> None:
        """The account holds `size` more, or less."""
        account.held += size
        self.held += size
        if size < 0:
            self._let_on()

    def queue(self, account: Account, size: int) -> asyncio.Future[None]:
        """Ends when the account was given `size`; cancel it to wait no more."""
        turn = _Turn(account, size, asyncio.get_running_loop().create_future())
        self._waiting.append(turn)
        self._let_on()
        return turn.granted

    def _let_on(self) -> None:
        """Give to those who wait, in turn; who waits for memory of his own holds nobody up."""
        for turn in list(self._waiting):
            account = turn.account
            if turn.granted.done():
                self._waiting.remove(turn)
            elif self.held + turn.size > self.total:
                return self._relieve()
            elif account.held + turn.size <= self.most:
                self._waiting.remove(turn)
                self.moved(account, turn.size)
                turn.granted.set_result(None)
            elif not account.under_way:
                account.let_go()
        return None

    def _relieve(self) -> None:
        """Somebody is short: have the largest open chunk flushed, unless enough is on its way to come back by itself."""
        if _ENOUGH * sum(account.under_way for account in self._accounts) < self.total:
            max(self._accounts, key=lambda account: account.open_bytes).let_go()

    def forget(self, account: Account) -> None:
        self._accounts.remove(account)
        self.moved(account, -account.held)


class Account:
    """What one job has of the budget; a context manager, which closes it."""

    def __init__(self, budget: Budget, name: str, flush: Callable[[], None] | None) -> None:
        self.budget = budget
        self.name = name
        self.flush = flush
        self.held = 0
        self.open_bytes = 0
        """How much of it lies in a chunk that could be flushed; whoever holds it says so."""
        self.coming = 0
        """How much of it is reserved for what was asked for."""

    @override
    def __repr__(self) -> str:
        return f"<Account {self.name} held={self.held} open={self.open_bytes}>"

    @property
    def under_way(self) -> int:
        """How much of it comes back by itself."""
        return max(0, self.held - self.open_bytes - self.coming)

    def let_go(self) -> None:
        """Have the open chunk flushed."""
        if self.open_bytes > 0 and self.flush is not None:
            self.flush()

    def take(self, wanted: int, least: int = 1) -> int:
        """So much of `wanted` as there is now, at least `least`; or 0."""
        granted = self.budget.may_have(self, wanted, least)
        self.budget.moved(self, granted)
        return granted

    def hold(self, size: int) -> None:
        """So much is held in any case: a by-product of what was taken, such as the compressed frames of a batch."""
        self.budget.moved(self, size)

    def give(self, size: int) -> None:
        """So much is held no more."""
        self.budget.moved(self, -size)

    async def obtain(self, size: int) -> int:
        """Take `size`, or all that one job may have when that is less, waiting in turn for it; what was taken."""
        size = min(size, self.budget.most)
        granted = self.budget.queue(self, size)
        try:
            await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled():
                self.give(size)
            raise
        return size

    def close(self) -> None:
        """Everything is given back."""
        self.open_bytes = self.coming = 0
        self.budget.forget(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
