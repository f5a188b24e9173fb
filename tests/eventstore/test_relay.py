"""The log handed on: in order, at least once, by one node, and never past what was not kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from eventstore import (
    Append,
    Claims,
    Fence,
    NewEvent,
    NodeId,
    Position,
    PostgresStore,
    Projector,
    Recorded,
    Tail,
    Version,
)
from eventstore.relay import NotKept, Relay

Until = Callable[[Callable[[], object]], Awaitable[None]]


class Shelf:
    """A Sink that keeps what it is given, at most `most` at a time, and nothing while it is `shut`."""

    def __init__(self, most: int = 1000) -> None:
        self.kept: list[int] = []
        self.most = most
        self.shut = False
        self.reasons: list[str] = []
        self.told = 0
        self.held: Position | None = None

    async def holds(self) -> Position | None:
        return self.held

    async def take(self, events: Sequence[Recorded]) -> int:
        if self.shut:
            raise NotKept("shut")
        taken = events[: self.most]
        self.kept += [event.data["n"] for event in taken]
        return len(taken)

    def away(self, reason: str) -> None:
        self.reasons.append(reason)

    def relayed(self, count: int) -> None:
        self.told += count


def an_append(expected: int, count: int) -> Append:
    events = tuple(NewEvent("counted", {"n": expected + n + 1}) for n in range(count))
    return Append("run/a", Version(expected), Fence(0), events)


@asynccontextmanager
async def relaying(url: str, store: PostgresStore, shelf: Shelf, node: NodeId | None = None):
    async with Tail(store) as tail, Relay(url, tail, "shelf", shelf, heard=shelf, node=node) as relay:
        yield relay


async def test_all_that_was_and_all_that_comes_in_the_order_of_the_log(
    log_url: str, store: PostgresStore, until: Until
) -> None:
    await store.append([an_append(0, 5)])
    shelf = Shelf(most=2)
    async with relaying(log_url, store, shelf) as relay:
        await until(lambda: len(shelf.kept) == 5)
        await store.append([an_append(5, 4)])
        await until(lambda: shelf.told == 9)
        assert relay.behind() == {"shelf": 0}
    assert shelf.kept == list(range(1, 10))


async def test_a_restart_goes_on_at_its_checkpoint(log_url: str, store: PostgresStore, until: Until) -> None:
    shelf = Shelf()
    for round_ in range(3):
        await store.append([an_append(round_ * 3, 3)])
        async with relaying(log_url, store, shelf):
            await until(lambda at=round_: shelf.told == (at + 1) * 3)
    assert shelf.kept == list(range(1, 10))


async def test_what_the_sink_has_lost_it_gets_again(log_url: str, store: PostgresStore, until: Until) -> None:
    await store.append([an_append(0, 5)])
    shelf = Shelf()
    async with relaying(log_url, store, shelf):
        await until(lambda: shelf.told == 5)
    shelf.held = Position(3)
    async with relaying(log_url, store, shelf):
        await until(lambda: shelf.told == 7)
    shelf.held = Position(9)
    async with relaying(log_url, store, shelf):
        await store.append([an_append(5, 1)])
        await until(lambda: shelf.told == 8)
    assert shelf.kept == [1, 2, 3, 4, 5, 4, 5, 6]


async def test_what_is_not_kept_is_offered_again_and_nothing_passes_it(
    log_url: str, store: PostgresStore, until: Until
) -> None:
    shelf = Shelf()
    shelf.shut = True
    await store.append([an_append(0, 3)])
    async with relaying(log_url, store, shelf):
        await until(lambda: len(shelf.reasons) >= 3)
        shelf.shut = False
        await until(lambda: shelf.told == 3)
    assert (shelf.kept, set(shelf.reasons)) == ([1, 2, 3], {"shut"})


async def test_one_node_relays_and_another_takes_over(log_url: str, store: PostgresStore, until: Until) -> None:
    shelf, other = Shelf(), Shelf()
    claims = Claims(log_url)
    await claims.register("first")
    async with relaying(log_url, store, shelf, claims.node):
        await store.append([an_append(0, 3)])
        await until(lambda: shelf.told == 3)
        async with relaying(log_url, store, other, NodeId(store.node)) as second:
            await store.append([an_append(3, 3)])
            await until(lambda: shelf.told == 6)
            assert second.behind() == {}
    await claims.close()
    async with relaying(log_url, store, other, claims.node):
        await store.append([an_append(6, 1)])
        await until(lambda: other.told == 1)
    assert (shelf.kept, other.kept) == ([1, 2, 3, 4, 5, 6], [7])


async def test_an_owner_whose_heir_has_begun_sends_nothing_more(
    log_url: str, store: PostgresStore, until: Until
) -> None:
    late, heir = Shelf(), Shelf()
    claims = Claims(log_url)
    await claims.register("heir")
    await store.append([an_append(0, 3)])
    async with relaying(log_url, store, late) as without_lease:
        await until(lambda: late.told == 3)
        async with relaying(log_url, store, heir, claims.node) as owner:
            await until(owner.behind)
            await store.append([an_append(3, 1)])
            await until(lambda: heir.told == 1 and not without_lease.behind())
    await claims.close()
    assert (late.kept, heir.kept) == ([1, 2, 3], [4])


async def test_what_an_owner_sent_while_its_heir_began_is_sent_again(
    log_url: str, store: PostgresStore, until: Until
) -> None:
    """At least once: it had no way to know. Its checkpoint is refused, so that the heir's order stands."""
    here, go = asyncio.Event(), asyncio.Event()

    class Frozen(Shelf):
        async def take(self, events: Sequence[Recorded]) -> int:
            here.set()
            await go.wait()
            return await super().take(events)

    frozen, heir = Frozen(), Shelf(most=1)
    claims = Claims(log_url)
    await claims.register("heir")
    await store.append([an_append(0, 3)])
    async with relaying(log_url, store, frozen) as without_lease:
        await here.wait()
        async with relaying(log_url, store, heir, claims.node):
            await until(lambda: heir.told == 3)
            go.set()
            await until(lambda: not without_lease.behind())
    await claims.close()
    assert (frozen.told, frozen.kept, heir.kept) == (0, [1, 2, 3], [1, 2, 3])


async def test_a_relay_stands_among_the_projections(log_url: str, store: PostgresStore, until: Until) -> None:
    shelf = Shelf()
    await store.append([an_append(0, 3)])
    async with relaying(log_url, store, shelf):
        await until(lambda: shelf.told == 3)
    async with Tail(store) as tail:
        projector = Projector(log_url, store, tail, [])
        (status,) = await projector.status()
        await projector.close()
    assert (status.name, status.status, status.active, status.position) == ("shelf", "live", True, 3)
