"""A view is compared with a fresh fold while it goes on."""

from __future__ import annotations

from typing import Any

import pytest

from eventstore import Connection, Position, PostgresStore, Rebuild
from eventstore import rebuild as rebuild_module
from eventstore.rebuild import checksum
from tests.eventstore.test_rebuild import Sums, an_append, fetch, projecting, versions


async def test_a_view_goes_on_while_it_is_compared_however_long_that_takes(
    store: PostgresStore, log_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[Any] = []
    async with projecting(log_url, store, Sums()) as projector:

        async def slow(connection: Connection, table: str) -> tuple[Any, ...]:
            """Longer than it takes to write an event and to show it."""
            limits.append(await (await connection.execute("SHOW statement_timeout")).fetchone())
            (outcome,) = await store.append([an_append("run/a", 5 + len(limits))])
            assert await projector.wait_for("sums", outcome.last, 10)
            return await checksum(connection, table)

        await store.append([an_append("run/a", count=6)])
        assert await projector.wait_for("sums", Position(6), 10)
        monkeypatch.setattr(rebuild_module, "checksum", slow)
        verdict = await Rebuild(log_url, store, Sums()).verify()
        assert (verdict.position, verdict.differ) == (6, ())
        await fetch(log_url, "UPDATE sums__v1 SET total = total + 1 RETURNING 1")
        assert (await Rebuild(log_url, store, Sums()).verify()).differ == ("sums",)
    assert set(limits) == {("0",)}
    assert await fetch(log_url, "SELECT times FROM sums") == [(10,)]
    assert await versions(log_url) == [(1, "live", True)]
