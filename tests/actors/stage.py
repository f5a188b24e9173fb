"""A system on a clock that stands still, with an observer that keeps all it hears."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from actors.actor import Actor
from actors.errors import ActorError
from actors.ref import Ref
from actors.system import ActorSystem
from actors.testing import Heard, ManualClock, Recorder

LONG = 3600.0


@dataclass
class Stage:
    clock: ManualClock
    recorder: Recorder
    system: ActorSystem

    @property
    def heard(self) -> list[Heard]:
        return self.recorder.heard

    async def start(self, actor: Actor, name: str = "a", **order: object) -> Ref:
        """Start an actor that exists already; for those that are never restarted."""
        return await self.system.start(name, lambda: actor, **order)


@asynccontextmanager
async def staged(**settings: object) -> AsyncIterator[Stage]:
    clock, recorder = ManualClock(), Recorder()
    async with ActorSystem(clock=clock, observer=recorder, chance=lambda: 0.0, **settings) as system:
        yield Stage(clock, recorder, system)


def by_function(receive: Callable[[Actor, object], object]) -> Actor:
    """An actor that awaits `receive(self, message)`."""

    class ByFunction(Actor):
        async def receive(self, message: object) -> object:
            return await receive(self, message)

    return ByFunction()


class Diary(Actor):
    """Writes down what happens to it. Messages that are exceptions are raised."""

    def __init__(self, diary: list[str], stop_takes: float = 0.0) -> None:
        self.diary = diary
        self.stop_takes = stop_takes

    async def on_start(self) -> None:
        self._write("starts")

    async def receive(self, message: object) -> object:
        self._write(str(message))
        if isinstance(message, Exception):
            raise message
        return message

    async def on_stop(self) -> None:
        await self.context.clock.sleep(self.stop_takes)
        self._write("stops")

    def _write(self, what: str) -> None:
        self.diary.append(f"{self.context.name} {what}")


async def failure_of(asking: object) -> ActorError | None:
    try:
        await asking
    except ActorError as error:
        return error
    return None
