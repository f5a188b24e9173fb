"""What others hold of an actor: a name and a way to send."""

from __future__ import annotations

import asyncio

from actors.clock import Clock
from actors.errors import AskTimeout
from actors.mailbox import Letter, Mailbox


class Ref:
    """Outlives restarts and passivation of its actor, but not its end: then every method raises MailboxClosed."""

    __slots__ = ("_clock", "_mailbox")

    def __init__(self, mailbox: Mailbox, clock: Clock) -> None:
        self._mailbox = mailbox
        self._clock = clock

    def __repr__(self) -> str:  # pyright: ignore[reportImplicitOverride]  typing.override is younger than 3.11
        return f"<Ref {self.name}>"

    @property
    def name(self) -> str:
        return self._mailbox.name

    def tell(self, message: object) -> None:
        """Send on the control lane: never waits, overtakes data. For what is small and rare."""
        self._mailbox.put_control(Letter(message))

    async def tell_data(self, message: object) -> None:
        """Send on the data lane: waits while the mailbox is at its bound. Raises WouldDeadlock rather than hang."""
        await self._mailbox.put_data(Letter(message))

    async def ask(self, message: object, timeout: float) -> object:  # noqa: ASYNC109  the deadline is part of the question
        """Send on the control lane and return what `receive` returns, within `timeout` seconds.

        Raises AskTimeout; AskFailed when the actor failed over it; MailboxClosed when it ended first; WouldDeadlock
        when the actor waits for the asker. A question whose asker has gone is not delivered any more.
        """
        answer: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        with self._mailbox.awaited():
            self._mailbox.put_control(Letter(message, answer))
            try:
                async with self._clock.timeout(timeout):
                    return await answer
            except TimeoutError:
                raise AskTimeout(self.name, timeout) from None
