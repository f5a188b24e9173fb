"""What a page of the log costs Postgres, whatever it knows of the log."""

from __future__ import annotations

from eventstore import Append, Fence, NewEvent, PostgresStore, Version
from eventstore.postgres import PAGE_OF_TYPES

EVENTS = 20_000
_AT_ONCE = 1000


async def test_a_page_costs_the_same_however_much_lies_behind_it_before_there_are_statistics(log_url: str) -> None:
    """Without statistics Postgres would gather the whole rest of the log and sort it: for each page of a rebuild."""
    store = PostgresStore(log_url)
    for at in range(0, EVENTS, _AT_ONCE):
        events = tuple(NewEvent(("one", "two")[n % 2], {"n": n}, 1) for n in range(_AT_ONCE))
        await store.append([Append("run/a", Version(at), Fence(0), events)])
    explained = await store.following.fetch(
        "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + PAGE_OF_TYPES, (["one", "two", "three"], 0, 100, 100)
    )
    plan = explained[0][0][0]["Plan"]
    assert plan["Actual Rows"] == 100
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 100
    await store.close()
