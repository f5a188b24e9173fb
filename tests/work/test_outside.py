"""Whether a node can work, as `/ready` tells it."""

from __future__ import annotations

from collections.abc import Collection

from eventstore import MemoryStore
from nats3.jetstream.memory import MemoryJetStream
from nats3.work.outside import Outside, StreamSeen


async def there(name: str) -> bool:
    return True


async def test_a_node_whose_views_nobody_can_read_yet_is_not_ready() -> None:
    missing = {"jobs", "chunks"}

    async def unmade() -> Collection[str]:
        return missing

    outside = Outside(MemoryStore(), unmade, {"main": MemoryJetStream().streams}, there)
    assert await outside.check() == {"nats": None, "postgres": "views are being made: chunks, jobs", "s3": None}
    missing.clear()
    assert set((await outside.check()).values()) == {None}


async def test_a_stream_of_a_connection_that_this_node_has_not_is_one_that_nobody_tells_of() -> None:
    outside = Outside(MemoryStore(), _nothing_unmade, {"main": MemoryJetStream().streams}, _there)
    assert await outside.stream("hub", "ORDERS") is None
    assert await outside.stream("main", "ORDERS") == StreamSeen(exists=False)


async def test_whether_a_stream_takes_a_subject_is_told_of_connections_that_there_are() -> None:
    nats = MemoryJetStream()
    await nats.streams.make_stream({"name": "ORDERS", "subjects": ["orders.>"]})
    outside = Outside(MemoryStore(), _nothing_unmade, {"main": nats.streams}, _there)
    asked = [("main", "orders.a"), ("main", "other.a"), ("hub", "orders.a")]
    assert [await outside.is_taken(*each) for each in asked] == [True, False, None]


async def _nothing_unmade() -> set[str]:
    return set()


async def _there(_: str) -> bool:
    return True
