"""What operators ask of views, rebuild and verify: asked and answered in the log, done by one node."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime
from random import Random
from typing import Any, Literal, TypeAlias
from uuid import UUID, uuid4

from typing_extensions import override

from eventstore.background import Background
from eventstore.backoff import Backoff
from eventstore.connection import Link
from eventstore.decisions import entity_of, history
from eventstore.errors import EventStoreError, LogRewound, LogUnavailable, Superseded, UnknownProjection
from eventstore.event import Append, Appended, Fence, NewEvent, NodeId, Position, Recorded, Version
from eventstore.projection import TRANSIENT, View
from eventstore.rebuild import Rebuild
from eventstore.segments import Segments
from eventstore.store import EventStore
from eventstore.tail import Tail

ASKED = "projection_work_asked"
CANCELLED = "projection_work_cancelled"
ENDED = "projection_work_ended"

Kind = Literal["rebuild", "verify"]
OperationState = Literal["running", "cancelling", "done", "failed", "cancelled"]
OPEN: frozenset[OperationState] = frozenset({"running", "cancelling"})

STANDBY = 5.0
"""Seconds between looks at an operation that another node has."""


@dataclass(frozen=True, slots=True)
class Operation:
    """What was asked of a view and what became of it; `operation_id` is the position of the question.

    Once done, `version` and `position` say which tables it made or compared, and where; `differ` names the tables that
    were not what a fresh fold made. `reason` says why it failed.
    """

    operation_id: Position
    name: str
    kind: Kind
    actor: str
    node: UUID
    asked_at: datetime
    state: OperationState = "running"
    ended_at: datetime | None = None
    version: int | None = None
    position: Position | None = None
    differ: tuple[str, ...] = ()
    reason: str = ""


class Occupied(EventStoreError):
    """An operation on this view is under way: wait for it, or cancel it."""

    def __init__(self, operation: Operation) -> None:
        super().__init__(f"{operation.name}: a {operation.kind} is under way, operation {operation.operation_id}")
        self.operation = operation


class NothingUnderWay(EventStoreError):
    """There is no operation on this view to cancel."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name}: nothing is under way")
        self.name = name


Judge: TypeAlias = Callable[[str, Sequence[Operation]], None]
"""Raises what speaks against an event on the view of that name."""


def operations_of(name: str, events: Iterable[Recorded]) -> list[Operation]:
    """The fold of `projection/<name>`: all operations in the order of their questions."""
    found: dict[int, Operation] = {}
    for event in events:
        match event.type:
            case "projection_work_asked":
                kind, at = event.data["kind"], event.recorded_at
                found[event.position] = Operation(event.position, name, kind, event.actor, event.node, at)
            case "projection_work_cancelled":
                asked = found[event.data["operation"]]
                found[asked.operation_id] = replace(asked, state="cancelling")
            case "projection_work_ended":
                asked = found[event.data["operation"]]
                found[asked.operation_id] = _ended(asked, event)
            case _:
                pass
    return list(found.values())


def _ended(asked: Operation, event: Recorded) -> Operation:
    said = event.data
    return replace(
        asked,
        state=said["outcome"],
        ended_at=event.recorded_at,
        version=said.get("version"),
        position=said.get("position"),
        differ=tuple(said.get("differ", ())),
        reason=said.get("reason", ""),
    )


