"""Versions of a view that nobody reads: dropped where nobody needs them, for each holds what it has still to read of the log."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg.sql import SQL, Identifier

from eventstore import projection
from eventstore.connection import Link
from eventstore.errors import Superseded
from eventstore.event import NodeId
from eventstore.projection import View, table_of, tables_of


@dataclass(frozen=True, slots=True)
class Remains:
    """A version that can go: nobody reads it, no living node is at work on it, and it is not the one to return to."""

    version: int
    fence: int
    is_finished: bool


async def remains(link: Link, view: View, node: NodeId) -> list[Remains]:
    """What can go of a view as this program knows it: a version that another one made is none that it returns to."""
    rows = await link.fetch(
        "SELECT p.version, p.fence, p.status = 'retired' FROM es.projection p WHERE p.name = %s AND NOT p.active"
        " AND NOT EXISTS (SELECT FROM es.node n"
        " WHERE n.node_id = p.owner AND n.node_id <> %s AND n.lease_until > clock_timestamp())"
        " AND p.version IS DISTINCT FROM (SELECT max(o.version) FROM es.projection o"
        " WHERE o.name = p.name AND o.code = %s AND o.status = 'retired') ORDER BY p.version",
        (view.name, node, view.version),
    )
    return [Remains(*row) for row in rows]


async def drop(link: Link, view: View, fence: int) -> None:
    """Drop the tables of this version and forget it. Raises Superseded, and drops nothing, where another has it by now."""
    async with link.lend() as connection, connection.transaction():
        await projection.alone(connection, view.name)
        cursor = await connection.execute(
            "DELETE FROM es.projection WHERE name = %s AND version = %s AND fence = %s AND NOT active",
            (view.name, view.version, fence),
        )
        if cursor.rowcount != 1:
            raise Superseded(view.name, view.version)
        for name in tables_of(view):
            await connection.execute(SQL("DROP TABLE IF EXISTS {}").format(Identifier(table_of(view, name))))
