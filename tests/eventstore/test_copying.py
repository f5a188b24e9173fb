"""Rows of a view on their way to Postgres: as they were, and never half said where another owner waits."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID

import psycopg
import pytest

from eventstore import copy_in
from eventstore.connection import Link
from eventstore.copying import IN_ONE_MESSAGE

COLUMNS = ("n", "what", "said", "of", "at", "none")
TABLE = "CREATE TABLE rows (n bigint, what text, said jsonb, of uuid, at timestamptz, none text)"


def a_row(n: int) -> tuple[object, ...]:
    at = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
    return (2**62 + n, '\\N\t"é%s\U0001f600', ((1, n), (3, 4)), UUID(int=n), at, None)


class Seen(list[tuple[object, ...]]):
    """Rows; whoever reads them learns what Postgres is doing for the writer in this moment."""

    def __init__(self, rows: list[tuple[object, ...]], url: str) -> None:
        super().__init__(rows)
        self._url = url
        self.states: set[str] = set()

    def __iter__(self) -> Iterator[tuple[object, ...]]:
        with psycopg.connect(self._url) as other:
            query = "SELECT state FROM pg_stat_activity WHERE application_name = 'writer'"
            self.states |= {state for (state,) in other.execute(query)}
        return super().__iter__()


@pytest.mark.parametrize("count", [1, IN_ONE_MESSAGE, IN_ONE_MESSAGE + 1], ids=["one", "a message", "a COPY"])
async def test_rows_are_in_the_table_as_they_were(postgres_url: str, count: int) -> None:
    link, rows = Link(postgres_url, "writer"), [a_row(n) for n in range(count)]
    async with link.lend() as connection:
        await connection.execute(TABLE)
        await copy_in(connection, "rows", COLUMNS, rows)
    found = await link.fetch("SELECT n, what, said, of, at, none FROM rows ORDER BY n")
    assert found == [(n, what, [list(pair) for pair in said], *rest) for n, what, said, *rest in rows]  # type: ignore[attr-defined]
    await link.drop()


async def test_a_writer_that_freezes_while_it_writes_a_live_view_is_one_that_idles_in_a_transaction(
    postgres_url: str,
) -> None:
    """Those Postgres ends by itself after 5 s; one within a COPY it would wait for as long as the node is frozen."""
    link, rows = Link(postgres_url, "writer"), Seen([a_row(n) for n in range(IN_ONE_MESSAGE)], postgres_url)
    async with link.lend() as connection, connection.transaction():
        await connection.execute(TABLE)
        await copy_in(connection, "rows", COLUMNS, rows)
    assert rows.states == {"idle in transaction"}
    await link.drop()