class Upkeep(Background):
    """Does what is asked of these views, on every node that keeps views.

    The node that was asked does it; once its lease is over, any other goes on where it stopped. `node` is the id under
    which this process holds a lease, and under which `store` writes.
    """

    def __init__(
        self,
        url: str,
        store: EventStore,
        tail: Tail,
        views: Sequence[View],
        *,
        node: NodeId | None = None,
        chance: Random | None = None,
        segments: Segments | None = None,
    ) -> None:
        self._url = url
        self._segments = segments
        self._link = Link(url, "eventstore upkeep")
        self._store = store
        self._tail = tail
        self._views = {view.name: view for view in views}
        self._node = node or NodeId(uuid4())
        self._chance = chance or Random()  # noqa: S311 - jitter is no secret

    async def ask(self, name: str, kind: Kind, actor: str) -> Operation:
        """Begin an operation. Raises UnknownProjection, Occupied, LogUnavailable."""
        await self._say(name, NewEvent(ASKED, {"kind": kind}), actor, _must_be_free)
        return (await self.operations(name))[-1]

    async def cancel(self, name: str, actor: str) -> Operation:
        """Ask the operation under way to end. Raises UnknownProjection, NothingUnderWay, LogUnavailable."""
        operation = open_one(await self.operations(name))
        if operation is None:
            raise NothingUnderWay(name)
        said = {"operation": operation.operation_id}
        if operation.state == "running":
            await self._say(name, NewEvent(CANCELLED, said), actor, _must_be_open)
        return replace(operation, state="cancelling")

    async def return_to_before(self, name: str, actor: str) -> int:
        """Show readers the version before, at once. Raises UnknownProjection, Occupied, NothingBefore."""
        _must_be_free(name, await self.operations(name))
        return await Rebuild(self._url, self._store, self._views[name], node=self._node).return_to_before(actor)

    async def operations(self, name: str) -> list[Operation]:
        """All that was ever asked of a view, oldest first. Raises UnknownProjection, LogUnavailable."""
        return operations_of(name, await self._history(name))

    @override
    async def run(self) -> None:
        """Do what is asked, for ever."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for view in self._views.values():
                    tasks.create_task(self._keep(view), name=f"eventstore upkeep of {view.name}")
        finally:
            await self._link.drop()

    async def close(self) -> None:
        """Close the connection of one that is asked, but does not run."""
        await self._link.drop()

    async def _keep(self, view: View) -> None:
        while True:
            operation, head = await self._look(view.name)
            if operation is None:
                await self._changed(view.name, head)
            elif await self._is_ours(operation):
                await self._work(view, operation)
            else:
                await self._pause()

    async def _work(self, view: View, operation: Operation) -> None:
        """Do it until it ends or is cancelled, and say so."""
        async with asyncio.TaskGroup() as tasks:
            work = tasks.create_task(self._outcome(view, operation))
            watch = tasks.create_task(self._until_cancelled(operation))
            await asyncio.wait((work, watch), return_when=asyncio.FIRST_COMPLETED)
            work.cancel()
            watch.cancel()
        said = await self._discarded(view) if work.cancelled() else work.result()
        if said is not None:
            await self._settle(operation, said)

    async def _outcome(self, view: View, operation: Operation) -> dict[str, Any] | None:
        """What to say of it at its end; None: try again."""
        try:
            return {"outcome": "done", **await self._perform(view, operation)}
        except (Superseded, *TRANSIENT):
            await self._pause()
            return None
        except Exception as fault:  # noqa: BLE001 - whatever it met is told to who asked for it
            return {"outcome": "failed", "reason": f"{type(fault).__name__}: {fault}"[:1000]}

    async def _perform(self, view: View, operation: Operation) -> dict[str, Any]:
        rebuild = Rebuild(self._url, self._store, view, node=self._node, segments=self._segments)
        if operation.kind == "verify":
            verdict = await rebuild.verify()
            return {"version": verdict.version, "position": verdict.position, "differ": list(verdict.differ)}
        done = await rebuild.run(operation.actor)
        return {"version": done.version, "position": done.position}

    async def _discarded(self, view: View) -> dict[str, Any] | None:
        try:
            await Rebuild(self._url, self._store, view, node=self._node).discard()
        except (Superseded, *TRANSIENT):
            await self._pause()
            return None
        return {"outcome": "cancelled"}

    async def _settle(self, operation: Operation, said: dict[str, Any]) -> None:
        """Record how it ended, unless another node has."""
        event = NewEvent(ENDED, {"operation": operation.operation_id, **said})
        backoff = Backoff(chance=self._chance)
        while True:
            try:
                await self._say(operation.name, event, operation.actor, _must_be_open)
            except NothingUnderWay:
                return
            except LogUnavailable:
                await asyncio.sleep(backoff.next())
            else:
                return

    async def _until_cancelled(self, operation: Operation) -> None:
        while True:
            now, head = await self._look(operation.name)
            if now is None or now.state == "cancelling":
                return
            await self._changed(operation.name, head)

    async def _look(self, name: str) -> tuple[Operation | None, Position]:
        """The open operation, and a position from which on every change is still to be seen."""
        backoff = Backoff(chance=self._chance)
        while True:
            try:
                head = await self._store.head()
                return open_one(await self.operations(name)), head
            except LogUnavailable:
                await asyncio.sleep(backoff.next())

    async def _changed(self, name: str, after: Position) -> None:
        """Wait until something behind `after` is recorded of this view."""
        try:
            async with aclosing(self._tail.follow(after)) as pages:
                async for page in pages:
                    if any(event.entity_id == entity_of(name) for event in page):
                        return
        except LogRewound:
            return

    async def _is_ours(self, operation: Operation) -> bool:
        if operation.node == self._node:
            return True
        try:
            rows = await self._link.fetch(
                "SELECT 1 FROM es.node WHERE node_id = %s AND lease_until > clock_timestamp()", (operation.node,)
            )
        except LogUnavailable:
            return False
        return not rows

    async def _pause(self) -> None:
        await asyncio.sleep(STANDBY * self._chance.uniform(0.8, 1.2))

    async def _history(self, name: str) -> list[Recorded]:
        if name not in self._views:
            raise UnknownProjection(name)
        return await history(self._link, self._store, name)

    async def _say(self, name: str, event: NewEvent, actor: str, judge: Judge) -> None:
        """Append to the view's entity once `judge` has seen all that is there."""
        while True:
            said = await self._history(name)
            judge(name, operations_of(name, said))
            append = Append(entity_of(name), Version(len(said)), Fence(0), (event,), actor)
            (outcome,) = await self._store.append([append])
            if isinstance(outcome, Appended):
                self._tail.wake.set()
                return


def open_one(operations: Sequence[Operation]) -> Operation | None:
    """The operation that has not ended: there is at most one."""
    return next((each for each in operations if each.state in OPEN), None)


def _must_be_free(_name: str, operations: Sequence[Operation]) -> None:
    operation = open_one(operations)
    if operation is not None:
        raise Occupied(operation)


def _must_be_open(name: str, operations: Sequence[Operation]) -> None:
    if open_one(operations) is None:
        raise NothingUnderWay(name)
