"""A store that is away: asked by one for all who wait, and used at once when it is back."""

from __future__ import annotations

import asyncio
from hashlib import sha256

import pytest
from typing_extensions import override

from actors.testing import run_seeded
from nats3.errors import Nats3Error, Unavailable
from nats3.objects.memory import MemoryStore
from nats3.objects.outage import Outages
from nats3.objects.patient import Patient
from nats3.objects.store import AccessDenied, Put
from nats3.objects.translate import Rejected, Unclear

BODY = b"body"
SHA = sha256(BODY).hexdigest()
SILENCE_S = 10.0


class Told:
    """Hears what a job hears."""

    def __init__(self) -> None:
        self.failures: list[tuple[str, int]] = []
        self.recoveries = 0

    def failed(self, operation: str, reason: str, attempt: int) -> None:
        del operation
        self.failures.append((reason, attempt))

    def recovered(self, operation: str) -> None:
        del operation
        self.recoveries += 1


class Away(MemoryStore):
    """Away until `back` seconds, by the loop's clock; what it says meanwhile is up to `_meanwhile`."""

    def __init__(self, back: float = 25.0, *buckets: str) -> None:
        super().__init__(*(buckets or ("b",)))
        self.back = back
        self.puts = 0
        self.questions: list[float] = []

    @override
    async def put_new(self, bucket: str, key: str, body: bytes, sha256: str) -> Put:
        self.puts += 1
        await self._while_away()
        return await super().put_new(bucket, key, body, sha256)

    @override
    async def bucket_exists(self, bucket: str) -> bool:
        self.questions.append(_now())
        await self._while_away()
        return await super().bucket_exists(bucket)

    async def _while_away(self) -> None:
        if _now() < self.back:
            await self._meanwhile()

    async def _meanwhile(self) -> None:
        raise Unavailable("s3", "connection refused")


class Silent(Away):
    """Takes requests and says nothing: each is given up after `SILENCE_S`."""

    @override
    async def _meanwhile(self) -> None:
        await asyncio.sleep(SILENCE_S)
        raise Unavailable("s3", "silent")


class NotYet(Away):
    """Answers questions at once when it is back, and holds every PUT that comes within `first` seconds after for `holds` seconds."""

    first = 2.0
    holds = 19.0

    @override
    async def put_new(self, bucket: str, key: str, body: bytes, sha256: str) -> Put:
        if self.back <= _now() < self.back + self.first:
            await asyncio.sleep(self.holds)
        return await super().put_new(bucket, key, body, sha256)


class Slow(Away):
    """Takes a minute for each PUT."""

    @override
    async def put_new(self, bucket: str, key: str, body: bytes, sha256: str) -> Put:
        await self._while_away()
        self.puts += 1
        await asyncio.sleep(60)
        return await MemoryStore.put_new(self, bucket, key, body, sha256)


def _put_into(store: MemoryStore, seed: int = 1, told: Told | None = None) -> float:
    """When it was stored."""

    async def story() -> float:
        assert await Patient(store, told or Told()).put_new("b", "k", BODY, SHA) is Put.CREATED
        return _now()

    return run_seeded(seed, story)


def _now() -> float:
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize("back", [1.0, 9.9, 25.0, 300.0])
def test_a_store_that_refused_connections_is_used_within_a_second_of_its_return(back: float) -> None:
    for seed in range(20):
        assert _put_into(Away(back), seed) < back + 1


@pytest.mark.parametrize("back", [1.0, 9.9, 10.1, 19.0, 25.0, 300.0])
def test_a_store_that_was_silent_is_used_within_seconds_of_its_return(back: float) -> None:
    """A request that was sent just before would be waited for as long as one may be silent."""
    for seed in range(20):
        assert _put_into(Silent(back), seed) < max(back, SILENCE_S) + 3


def test_a_hundred_jobs_ask_one_question_at_a_time_and_all_flow_again_at_once() -> None:
    store = Away(60.0)
    jobs = [Told() for _ in range(100)]

    async def story() -> float:
        outages = Outages(store)
        async with asyncio.TaskGroup() as tasks:
            for number, told in enumerate(jobs):
                patient = Patient(store, told, outages=outages)
                tasks.create_task(patient.put_new("b", f"k{number}", BODY, SHA))
        return _now()

    assert run_seeded(1, story) < 61
    assert min(len(told.failures) for told in jobs) > 100, "all hear of each question"
    assert store.puts <= 3 * 100
    assert min(later - sooner for sooner, later in zip(store.questions, store.questions[1:], strict=False)) > 0.49


def test_a_job_hears_of_each_question_that_was_not_answered() -> None:
    told = Told()
    store = Away(5.0)
    _put_into(store, told=told)
    assert [attempt for _, attempt in told.failures] == list(range(1, 2 + len(store.questions)))
    assert {reason for reason, _ in told.failures} == {"connection refused"}
    assert told.recoveries == 1


