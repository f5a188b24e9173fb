"""An older copy of the log takes its place and grows: who lives by what was read of it begins anew."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from time import monotonic
from uuid import uuid4

import pytest

from eventstore import Append, Fence, MemoryStore, NewEvent, Position, Tail, Version
from eventstore.audit import Question
from nats3.access import tokens
from nats3.api.callers import Caller
from nats3.api.entrance import Entrance
from nats3.api.errors import Unauthenticated
from nats3.api.follow import frames
from nats3.api.rates import Rate, Rates
from tests.api.conftest import Api, Clock

NEVER = 3600.0


class PutBack(MemoryStore):
    """A log of which an older copy can take the place."""

    async def say(self, *types: str) -> None:
        for type_ in types:
            event = NewEvent(type_, {})
            await self.append([Append(f"some/{uuid4()}", Version(0), Fence(0), (event,))])

    async def put_back(self, to: int, *types: str) -> None:
        """It ends at `to`, and at once other events stand behind it."""
        del self.rows[to:]
        await self.say(*types)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is waited for is the product's own state
            await asyncio.sleep(0.001)


async def test_a_stream_of_events_ends_although_the_log_was_put_back_while_it_was_sending(api: Api) -> None:
    store = PutBack()
    await store.say("a", "b")
    async with Tail(store, interval=NEVER) as tail, asyncio.timeout(5):
        services = replace(api.services, tail=tail)
        async with aclosing(frames(services, Question(), Position(0))) as parts:
            assert b"here" in await anext(parts)
            assert b"event: b" in await anext(parts)
            await store.put_back(1, "c", "d")
            tail.wake.set()
            await until(lambda: tail.rewinds)
            assert [part async for part in parts] == []


async def test_the_first_token_is_heard_of_and_everyone_inside_comes_in_again() -> None:
    store = PutBack()
    await store.say("a", "b", "c")
    free = Rates(Rate(0, 0), monotonic)
    entrance = Entrance(store, required=False, now=Clock(), rates=free, refusals=free)
    async with Tail(store, interval=NEVER) as tail, asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(entrance.watch(tail, await entrance.look()))
        await until(lambda: tail.position == 3)
        with pytest.raises(Unauthenticated):  # noqa: PT012 - it is raised by the end of what is inside
            async with entrance.inside(Caller(token_id="x")), asyncio.timeout(5):
                await store.put_back(1, tokens.CREATED, "d", "e")
                tail.wake.set()
                await asyncio.Event().wait()
        await until(lambda: entrance.asks)
        watching.cancel()
