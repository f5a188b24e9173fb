"""The system: starts actors by name, supervises them one for one, stops them in reverse order within a bound."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from types import TracebackType
from typing import Literal, Protocol, Self, assert_never

from actors.actor import Activation, Actor, StopSignal
from actors.clock import Clock, SystemClock
from actors.errors import (
    AlreadyRunning,
    Classify,
    Kind,
    StrayCancellation,
    SystemStopping,
    Undelivered,
    WouldDeadlock,
    classify,
    gravest,
)
from actors.mailbox import Mailbox, read_by_current_task
from actors.ref import Ref
from actors.supervision import Failure, GiveUp, Restart, RestartPolicy, Stop, StopReason

# More than any window of the law can hold, less than a week of outage would pile up.
_FAILURES_KEPT = 100


class Observer(Protocol):
    """Hears what becomes of actors. Called in the middle of supervision: note it, hand it over, return; never raise."""

    def on_restarted(self, name: str, error: BaseException, kind: Kind, delay: float) -> None:
        """An activation failed; the next one begins after `delay` seconds."""
        ...

    def on_failed(self, name: str, error: BaseException) -> None:
        """Supervision gave the actor up; its name is free again as soon as another task runs."""
        ...

    def on_stopped(self, name: str, reason: StopReason) -> None:
        """The actor ended without failure, or was passivated (IDLE)."""
        ...

    def on_noticed(self, name: str, error: BaseException) -> None:
        """Something that changes no fate but should be known: a failure while stopping, undelivered messages."""
        ...


class Unobserved:
    """An Observer that lets everything pass; also a base for those who care for one thing only."""

    def on_restarted(self, name: str, error: BaseException, kind: Kind, delay: float) -> None: ...

    def on_failed(self, name: str, error: BaseException) -> None: ...

    def on_stopped(self, name: str, reason: StopReason) -> None: ...

    def on_noticed(self, name: str, error: BaseException) -> None: ...


@dataclass(frozen=True, slots=True)
class _Order:
    """What `start` was told about one actor."""

    factory: Callable[[], Actor]
    policy: RestartPolicy
    bound: int
    idle_after: float | None
    group: str


class _Cell:
    """One name: its mailbox, its activations one after the other, and its end."""

    def __init__(self, system: ActorSystem, name: str, order: _Order) -> None:
        self.name = name
        self.order = order
        self.mailbox = Mailbox(name, order.bound)
        self.ref = Ref(self.mailbox, system.clock)
        self.signal = StopSignal()
        self.ended = asyncio.Event()
        self._system = system
        self._observer = system.observer
        self._failures: list[Failure] = []
        self._task: asyncio.Task[None] | None = None
        self._killed = False

    def begin(self, tasks: asyncio.TaskGroup) -> None:
        self._task = tasks.create_task(self._live(), name=self.name)
        # Not a `finally` of the task: one that is cancelled before its first step runs nothing at all.
        self._task.add_done_callback(self._end)

    def kill(self) -> None:
        """Cancel the actor where it stands."""
        self._killed = True
        self.signal.give(StopReason.ASKED)
        if self._task is not None:
            self._task.cancel()

    async def _live(self) -> None:
        """Activate until something ends this actor for good."""
        while not await self._one_life():
            pass

    async def _one_life(self) -> bool:
        """One activation and what follows from its end; True when no other shall follow."""
        life = Activation(
            self.order.factory,
            self.ref,
            self.mailbox,
            self._system.clock,
            self.signal,
            self.order.idle_after,
            self._notice,
        )
        try:
            reason = await self._apart(life)
        except Exception as error:  # noqa: BLE001  every failure of an actor is judged: that is what supervision is
            return await self._failed(life, error)
        if reason is StopReason.IDLE:
            self._observer.on_stopped(self.name, reason)
            return await self._stopped_during(self.mailbox.arrival)
        return self._stopped(reason)

    async def _apart(self, life: Activation) -> StopReason:
        """Run the activation in a task of its own; only a cancellation of this one is raised as such.

        Before Python 3.13 a TaskGroup whose child fails late leaves its task marked as cancelled, or cancels what that
        task does next. These marks end with the activation, so they end neither the pause nor the next one.
        """
        ends: list[StopReason | BaseException] = []

        async def keep_end() -> None:
            try:
                ends.append(await life.run())
            except BaseException as error:  # noqa: BLE001  raised below, where no TaskGroup can wrap it
                ends.append(error)

        async with asyncio.TaskGroup() as alone:
            alone.create_task(keep_end(), name=self.name)
        if isinstance(ends[0], asyncio.CancelledError):
            raise StrayCancellation(self.name)
        if isinstance(ends[0], BaseException):
            raise ends[0]
        return ends[0]

    async def _failed(self, life: Activation, error: Exception) -> bool:
        cause, kind = gravest(error, self._system.classify)
        if self.signal.reason is StopReason.ASKED:
            if kind is not Kind.FENCED:
                self._notice(cause)
            return self._stopped(StopReason.FENCED if kind is Kind.FENCED else StopReason.ASKED)
        self.signal.withdraw()  # an actor that failed has not finished, whatever it said
        now = self._system.clock.monotonic()
        self._failures = [*self._failures[-_FAILURES_KEPT:], Failure(kind, now, life.healthy_for(now))]
        verdict = self.order.policy.judge(self._failures, now, self._system.chance())
        match verdict:
            case Restart(delay):
                self._observer.on_restarted(self.name, cause, kind, delay)
                return await self._stopped_during(lambda: self._system.clock.sleep(delay))
            case GiveUp():
                self._observer.on_failed(self.name, cause)
                return True
            case Stop():
                return self._stopped(StopReason.FENCED)
            case _:
                assert_never(verdict)

    async def _stopped_during(self, pause: Callable[[], Awaitable[None]]) -> bool:
        """Wait between two activations; True when a stop came meanwhile."""
        if await self.signal.cuts(pause):
            return self._stopped(StopReason.ASKED)
        return False

    def _notice(self, error: BaseException) -> None:
        self._observer.on_noticed(self.name, error)

    def _stopped(self, reason: StopReason) -> Literal[True]:
        self._observer.on_stopped(self.name, StopReason.TIMED_OUT if self._killed else reason)
        return True

    def _end(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            self._stopped(StopReason.TIMED_OUT)
        if left := self.mailbox.close():
            self._notice(Undelivered(self.name, left))
        self._system.forget(self)
        self.ended.set()


class ActorSystem:
    """Actors by name, at most one of a name. Leaving the block stops them all, within `stop_within` seconds."""

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        classify: Classify = classify,
        observer: Observer | None = None,
        chance: Callable[[], float] = random.random,
        stop_within: float = 25.0,
    ) -> None:
        self.clock = clock or SystemClock()
        self.classify = classify
        self.observer = observer or Unobserved()
        self.chance = chance
        self._stop_within = stop_within
        self._cells: dict[str, _Cell] = {}  # in the order of their start
        self._tasks = asyncio.TaskGroup()
        self._stopping = False

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.stop_all(self._stop_within)
        finally:
            self._kill(self._cells.values())
            # The group may have cancelled the block itself and must see that; the block's own error stays as it is.
            cancelled = isinstance(error, asyncio.CancelledError)
            await self._tasks.__aexit__(*((kind, error, trace) if cancelled else (None, None, None)))

    async def start(
        self,
        name: str,
        factory: Callable[[], Actor],
        *,
        policy: RestartPolicy = RestartPolicy(),  # noqa: B008  a frozen value
        bound: int = 256,
        idle_after: float | None = None,
        group: str = "",
    ) -> Ref:
        """Begin an actor; return before its `on_start` is through, messages wait. `factory` makes each activation.

        `bound`: letters of the data lane. `idle_after` seconds without a message or a living child task the actor is
        passivated: stopped, and activated again by its next message. Neighbours in the order of start that share a
        `group` stop together. Raises AlreadyRunning and SystemStopping.
        """
        if self._stopping:
            raise SystemStopping(name)
        if name in self._cells:
            raise AlreadyRunning(name)
        cell = self._cells[name] = _Cell(self, name, _Order(factory, policy, bound, idle_after, group))
        cell.begin(self._tasks)
        return cell.ref

    def find(self, name: str) -> Ref | None:
        """The actor of that name, if it has not ended."""
        cell = self._cells.get(name)
        return cell and cell.ref

    def names(self) -> list[str]:
        """Of all that have not ended, in the order of their start."""
        return list(self._cells)

    async def stop(self, name: str, timeout: float) -> None:  # noqa: ASYNC109  a bound on another task's life
        """Let the actor finish its message and `on_stop`; cancel it after `timeout` seconds, at once when that is 0.

        Returns when it has ended, also when there was none.
        """
        if cell := self._cells.get(name):
            await self._stop([cell], timeout)

    async def stop_all(self, timeout: float) -> None:  # noqa: ASYNC109  see stop
        """Stop every actor, the last started first, each after the one before has ended; start no more.

        After `timeout` seconds cancel all that are left.
        """
        self._stopping = True
        await self._stop(list(reversed(self._cells.values())), timeout)

    def forget(self, cell: _Cell) -> None:
        """Free the name of an actor that has ended."""
        del self._cells[cell.name]

    async def _stop(self, cells: Sequence[_Cell], timeout: float) -> None:  # noqa: ASYNC109  see stop
        own = read_by_current_task()
        if any(cell.mailbox is own for cell in cells):
            raise WouldDeadlock([cell.name for cell in cells if cell.mailbox is own] * 2)
        try:
            if timeout > 0:
                async with self.clock.timeout(timeout):
                    await self._stop_in_order(cells)
        except TimeoutError:
            pass  # those left are cancelled below; each is reported as timed out
        left = [cell for cell in cells if not cell.ended.is_set()]
        self._kill(left)
        for cell in left:
            await cell.ended.wait()

    async def _stop_in_order(self, cells: Sequence[_Cell]) -> None:
        for _, together in groupby(cells, key=lambda cell: cell.order.group or cell):
            wave = list(together)
            for cell in wave:
                cell.signal.give(StopReason.ASKED)
            for cell in wave:
                await cell.ended.wait()

    def _kill(self, cells: Iterable[_Cell]) -> None:
        for cell in cells:
            cell.kill()
