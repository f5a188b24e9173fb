"""What a node knows of the surveys that were asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, cast

from eventstore import (
    Append,
    Batcher,
    Claim,
    Fence,
    LogUnavailable,
    MemorySnapshots,
    MemoryStore,
    Tail,
    Version,
)
from nats3.job.history import HISTORY
from nats3.job.surveying import SurveyAsked, survey_entity, walk_entity
from nats3.work.surveyor import Surveyor

NOT_REACHED = cast("Any", None)
"""What only a walk needs, and nothing is walked."""


class Asked:
    """Claims of a node that is given none, and of which one can see what it wanted."""

    def __init__(self) -> None:
        self.wanted: list[Sequence[str]] = []

    async def take(self, wanted: Sequence[str], limit: int) -> list[Claim]:
        del limit
        self.wanted.append(wanted)
        return []

    async def release(self, entity_id: str, fence: Fence) -> bool:
        raise LogUnavailable(f"{entity_id} under {fence} was never given")


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110 - what is waited for is the product's own state
        await asyncio.sleep(0.001)


async def ask(store: MemoryStore, *survey_ids: str) -> None:
    for survey_id in survey_ids:
        event = HISTORY.encode(SurveyAsked("verify"))
        await store.append([Append(survey_entity(survey_id), Version(0), Fence(0), (event,))])


async def test_a_survey_that_was_asked_for_in_an_older_copy_of_the_log_is_walked() -> None:
    """The copy grew past what was read of the log before the node looked."""
    store, claims = MemoryStore(), Asked()
    await ask(store, "a", "b", "c")
    async with Tail(store, interval=3600.0) as tail, Batcher(store) as batcher:
        rest = NOT_REACHED, NOT_REACHED, NOT_REACHED, NOT_REACHED
        async with Surveyor(store, batcher, MemorySnapshots(), claims, tail, *rest), asyncio.timeout(5):
            await until(lambda: tail.position == 3 and claims.wanted)
            del store.rows[1:]
            await ask(store, "d", "e", "f")
            tail.wake.set()
            await until(lambda: len(claims.wanted) > 1)
    assert claims.wanted == [[walk_entity(each) for each in found] for found in ("abc", "adef")]
