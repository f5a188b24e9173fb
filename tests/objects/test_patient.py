"""Patience: what is tried again, how long the waits are, and what a job hears of it."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from actors.testing import run_seeded
from nats3.errors import Nats3Error, Unavailable
from nats3.objects.memory import Fault, MemoryStore
from nats3.objects.patient import Backoff, Patient
from nats3.objects.store import AccessDenied, BucketMissing, ObjectMissing, Put

BODY = b"body"
SHA = sha256(BODY).hexdigest()


@dataclass
class Lab:
    """A patient store over one in memory, with a clock that only counts."""

    chance: float = 0.999
    waits: list[float] = field(default_factory=list)
    heard: list[tuple[str, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.memory = MemoryStore("b", page=2)
        self.store = Patient(self.memory, self, sleep=self._sleep, chance=lambda: self.chance)

    def failed(self, operation: str, reason: str, attempt: int) -> None:
        self.heard.append(("failed", operation, reason, str(attempt)))

    def recovered(self, operation: str) -> None:
        self.heard.append(("recovered", operation))

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


async def test_what_is_unavailable_is_tried_until_it_is_there() -> None:
    lab = Lab()
    lab.memory.order(*[Fault.REFUSED] * 100)
    assert await lab.store.put_new("b", "k", BODY, SHA) is Put.CREATED
    assert len(lab.waits) == 100


async def test_patience_for_a_while_ends_with_the_fault_and_begins_anew_with_each_call() -> None:
    lab = Lab()
    brief = lab.store.at_most(3)
    lab.memory.order(*[Fault.REFUSED] * 5)
    with pytest.raises(Unavailable):
        await brief.put_new("b", "k", BODY, SHA)
    assert len(lab.waits) == 2
    assert await brief.put_new("b", "k", BODY, SHA) is Put.CREATED
    lab.memory.order(*[Fault.REFUSED] * 3)
    with pytest.raises(Unavailable):
        await anext(aiter(brief.list("b", "")))


async def test_waits_double_up_to_the_cap() -> None:
    lab = Lab(chance=1.0)
    lab.memory.order(*[Fault.REFUSED] * 9)
    await lab.store.put_new("b", "k", BODY, SHA)
    assert lab.waits == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.0, 3.0, 3.0]


async def test_a_wait_is_spread_by_chance() -> None:
    lab = Lab(chance=0.25)
    lab.memory.order(*[Fault.REFUSED] * 3)
    await lab.store.put_new("b", "k", BODY, SHA)
    assert lab.waits == [0.0125, 0.025, 0.05]


@given(st.integers(1, 10**9), st.floats(0, 1, exclude_max=True))
def test_a_wait_is_a_random_part_of_at_most_the_cap(attempt: int, chance: float) -> None:
    assert 0 <= Backoff().wait(attempt, chance) <= 3.0


async def test_a_job_hears_of_each_failure_with_its_reason_and_once_of_the_recovery() -> None:
    lab = Lab()
    lab.memory.buckets["b"]["k"] = BODY
    lab.memory.order(Unavailable("s3", "503 SlowDown"), Unavailable("s3", "reset"))
    await lab.store.head("b", "k")
    assert lab.heard == [
        ("failed", "head", "503 SlowDown", "1"),
        ("failed", "head", "reset", "2"),
        ("recovered", "head"),
    ]


async def test_a_call_that_never_failed_says_nothing() -> None:
    lab = Lab()
    await lab.store.put_new("b", "k", BODY, SHA)
    await lab.store.get("b", "k")
    assert lab.heard == []


@pytest.mark.parametrize("error", [AccessDenied("b", "put", "why"), BucketMissing("b"), ObjectMissing("b", "k")])
async def test_what_patience_cannot_mend_goes_to_the_caller_and_ends_the_degradation(error: Nats3Error) -> None:
    lab = Lab()
    lab.memory.order(Fault.REFUSED, error)
    with pytest.raises(type(error)):
        await lab.store.put_new("b", "k", BODY, SHA)
    assert [entry[0] for entry in lab.heard] == ["failed", "recovered"]


async def test_a_put_that_was_done_before_its_answer_was_lost_is_already_there() -> None:
    lab = Lab()
    lab.memory.order(Fault.REPLY_LOST)
    assert await lab.store.put_new("b", "k", BODY, SHA) is Put.ALREADY_THERE


async def test_a_put_that_arrives_after_its_retry_changes_nothing() -> None:
    lab = Lab()
    lab.memory.order(Fault.LATE)
    assert await lab.store.put_new("b", "k", BODY, SHA) is Put.CREATED
    lab.memory.land()
    assert lab.memory.buckets == {"b": {"k": BODY}}


@pytest.mark.parametrize("faulty", list(itertools.product([True, False], repeat=4)))
async def test_a_listing_broken_anywhere_goes_on_where_it_was(faulty: tuple[bool, ...]) -> None:
    lab = Lab()
    keys = [f"k{number}" for number in range(5)]
    lab.memory.buckets["b"] = dict.fromkeys(keys, BODY)
    found: list[str] = []
    pages = lab.store.list("b", "k")
    for breaks in faulty:
        lab.memory.order(*[Fault.REFUSED] * breaks)
        found += [listed.key for listed in await anext(pages, [])]
    assert found == keys
    assert [entry[0] for entry in lab.heard] == ["failed", "recovered"] * sum(faulty)


async def test_every_operation_is_patient() -> None:
    lab = Lab()
    await lab.store.put_new("b", "k", BODY, SHA)
    for call in (
        lambda: lab.store.get("b", "k"),
        lambda: lab.store.head("b", "k"),
        lambda: lab.store.delete("b", "k"),
        lambda: lab.store.bucket_exists("b"),
    ):
        lab.memory.order(Fault.REFUSED)
        await call()
    assert len(lab.waits) == 4


async def test_what_is_late_in_memory_does_not_overwrite_either() -> None:
    memory = MemoryStore("b")
    memory.order(Fault.LATE)
    with pytest.raises(Unavailable):
        await memory.put_new("b", "k", BODY, SHA)
    memory.buckets["b"]["k"] = b"came before"
    memory.land()
    assert memory.buckets == {"b": {"k": b"came before"}}


class Silent(MemoryStore):
    """Takes requests and says nothing: each is given up after SILENCE_S; at `back` seconds new ones are answered."""

    back = 25.0
    asked = 0

    @override
    async def put_new(self, bucket: str, key: str, body: bytes, sha256: str) -> Put:
        await self._hang()
        return await super().put_new(bucket, key, body, sha256)

    @override
    async def bucket_exists(self, bucket: str) -> bool:
        self.asked += 1
        await self._hang()
        return await super().bucket_exists(bucket)

    async def _hang(self) -> None:
        if asyncio.get_running_loop().time() < self.back:
            await asyncio.sleep(SILENCE_S)
            raise Unavailable("s3", "silent")


SILENCE_S = 10.0


def _put_after_silence(store: Silent, seed: int) -> float:
    """When it was stored."""

    async def story() -> float:
        assert await Patient(store, Lab()).put_new("b", "k", BODY, SHA) is Put.CREATED
        return asyncio.get_running_loop().time()

    return run_seeded(seed, story)


@pytest.mark.parametrize("back", [1.0, 9.9, 10.1, 19.0, 25.0, 300.0])
def test_a_store_that_was_silent_is_used_within_seconds_of_its_return(back: float) -> None:
    """A request that was sent just before would be waited for as long as one may be silent."""
    for seed in range(20):
        store = Silent("b")
        store.back = back
        assert _put_after_silence(store, seed) < max(back, SILENCE_S) + 3


def test_what_is_begun_while_the_store_is_silent_waits_for_its_answer_too() -> None:
    async def story() -> float:
        store = Silent("b")
        patient = Patient(store, Lab())
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(patient.put_new("b", "first", BODY, SHA))
            await asyncio.sleep(store.back - 4)
            await patient.put_new("b", "second", BODY, SHA)
        return asyncio.get_running_loop().time() - store.back

    assert run_seeded(1, story) < 3


def test_a_listing_that_is_begun_while_the_store_is_silent_waits_for_its_answer_too() -> None:
    async def story() -> float:
        store = Silent("b")
        patient = Patient(store, Lab())
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(patient.put_new("b", "k", BODY, SHA))
            await asyncio.sleep(SILENCE_S + 1)
            async for _ in patient.list("b", ""):
                pass
            return asyncio.get_running_loop().time() - store.back

    assert 0 <= run_seeded(1, story) < 3


def test_a_store_that_answered_is_asked_no_more_small_questions() -> None:
    store = Silent("b")

    async def story() -> tuple[int, int]:
        patient = Patient(store, Lab())
        await patient.put_new("b", "first", BODY, SHA)
        asked = store.asked
        await patient.put_new("b", "second", BODY, SHA)
        return asked, store.asked

    asked, later = run_seeded(1, story)
    assert asked == later > 0


def test_a_store_that_refuses_the_small_question_is_there() -> None:
    class Closed(Silent):
        @override
        async def bucket_exists(self, bucket: str) -> bool:
            raise AccessDenied(bucket, "head", "no rights to list it")

    store = Closed("b")
    store.back = 5
    assert _put_after_silence(store, 1) < SILENCE_S + 1


def test_patience_for_a_while_ends_also_where_nobody_says_anything() -> None:
    async def story() -> None:
        with pytest.raises(Unavailable):
            await Patient(Silent("b"), Lab()).at_most(2).put_new("b", "k", BODY, SHA)

    run_seeded(1, story)


async def test_who_fails_at_once_is_asked_no_small_question_first() -> None:
    silent = Silent("b")
    silent.order(*[Fault.REFUSED] * 5)
    silent.back = 0
    await Patient(silent, Lab(), Backoff(first=0.0)).put_new("b", "k", BODY, SHA)
    assert silent.asked == 0
