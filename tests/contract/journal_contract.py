"""What every Journal promises. Inherit JournalContract in a test module and say how to `claim`."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod

import pytest

from actors.errors import Conflict, Fenced
from actors.journal import History, Journal

# Events and states are dicts of text and numbers, which every store can keep.
Event = dict[str, int]
FIRST, SECOND, THIRD = ({"n": 1}, {"n": 2}, {"n": 3})


async def outcome(journal: Journal[Event], expected: int, *events: Event) -> int | type[Exception]:
    """The new version, or what the refusal says."""
    try:
        return await journal.append(expected, events)
    except (Fenced, Conflict) as refused:
        return type(refused)


class JournalContract(ABC):
    """One suite for every implementation. Each test has a log of its own, or entity names that nobody else uses."""

    @abstractmethod
    async def claim(self, entity: str) -> Journal[Event]:
        """The journal of `entity` under a fence newer than all given before."""

    async def history(self, entity: str) -> History[Event]:
        return await (await self.claim(entity)).recover()

    async def test_an_entity_that_nobody_wrote_to_has_version_0_and_no_past(self) -> None:
        history = await self.history("a")
        assert (history.snapshot, list(history.events), history.version) == (None, [], 0)

    async def test_append_returns_the_new_version_and_recover_the_events_in_order(self) -> None:
        journal = await self.claim("a")
        assert await journal.append(0, [FIRST]) == 1
        assert await journal.append(1, [SECOND, THIRD]) == 3
        history = await journal.recover()
        assert (list(history.events), history.version, history.snapshot) == ([FIRST, SECOND, THIRD], 3, None)

    @pytest.mark.parametrize("expected", [0, 2])
    async def test_an_append_at_another_version_is_a_conflict_and_writes_nothing(self, expected: int) -> None:
        journal = await self.claim("a")
        await journal.append(0, [FIRST])
        with pytest.raises(Conflict) as refused:
            await journal.append(expected, [SECOND])
        assert (refused.value.expected, refused.value.actual) == (expected, 1)
        assert list((await journal.recover()).events) == [FIRST]

    async def test_exactly_one_of_many_appends_with_the_same_expectation_wins(self) -> None:
        journal = await self.claim("a")
        async with asyncio.TaskGroup() as tasks:
            tries = [tasks.create_task(outcome(journal, 0, {"n": n})) for n in range(8)]
        winners = [n for n, attempt in enumerate(tries) if attempt.result() == 1]
        assert len(winners) == 1
        assert [attempt.result() for attempt in tries].count(Conflict) == 7
        assert list((await journal.recover()).events) == [{"n": winners[0]}]

    async def test_a_journal_is_fenced_once_a_newer_one_is_claimed_and_writes_nothing(self) -> None:
        old = await self.claim("a")
        await old.append(0, [FIRST])
        new = await self.claim("a")
        with pytest.raises(Fenced):
            await old.append(1, [SECOND])
        assert await new.append(1, [THIRD]) == 2
        assert list((await new.recover()).events) == [FIRST, THIRD]

    async def test_fenced_is_said_before_conflict_because_it_ends_the_writer(self) -> None:
        old = await self.claim("a")
        await (await self.claim("a")).append(0, [FIRST])
        with pytest.raises(Fenced):
            await old.append(0, [SECOND])

    async def test_in_every_interleaving_of_claim_and_append_no_old_fence_writes_after_a_new_one(self) -> None:
        async def claim_and_write(n: int) -> None:
            journal = await self.claim("a")
            version = (await journal.recover()).version
            await outcome(journal, version, {"n": n}, {"n": n})

        async with asyncio.TaskGroup() as tasks:
            for n in range(8):
                tasks.create_task(claim_and_write(n))
        written = [event["n"] for event in (await self.history("a")).events]
        pairs = list(zip(written[::2], written[1::2], strict=True))
        assert all(one == other for one, other in pairs)
        assert len(set(pairs)) == len(pairs) >= 1

    async def test_entities_do_not_mix(self) -> None:
        a, b = await self.claim("a"), await self.claim("b")
        await a.append(0, [FIRST])
        await b.append(0, [SECOND])
        assert list((await a.recover()).events) == [FIRST]
        assert list((await b.recover()).events) == [SECOND]

    async def test_recover_gives_the_snapshot_and_only_the_events_after_it(self) -> None:
        journal = await self.claim("a")
        await journal.append(0, [FIRST, SECOND])
        await journal.save(2, {"sum": 3})
        await journal.append(2, [THIRD])
        history = await journal.recover()
        assert (history.snapshot, list(history.events), history.version) == ({"sum": 3}, [THIRD], 3)

    async def test_a_snapshot_survives_a_claim_and_may_be_the_whole_past(self) -> None:
        journal = await self.claim("a")
        await journal.append(0, [FIRST])
        await journal.save(1, {"sum": 1})
        history = await self.history("a")
        assert (history.snapshot, list(history.events), history.version) == ({"sum": 1}, [], 1)

    async def test_an_older_snapshot_does_not_replace_a_newer_one(self) -> None:
        journal = await self.claim("a")
        await journal.append(0, [FIRST, SECOND])
        await journal.save(2, {"sum": 3})
        await journal.save(1, {"sum": 1})
        assert (await journal.recover()).snapshot == {"sum": 3}

    @pytest.mark.parametrize("steps", range(5))
    async def test_a_cancelled_append_has_written_all_or_nothing(self, steps: int) -> None:
        journal = await self.claim("a")
        async with asyncio.TaskGroup() as tasks:
            append = tasks.create_task(journal.append(0, [FIRST, SECOND]))
            for _ in range(steps):
                await asyncio.sleep(0)
            append.cancel()
        assert list((await self.history("a")).events) in ([], [FIRST, SECOND])
