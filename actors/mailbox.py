"""Two lanes of letters: control, which is never blocked and comes first, and data, which is bounded.

**The rule against deadlock**: data flows one way. Between two actors only one direction may use the data lane; what
goes back (answers, credits, pauses) uses the control lane, which never waits. Who breaks the rule does not hang: a
send that would close a circle of actors, each waiting in its own `receive` for room in the next one's mailbox, raises
WouldDeadlock instead of waiting. A child task may wait as long as it likes, because its actor goes on receiving.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from actors.errors import MailboxClosed, WouldDeadlock


@dataclass(frozen=True, slots=True, eq=False)
class Letter:
    """A message and, if it is a question, where its answer goes."""

    message: object
    answer: asyncio.Future[object] | None = None

    @property
    def is_moot(self) -> bool:
        """Its asker has gone: nobody waits for an answer."""
        return self.answer is not None and self.answer.done()

    def reply(self, value: object) -> None:
        if self.answer is not None and not self.answer.done():
            self.answer.set_result(value)

    def fail(self, error: Exception) -> None:
        if self.answer is not None:
            _fail(self.answer, error)


class Mailbox:
    """Any number of senders, one reader. `bound` counts letters of the data lane; those who wait hold theirs."""

    def __init__(self, name: str, bound: int = 256) -> None:
        self.name = name
        self.bound = bound
        self._control: deque[Letter] = deque()
        self._data: deque[Letter] = deque()
        self._senders: deque[tuple[asyncio.Future[None], Letter]] = deque()
        self.waits_for: list[Mailbox] = []  # while its reader stands still
        self._arrived = asyncio.Event()
        self._closed = False

    def __repr__(self) -> str:  # pyright: ignore[reportImplicitOverride]  typing.override is younger than 3.11
        return f"<Mailbox {self.name} control={len(self._control)} data={len(self._data)}/{self.bound}>"

    def __len__(self) -> int:
        """Letters inside, both lanes."""
        return len(self._control) + len(self._data)

    @property
    def waiting_senders(self) -> int:
        return len(self._senders)

    def put_control(self, letter: Letter) -> None:
        """Take the letter now, whatever else is inside. Raises MailboxClosed."""
        self._must_be_open()
        self._control.append(letter)
        self._arrived.set()

    async def put_data(self, letter: Letter) -> None:
        """Wait for room, first come first served. Raises MailboxClosed, also while it waits, and WouldDeadlock."""
        self._must_be_open()
        if len(self._data) < self.bound:
            self._data.append(letter)
            self._arrived.set()
            return
        with self.awaited():
            await self._queue_up(letter)

    @contextmanager
    def awaited(self) -> Generator[None]:
        """While inside, the current task waits for this mailbox's reader. Raises WouldDeadlock if that waits for it."""
        sender = read_by_current_task()
        if sender is None:
            yield
            return
        if (path := self.path_to(sender, [])) is not None:
            raise WouldDeadlock([sender.name, *path])
        sender.waits_for.append(self)
        try:
            yield
        finally:
            sender.waits_for.remove(self)

    def take(self) -> Letter | None:
        """The next letter whose asker still waits, control first; None when there is none."""
        while len(self):
            letter = self._control.popleft() if self._control else self._take_data()
            if not letter.is_moot:
                return letter
        return None

    async def arrival(self) -> None:
        """Return once there is a letter inside."""
        while not len(self):
            self._arrived.clear()
            await self._arrived.wait()

    def close(self) -> list[object]:
        """Take no more letters: askers and waiting senders are told. Return the messages that nobody will hear of."""
        self._closed = True
        left = [*self._control, *self._data]
        self._control.clear()
        self._data.clear()
        for turn, _ in self._senders:
            _fail(turn, MailboxClosed(self.name))
        self._senders.clear()
        for letter in left:
            letter.fail(MailboxClosed(self.name))
        return [letter.message for letter in left if letter.answer is None]

    def _must_be_open(self) -> None:
        if self._closed:
            raise MailboxClosed(self.name)

    async def _queue_up(self, letter: Letter) -> None:
        turn = asyncio.get_running_loop().create_future()
        place = (turn, letter)
        self._senders.append(place)
        try:
            await turn
        finally:
            # Cancelled while waiting: the letter goes with its sender.
            if place in self._senders:
                self._senders.remove(place)

    def _take_data(self) -> Letter:
        """Take one out and hand its room to whoever waits longest, so that no newcomer can overtake."""
        letter = self._data.popleft()
        while self._senders:
            turn, waiting = self._senders.popleft()
            if not turn.done():
                self._data.append(waiting)
                turn.set_result(None)
                break
        return letter

    def path_to(self, goal: Mailbox, seen: list[Mailbox]) -> list[str] | None:
        """Names from here to `goal` along who waits for whom; None when there is no such way."""
        if self is goal:
            return [self.name]
        for following in self.waits_for:
            rest = following.path_to(goal, [*seen, self]) if following not in seen else None
            if rest is not None:
                return [self.name, *rest]
        return None


def _fail(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()  # read once, so that asyncio does not complain when its waiter is cancelled just now


_reader: ContextVar[tuple[asyncio.Task[object] | None, Mailbox] | None] = ContextVar("_reader", default=None)


def read_here(mailbox: Mailbox) -> None:
    """From now on the current task is the mailbox's reader."""
    _reader.set((asyncio.current_task(), mailbox))


def read_by_current_task() -> Mailbox | None:
    """The mailbox that nobody reads while the current task waits; a task that the reader made inherits nothing."""
    task, mailbox = _reader.get() or (None, None)
    return mailbox if task is asyncio.current_task() else None