def test_what_is_begun_while_the_store_is_silent_waits_for_its_answer_too() -> None:
    async def story() -> float:
        store = Silent()
        patient = Patient(store, Told())
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(patient.put_new("b", "first", BODY, SHA))
            await asyncio.sleep(store.back - 4)
            await patient.put_new("b", "second", BODY, SHA)
        return _now() - store.back

    assert run_seeded(1, story) < 3


def test_a_listing_that_is_begun_while_the_store_is_silent_waits_for_its_answer_too() -> None:
    async def story() -> float:
        store = Silent()
        patient = Patient(store, Told())
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(patient.put_new("b", "k", BODY, SHA))
            await asyncio.sleep(SILENCE_S + 1)
            async for _ in patient.list("b", ""):
                pass
            return _now() - store.back

    assert 0 <= run_seeded(1, story) < 3


def test_a_store_that_answered_is_asked_no_more_small_questions() -> None:
    store = Silent()

    async def story() -> tuple[int, int]:
        patient = Patient(store, Told())
        await patient.put_new("b", "first", BODY, SHA)
        asked = len(store.questions)
        await patient.put_new("b", "second", BODY, SHA)
        return asked, len(store.questions)

    asked, later = run_seeded(1, story)
    assert asked == later > 0


def test_a_store_that_refuses_the_small_question_is_there() -> None:
    class Closed(Silent):
        @override
        async def bucket_exists(self, bucket: str) -> bool:
            raise AccessDenied(bucket, "head", "no rights to list it")

    assert _put_into(Closed(5.0)) < SILENCE_S + 1


def test_patience_for_a_while_ends_also_where_nobody_says_anything() -> None:
    async def story() -> None:
        with pytest.raises(Unavailable):
            await Patient(Silent(), Told()).at_most(2).put_new("b", "k", BODY, SHA)

    run_seeded(1, story)


def test_patience_for_a_while_asks_no_questions() -> None:
    store = Away()

    async def story() -> None:
        with pytest.raises(Unavailable):
            await Patient(store, Told()).at_most(9).put_new("b", "k", BODY, SHA)

    run_seeded(1, story)
    assert (store.questions, store.puts) == ([], 9)


@pytest.mark.parametrize(
    "said", [Rejected(503, "SlowDown", ""), Unclear("504 Gateway Timeout"), Unavailable("s3", "reset")]
)
def test_who_is_refused_once_or_by_the_store_itself_asks_nothing(said: Nats3Error) -> None:
    store = Away(0.0)
    store.order(*[said] * (1 if type(said) is Unavailable else 9))
    _put_into(store)
    assert store.questions == []


def test_a_put_that_hangs_in_a_store_which_has_just_come_back_is_sent_again_soon() -> None:
    for first in (0.5, 2.0, 7.0):
        for seed in range(20):
            store = NotYet()
            store.first = first
            assert _put_into(store, seed) < store.back + first + 5


def test_a_store_that_refuses_at_first_after_its_return_is_asked_again_as_after_a_first_failure() -> None:
    """The waits of an outage of minutes have nothing to do with it."""

    class Starting(Away):
        refuses = 4

        @override
        async def put_new(self, bucket: str, key: str, body: bytes, sha256: str) -> Put:
            if _now() >= self.back and self.refuses:
                self.refuses -= 1
                raise Rejected(503, "ServiceUnavailable", "")
            return await super().put_new(bucket, key, body, sha256)

    for seed in range(20):
        assert _put_into(Starting(300.0), seed) < 300 + 0.5 + sum((0.05, 0.1, 0.2, 0.4))


def test_a_body_that_may_go_in_parts_is_not_hurried() -> None:
    outage = Outages(Away()).of("b")
    outage.is_fresh = True
    assert outage.hurry(0, 64 << 20) is not None
    assert outage.hurry(0, (64 << 20) + 1) is None


def test_a_store_that_has_only_become_slow_gets_the_time_that_it_takes() -> None:
    store = Slow()
    assert _put_into(store) < store.back + 60 + 15
    assert store.puts == 5


def test_who_hurried_once_has_all_time_when_the_store_has_done_something() -> None:
    store = NotYet()

    async def story() -> float:
        patient = Patient(store, Told())
        await patient.put_new("b", "first", BODY, SHA)
        store.back = began = _now()
        await patient.put_new("b", "second", BODY, SHA)
        return _now() - began

    assert run_seeded(1, story) == pytest.approx(store.holds)


def test_a_bucket_that_is_away_holds_up_no_other() -> None:
    cold = "cold"

    class Both(Away):
        @override
        async def put_new(self, bucket: str, key: str, body: bytes, sha256: str) -> Put:
            return await (super().put_new if bucket == cold else MemoryStore(bucket).put_new)(bucket, key, body, sha256)

        @override
        async def bucket_exists(self, bucket: str) -> bool:
            return bucket != cold or await super().bucket_exists(bucket)

    async def story() -> float:
        store = Both(25.0, cold)
        patient = Patient(store, Told())
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(patient.put_new(cold, "k", BODY, SHA))
            await asyncio.sleep(5)
            await patient.put_new("b", "k", BODY, SHA)
            return _now()

    assert run_seeded(1, story) == pytest.approx(5)
