"""Patience: what is tried again, how long the waits are, and what a job hears of it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nats3.errors import Nats3Error, Unavailable
from nats3.objects.memory import Fault, MemoryStore
from nats3.objects.patient import Backoff, Patient
from nats3.objects.store import AccessDenied, BucketMissing, ObjectMissing, Put
from nats3.objects.translate import Rejected

BODY = b"body"
SHA = sha256(BODY).hexdigest()
SLOW_DOWN = Rejected(503, "SlowDown", "")


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
    assert [told[0] for told in lab.heard] == ["failed"] * 100 + ["recovered"]


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
    lab.memory.order(*[SLOW_DOWN] * 9)
    await lab.store.put_new("b", "k", BODY, SHA)
    assert lab.waits == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.0, 3.0, 3.0]


async def test_a_wait_is_spread_by_chance() -> None:
    lab = Lab(chance=0.25)
    lab.memory.order(*[SLOW_DOWN] * 3)
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
