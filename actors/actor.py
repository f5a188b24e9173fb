"""An actor, what it may use, and one life of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import nullcontext
from dataclasses import dataclass

from actors.clock import Clock
from actors.errors import AskFailed
from actors.mailbox import Letter, Mailbox, read_here
from actors.ref import Ref
from actors.supervision import StopReason


class StopSignal:
    """Given once, with its reason: seen between two messages, and cuts short what may be cut short."""

    def __init__(self) -> None:
        self.reason: StopReason | None = None
        self._scopes: list[asyncio.Timeout] = []

    def give(self, reason: StopReason) -> None:
        """From now on the actor shall stop. To be asked outweighs to have finished."""
        if self.reason is None or reason is StopReason.ASKED:
            self.reason = reason
        for scope in self._scopes:
            if scope.when() is None:
                scope.reschedule(0)

    def withdraw(self) -> None:
        self.reason = None

    async def cuts(self, work: Callable[[], Awaitable[None]]) -> bool:
        """Do `work`; True when the signal came first and `work` was cancelled, or not even begun."""
        if self.reason is not None:
            return True
        scope = asyncio.timeout(None)
        try:
            async with scope:
                self._scopes.append(scope)
                try:
                    await work()
                finally:
                    self._scopes.remove(scope)
        except TimeoutError:
            if not scope.expired():
                raise
        return scope.expired()


class Context:
    """What the runtime lends an actor for one activation."""

    def __init__(
        self,
        ref: Ref,
        clock: Clock,
        signal: StopSignal,
        children: asyncio.TaskGroup,
        notice: Callable[[BaseException], None],
    ) -> None:
        self.ref = ref
        self.clock = clock
        self.notice = notice  # tells the system's observer of an error that changes nothing
        self._signal = signal
        self._children = children
        self._living: set[asyncio.Task[None]] = set()

    @property
    def name(self) -> str:
        return self.ref.name

    @property
    def stopping(self) -> bool:
        """A stop was asked for: `on_stop` follows the present message."""
        return self._signal.reason is not None

    @property
    def has_children(self) -> bool:
        return bool(self._living)

    def spawn(self, factory: Callable[[], Coroutine[object, object, None]], name: str) -> asyncio.Task[None]:
        """Run a task that lives at most as long as this activation. Its failure is the actor's failure."""
        child = self._children.create_task(factory(), name=f"{self.name}/{name}")
        self._living.add(child)
        child.add_done_callback(self._living.discard)
        return child

    def stop(self) -> None:
        """End this actor by itself, after the present message."""
        self._signal.give(StopReason.FINISHED)

    def cancel_children(self) -> None:
        for child in self._living:
            child.cancel()


class Actor:
    """Receives one message at a time. `context` is there from `prepare` on, a new one in every activation.

    An error out of any method fails the activation, and supervision judges it. The message under way is then gone
    (its asker gets AskFailed); all others stay in the mailbox for the next activation.
    """

    context: Context

    async def prepare(self) -> None:
        """What must be true before `on_start`; for libraries of actors, such as the durable one."""

    async def on_start(self) -> None:
        """Before the first message. A stop that comes meanwhile cancels it, and `on_stop` is not called then."""

    async def receive(self, message: object) -> object:
        """Act on a message. What it returns is the answer, if the message was a question."""
        raise NotImplementedError

    async def on_stop(self) -> None:
        """Graceful end: flush, hand over. Child tasks still run and are cancelled afterwards.

        Not called when the activation failed, was fenced or timed out: then there is nothing that one may still do.
        """


@dataclass(slots=True)
class Activation:
    """One life of an actor. A restart is another one, with another actor object and the same mailbox."""

    factory: Callable[[], Actor]
    ref: Ref
    mailbox: Mailbox
    clock: Clock
    signal: StopSignal
    idle_after: float | None
    notice: Callable[[BaseException], None]
    started_at: float | None = None

    async def run(self) -> StopReason:
        """Start, serve, stop, in this order; child tasks end last. Raises what failed, alone or in a group."""
        read_here(self.mailbox)
        async with asyncio.TaskGroup() as children:
            actor = self.factory()
            actor.context = Context(self.ref, self.clock, self.signal, children, self.notice)
            if not await self.signal.cuts(lambda: self._start(actor)):
                await self._serve(actor)
                await actor.on_stop()
            actor.context.cancel_children()
        return self.signal.reason or StopReason.IDLE

    def healthy_for(self, now: float) -> float:
        """Seconds since the start was complete; 0 if it never was."""
        return 0.0 if self.started_at is None else now - self.started_at

    async def _start(self, actor: Actor) -> None:
        await actor.prepare()
        await actor.on_start()
        self.started_at = self.clock.monotonic()

    async def _serve(self, actor: Actor) -> None:
        while (letter := await self._next_letter(actor)) is not None:
            await self._deliver(actor, letter)
            await asyncio.sleep(0)  # a full mailbox must not keep the event loop from others

    async def _next_letter(self, actor: Actor) -> Letter | None:
        """The next letter; None when the actor shall stop or has been idle for long enough."""
        while self.signal.reason is None:
            if (letter := self.mailbox.take()) is not None:
                return letter
            if await self._stays_idle() and not actor.context.has_children:
                return None
        return None

    async def _stays_idle(self) -> bool:
        """Wait for a letter or the stop signal; True when neither came in time."""
        patience = nullcontext() if self.idle_after is None else self.clock.timeout(self.idle_after)
        try:
            async with patience:
                await self.signal.cuts(self.mailbox.arrival)
        except TimeoutError:
            return True
        return False

    async def _deliver(self, actor: Actor, letter: Letter) -> None:
        try:
            answer = await actor.receive(letter.message)
        except BaseException as error:
            failed = AskFailed(self.ref.name)
            failed.__cause__ = error
            letter.fail(failed)
            raise
        letter.reply(answer)
