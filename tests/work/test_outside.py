"""Whether a node can work, as `/ready` tells it."""

from __future__ import annotations

from collections.abc import Collection

from eventstore import MemoryStore
from nats3.jetstream.memory import MemoryJetStream
from nats3.work.outside import Outside


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
