"""Who rebuilds a view, and who has lost the right to while it was frozen: nothing of one is done by the other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from eventstore import (
    Claims,
    NodeId,
    Position,
    PostgresStore,
    Progress,
    Rebuild,
    Superseded,
    Verdict,
    Version,
    View,
    projection,
)
from eventstore.connection import Link
from eventstore.projection import Checkpoint
from tests.eventstore.test_rebuild import Sums, an_append, fetch, projecting, versions


class Frozen(Rebuild):
    """Everything is folded, and the node freezes: what happens `meanwhile` happens before it wakes up."""

    meanwhile: Callable[[], Awaitable[object]]

    async def _swap(self, view: View, at: Checkpoint, actor: str) -> Checkpoint:
        await self.meanwhile()
        return await super()._swap(view, at, actor)

    async def _compare(self, view: View, at: Checkpoint) -> Verdict:
        verdict = await super()._compare(view, at)
        await self.meanwhile()
        return verdict


@pytest.fixture
async def kept(store: PostgresStore, log_url: str) -> str:
    """URL of a log of five events with a view of them."""
    await store.append([an_append("run/a", count=5)])
    async with projecting(log_url, store, Sums()) as projector:
        assert await projector.wait_for("sums", Position(5), 10)
    return log_url


async def begun_by(url: str, node: NodeId) -> Checkpoint:
    """Version 2, taken and empty."""
    link, view = Link(url, "test"), Sums(version=2)
    at = await projection.take(link, view, node, 1)
    assert at is not None
    await projection.prepare(link, view)
    await link.drop()
    return at


async def test_a_rebuild_that_was_discarded_does_not_swap(store: PostgresStore, kept: str) -> None:
    rebuild = Frozen(kept, store, Sums())
    rebuild.meanwhile = Rebuild(kept, store, Sums()).discard
    with pytest.raises(Superseded):
        await rebuild.run()
    assert await versions(kept) == [(1, "live", True)]
    assert await fetch(kept) == [("run/a", 15, 5)]
    assert await store.read("projection/sums", Version(0), 10) == []


async def test_a_rebuild_that_another_began_anew_is_not_shown_half_done(store: PostgresStore, kept: str) -> None:
    async def meanwhile() -> None:
        await Rebuild(kept, store, Sums()).discard()
        await begun_by(kept, store.node)

    rebuild = Frozen(kept, store, Sums())
    rebuild.meanwhile = meanwhile
    with pytest.raises(Superseded):
        await rebuild.run()
    assert await versions(kept) == [(1, "live", True), (2, "building", False)]
    assert await fetch(kept) == [("run/a", 15, 5)]


async def test_a_version_that_was_dropped_before_its_tables_are_made_is_not_shown(
    store: PostgresStore, log_url: str
) -> None:
    link, view = Link(log_url, "test"), Sums()
    assert await projection.take(link, view, store.node, 1)
    await fetch(log_url, "DELETE FROM es.projection RETURNING 1")
    with pytest.raises(Superseded):
        await projection.prepare(link, view)
    await link.drop()
    assert await fetch(log_url, "SELECT to_regclass('sums'), to_regclass('sums__v1')") == [(None, None)]


async def test_fences_of_a_version_that_was_discarded_are_not_given_again(store: PostgresStore, kept: str) -> None:
    first = await begun_by(kept, store.node)
    await Rebuild(kept, store, Sums()).discard()
    assert (await begun_by(kept, store.node)).fence > first.fence


async def test_who_verified_drops_nothing_that_another_has_begun_meanwhile(store: PostgresStore, kept: str) -> None:
    rebuild = Frozen(kept, store, Sums())
    rebuild.meanwhile = lambda: begun_by(kept, store.node)
    with pytest.raises(Superseded):
        await rebuild.verify()
    assert await versions(kept) == [(1, "live", True), (2, "building", False)]
    assert await fetch(kept, "SELECT to_regclass('sums__v2')::text") == [("sums__v2",)]


async def test_what_a_living_node_is_building_is_not_discarded(store: PostgresStore, kept: str) -> None:
    await store.append([an_append("run/b", count=400)])
    claims, enough = Claims(kept), asyncio.Event()
    await claims.register("one")

    def note(progress: Progress) -> None:
        if progress.position >= 100:
            enough.set()

    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(Rebuild(kept, store, Sums(), node=claims.node, page=20, progress=note).run())
        await enough.wait()
        running.cancel()
    with pytest.raises(Superseded):
        await Rebuild(kept, store, Sums()).discard()
    assert await versions(kept) == [(1, "live", True), (2, "building", False)]
    await claims.leave()
    await Rebuild(kept, store, Sums()).discard()
    assert await versions(kept) == [(1, "live", True)]
    await claims.close()
