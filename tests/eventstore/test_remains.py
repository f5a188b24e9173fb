"""What rebuilds left of a view holds the log and its disk for as long as somebody may need it, and no longer."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from eventstore import Claims, NodeId, NothingBefore, Position, PostgresStore, Progress, Rebuild
from tests.eventstore.test_rebuild import Sums, an_append, fetch, projecting, versions

TABLES = "SELECT tablename::text FROM pg_tables WHERE tablename LIKE 'sums%' ORDER BY 1"
FOLLOWING = "SELECT name FROM es.following ORDER BY 1"
NEWER = Sums(version=5, factor=10)


@pytest.fixture
async def kept(store: PostgresStore, log_url: str) -> str:
    """URL of a log of 400 events with a view of them."""
    await store.append([an_append("run/a", count=400)])
    async with projecting(log_url, store, Sums()) as projector:
        assert await projector.wait_for("sums", Position(400), 10)
    return log_url


async def interrupted(url: str, store: PostgresStore, view: Sums, node: NodeId | None = None) -> None:
    """A rebuild that got as far as position 100."""
    enough = asyncio.Event()

    def note(progress: Progress) -> None:
        if progress.position >= 100:
            enough.set()

    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(Rebuild(url, store, view, node=node, page=20, progress=note).run())
        await enough.wait()
        running.cancel()


async def test_what_an_older_program_left_goes_when_a_newer_one_has_rebuilt(store: PostgresStore, kept: str) -> None:
    await interrupted(kept, store, Sums())
    assert await versions(kept) == [(1, "live", True), (2, "building", False)]
    await Rebuild(kept, store, NEWER).run()
    assert await versions(kept) == [(5, "live", True)]
    assert await fetch(kept, TABLES) == [("sums__v5",)]
    assert await fetch(kept, FOLLOWING) == [("projection sums v5 (live)",)]
    with pytest.raises(NothingBefore):
        await Rebuild(kept, store, NEWER).return_to_before()


async def test_what_a_living_node_is_building_stays_and_goes_with_the_rebuild_after_its_end(
    store: PostgresStore, kept: str
) -> None:
    claims = Claims(kept)
    await claims.register("an older program")
    await interrupted(kept, store, Sums(), claims.node)
    await Rebuild(kept, store, NEWER).run()
    assert await versions(kept) == [(2, "building", False), (5, "live", True)]
    await claims.leave()
    await claims.close()
    await Rebuild(kept, store, NEWER).run()
    assert await versions(kept) == [(5, "retired", False), (6, "live", True)]


async def test_what_an_older_program_left_unfinished_can_be_discarded(store: PostgresStore, kept: str) -> None:
    await interrupted(kept, store, Sums())
    await Rebuild(kept, store, NEWER).discard()
    assert await versions(kept) == [(1, "live", True)]
    assert await fetch(kept, TABLES) == [("sums__v1",)]


async def test_who_still_reads_what_nobody_needs_holds_up_no_rebuild(store: PostgresStore, kept: str) -> None:
    async with await psycopg.AsyncConnection.connect(kept) as staying:
        await staying.execute("SELECT * FROM sums__v1")
        assert (await Rebuild(kept, store, NEWER).run()).version == 5
    assert await versions(kept) == [(1, "retired", False), (5, "live", True)]
    ((event,),) = await fetch(kept, "SELECT type FROM es.event WHERE entity_id = 'projection/sums'")
    assert event == "projection_rebuilt"
