"""What every worker does: one round after the other, enduring what fails, saying how it is, ending when told."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol, TypeVar, cast

from typing_extensions import override

from actors.durable import DurableActor
from actors.errors import Conflict
from actors.journal import Journal
from nats3.job.order import Kind
from nats3.job.running import (
    Condition,
    ConditionName,
    Dependency,
    RunActivated,
    RunBlocked,
    RunDegraded,
    RunEvent,
    RunPaused,
    RunRecovered,
    RunStopped,
    condition_after,
)
from nats3.state import Told
from nats3.work.apart import Interrupted, apart
from nats3.work.endure import judge
from nats3.work.journal import SNAPSHOT_EVERY
from nats3.work.messages import Away, Back, Ending, LookNow, Why
from nats3.work.run import Claimed
from nats3.work.tools import Tools


class HasCondition(Protocol):
    """The fold of any run says how the run is."""

    @property
    def condition(self) -> Condition: ...


S = TypeVar("S", bound=HasCondition)
E = TypeVar("E")

_SAID_FROM_ATTEMPT = 2
"""A fault that the first repetition cures is not worth an event."""


_STATES: dict[ConditionName, Told] = {
    "new": "created",
    "running": "running",
    "degraded": "degraded",
    "blocked": "blocked",
    "paused": "paused",
    "stopped": "created",
    "failed": "failed",
}


class Worker(DurableActor[S, E]):
    """One activation of `run/<job id>`, whatever its kind."""

    kind: Kind

    def __init__(self, claimed: Claimed, journal: Journal[Any], tools: Tools) -> None:
        super().__init__(journal, SNAPSHOT_EVERY)
        self.claimed = claimed
        self.tools = tools
        self.why: Why = "shutdown"
        self.ending = False
        self._complete = False
        self._faults = 0
        self._look = asyncio.Event()
        self._done = asyncio.Event()

    @abstractmethod
    async def round(self) -> bool:
        """Bind, and work until there is no more to do (True) or until told to finish. Raises what must be endured."""

    @abstractmethod
    def finish(self) -> bool:
        """Let the round end soon, with everything settled that was begun; False when nothing was begun."""

    async def say(self, event: RunEvent) -> None:
        """Record how the run is, and signal it."""
        await self._make_certain()
        await self.emit(cast("E", event))
        self.signal(_STATES[condition_after(event).name], self.state.condition.reason)

    async def _make_certain(self) -> None:
        """An append that was cut short may have been written: then the state is read anew, and nothing is wrong."""
        with suppress(Conflict):
            await self.emit()

    def signal(self, state: Told, reason: str = "") -> None:
        claimed = self.claimed
        self.tools.signals.state(claimed.job_id, claimed.name, self.kind, state, reason)

    @override
    async def on_start(self) -> None:
        await self.say(RunActivated(self.claimed.fence, self.tools.node))
        await self.tools.reach("run.after_activated")
        self._task = self.context.spawn(self._rounds, "rounds")
        self._task.add_done_callback(lambda _: self._done.set())  # also when it is cancelled before its first step

    @override
    async def receive(self, message: object) -> object:
        match message:
            case LookNow():
                self._look.set()
            case Ending(why=why):
                self.why = why
            case Away(dependency=dependency, reason=reason):
                await self._say_once(RunDegraded(dependency, reason))
            case Back(dependency=dependency):
                await self._say_recovered(dependency)
            case _:
                raise TypeError(message)
        return None

    @override
    async def on_stop(self) -> None:
        """Settle what was begun, then say why the run rests."""
        self.ending = True
        self._look.set()
        if not self.finish():
            self._task.cancel()
        await self._done.wait()
        if self._complete:
            return
        if self.why == "deleted":
            await self.forget()
        await self.say(RunPaused() if self.why == "paused" else RunStopped(self.why))
        if self.why == "deleted":
            self.signal("deleted")

    async def forget(self) -> None:
        """The job is deleted: leave nothing of it in NATS."""

    async def _rounds(self) -> None:
        try:
            while not self.ending and not self._complete:
                self._complete = await self._one_round()
        finally:
            self._done.set()
        if self._complete:
            self.context.stop()

    async def _one_round(self) -> bool:
        """True when there is no more to do. Endures what is to be endured."""
        try:
            return await apart(self.round)
        except Interrupted:
            return False
        except Exception as fault:  # noqa: BLE001 - what is not to be endured is raised again
            self._faults += 1
            await self._endure(fault)
            return False

    async def _endure(self, fault: Exception) -> None:
        verdict = judge(fault, self._faults)
        if verdict is None:
            raise fault
        self.tools.signals.enduring(self.claimed.name, type(fault).__name__, str(fault), self._faults)
        if verdict.says is not None:
            await self._say_once(verdict.says)
        await self.wait(verdict.delay_s)

    async def wait(self, seconds: float) -> None:
        """Wait, unless somebody says to look now."""
        self._look.clear()
        if self.ending:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._look.wait()
        except TimeoutError:
            return

    async def progressed(self) -> None:
        """Work flows: the next fault is the first again, and whatever was said to be wrong is over."""
        self._faults = 0
        await self.recovered()

    async def recovered(self) -> None:
        """Whatever was said to be wrong is over."""
        if self.state.condition.name in {"degraded", "blocked"}:
            await self.say(RunRecovered(self.state.condition.reason))

    async def _say_once(self, event: RunDegraded | RunBlocked) -> None:
        """A run that is blocked by something else than before says so; how exactly it is degraded may change often."""
        condition, new = self.state.condition, condition_after(event)
        known = condition.name == new.name
        if known and isinstance(event, RunBlocked):
            known = condition.reason.startswith(f"{event.code}:")
        if not known:
            await self.say(event)

    async def _say_recovered(self, dependency: Dependency) -> None:
        condition = self.state.condition
        if condition.name == "degraded" and condition.reason.startswith(dependency):
            await self.say(RunRecovered(condition.reason))

    def tell_myself(self, message: object) -> None:
        self.context.ref.tell(message)

    def retried(self, reason: str, attempt: int) -> None:
        self.tools.signals.enduring(self.claimed.name, "s3", reason, attempt)


class Trouble:
    """Hears from a patient store that calls fail, and tells the worker once it is worth saying."""

    def __init__(
        self, dependency: Dependency, tell: Callable[[object], None], retried: Callable[[str, int], None]
    ) -> None:
        self._dependency: Dependency = dependency
        self._tell = tell
        self._retry = retried

    def failed(self, operation: str, reason: str, attempt: int) -> None:
        self._retry(f"{operation}: {reason}", attempt)
        if attempt == _SAID_FROM_ATTEMPT:
            self._tell(Away(self._dependency, f"{operation}: {reason}", attempt))

    def recovered(self, operation: str) -> None:
        del operation
        self._tell(Back(self._dependency))
