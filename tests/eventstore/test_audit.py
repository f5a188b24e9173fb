"""Questions to the log: in both directions, bounded, as of then."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from random import Random
from uuid import UUID

import pytest

from eventstore import Append, Audit, Fence, NewEvent, NodeId, Position, PostgresStore, Question, Recorded, Version

ONE, TWO = UUID(int=1), UUID(int=2)
QUESTIONS = (
    Question(),
    Question(entity_id="run/2"),
    Question(category="job"),
    Question(types=frozenset({"a", "c"})),
    Question(node=ONE),
    Question(actor="user:ann"),
    Question(correlation_id=TWO),
    Question(category="run", types=frozenset({"b"}), actor="user:bob", node=TWO),
    Question(actor="nobody"),
)


@pytest.fixture
async def log(log_url: str) -> list[Recorded]:
    """120 events of everything, in a fixed order."""
    chance = Random(11)
    stores = [PostgresStore(log_url, NodeId(node)) for node in (ONE, TWO)]
    versions: dict[str, int] = {}
    for _ in range(60):
        entity_id = f"{chance.choice(['run', 'job'])}/{chance.randint(1, 4)}"
        events = tuple(NewEvent(chance.choice("abc"), {}) for _ in range(2))
        said = (chance.choice(["user:ann", "user:bob"]), chance.choice([None, ONE, TWO]))
        append = Append(entity_id, Version(versions.get(entity_id, 0)), Fence(0), events, *said)
        await chance.choice(stores).append([append])
        versions[entity_id] = append.expected + 2
    log = await stores[0].read_log(Position(0), 1000)
    for store in stores:
        await store.close()
    return log


@pytest.fixture(params=[7, 100_000])
async def audit(log_url: str, request: pytest.FixtureRequest) -> AsyncIterator[Audit]:
    """Once with a window so small that most pages end at it."""
    audit = Audit(log_url, window=request.param)
    yield audit
    await audit.close()


async def rising(audit: Audit, question: Question, limit: int) -> list[Recorded]:
    found: list[Recorded] = []
    page = await audit.oldest_first(question, limit=limit)
    while True:
        found += page.events
        if page.then is None:
            return found
        page = await audit.oldest_first(question, page.then, limit)


async def falling(audit: Audit, question: Question, limit: int) -> list[Recorded]:
    found: list[Recorded] = []
    page = await audit.newest_first(question, limit=limit)
    while True:
        found += page.events
        if page.then is None:
            return found
        page = await audit.newest_first(question, page.then, limit)


async def test_pages_in_both_directions_together_hold_what_fits_and_nothing_else(
    log: list[Recorded], audit: Audit
) -> None:
    times = [log[40].recorded_at, log[80].recorded_at]
    questions = (
        *QUESTIONS,
        Question(since=times[0]),
        Question(until=times[1]),
        Question(since=times[0], until=times[1], category="run"),
        Question(since=log[-1].recorded_at + timedelta(hours=1)),
    )
    for question in questions:
        fitting = [event for event in log if question.fits(event)]
        for limit in (1000, 5) if question != Question() else (1000, 5, 1):
            assert await rising(audit, question, limit) == fitting
            assert await falling(audit, question, limit) == fitting[::-1]


async def test_a_page_scans_no_more_than_its_window(log: list[Recorded], log_url: str) -> None:
    audit = Audit(log_url, window=10)
    page = await audit.oldest_first(Question(actor="nobody"))
    assert (page.events, page.then, page.reached) == ((), 10, 10)
    page = await audit.newest_first(Question(actor="nobody"))
    assert (page.events, page.then, page.reached) == ((), 111, 111)
    await audit.close()


async def test_who_has_seen_all_follows_on_from_where_he_stands(
    log: list[Recorded], audit: Audit, store: PostgresStore
) -> None:
    reached, then = Position(0), Position(0)
    while then is not None:
        page = await audit.oldest_first(Question(), then)
        reached, then = page.reached, page.then
    await store.append([Append("run/new", Version(0), Fence(0), (NewEvent("a", {}),))])
    page = await audit.oldest_first(Question(), reached)
    assert [event.entity_id for event in page.events] == ["run/new"]


async def test_an_event_is_found_by_its_position(log: list[Recorded], audit: Audit) -> None:
    assert await audit.event(Position(17)) == log[16]
    assert await audit.event(Position(121)) is None


async def test_an_entity_is_shown_as_of_a_position_or_a_time(log: list[Recorded], audit: Audit) -> None:
    history = [event for event in log if event.entity_id == "run/1"]
    middle = log[60]
    assert await audit.entity("run/1") == history
    assert await audit.entity("run/1", middle.position) == [e for e in history if e.position <= middle.position]
    assert await audit.entity("run/1", middle.recorded_at) == [
        e for e in history if e.recorded_at <= middle.recorded_at
    ]
    assert await audit.entity("run/1", after=Version(2), limit=1) == history[2:3]


async def test_a_position_is_found_by_its_time(log: list[Recorded], audit: Audit) -> None:
    for event in log[::13]:
        same = [other.position for other in log if other.recorded_at <= event.recorded_at]
        assert await audit.position_at(event.recorded_at) == same[-1]
    assert await audit.position_at(log[0].recorded_at - timedelta(microseconds=1)) == 0
    assert await audit.position_at(log[-1].recorded_at + timedelta(days=1)) == 120


async def test_an_empty_log_answers_with_nothing(audit: Audit) -> None:
    assert (await audit.oldest_first(Question())).events == ()
    assert (await audit.newest_first(Question())).then is None
    assert await audit.position_at(datetime.fromisoformat("2026-01-01T00:00:00+00:00")) == 0
