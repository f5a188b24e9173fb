"""Who may write what: leases of nodes and claims of entities, on the database's clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from eventstore.connection import Link
from eventstore.errors import Unstorable
from eventstore.event import Fence, NodeId, Version, must_be_entity


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to append to an entity with `fence`, from `version` on, until someone claims it again."""

    entity_id: str
    fence: Fence
    version: Version


@dataclass(frozen=True, slots=True)
class Node:
    """A node that registered. `alive` is the database's judgement of its lease at the time of asking."""

    node_id: NodeId
    name: str
    started_at: datetime
    lease_until: datetime
    alive: bool


NEVER_CLAIMED = "job"
"""Entities of this category are guarded by their version alone: their fence stays 0."""


def category_of(entity_id: str) -> str:
    """The word before the slash. Raises Unstorable for an entity that must not be claimed."""
    must_be_entity(entity_id)
    category = entity_id.partition("/")[0]
    if category == NEVER_CLAIMED:
        raise Unstorable("entity_id", f"{entity_id} is guarded by its version alone and is never claimed")
    return category


class Claims:
    """Leases and claims of one node. Every method is one statement and raises LogUnavailable when Postgres is away.

    A node that does not renew in time loses its claims to whoever takes them; the fence keeps it from writing.
    """

    def __init__(self, url: str, node: NodeId | None = None) -> None:
        self.node = node or NodeId(uuid4())
        self._link = Link(url, "eventstore claims", deadline=5.0)
        self._name = ""
        self._lease = 10.0

    async def register(self, name: str, lease: float = 10.0) -> NodeId:
        """Begin to live, for `lease` seconds at a time."""
        self._name = name
        self._lease = lease
        await self.renew()
        return self.node

    async def succeed(self, name: str) -> None:
        """End what registered under `name` before, so that its claims are free at once and not when its lease is over.

        Only for a name that one living process at a time can have, and for the process that now has it.
        """
        for node in await self.nodes():
            if node.name == name and node.node_id != self.node:
                await self._link.call("SELECT es.leave(%s)", (node.node_id,))

    async def renew(self) -> bool:
        """Extend the lease; False: it had run out before, so others may hold what this node owned."""
        rows = await self._link.call(
            "SELECT es.renew(%s, %s, %s::double precision)", (self.node, self._name, self._lease)
        )
        return bool(rows[0][0])

    async def leave(self) -> None:
        """Give everything back and cease to live: others may take it at once."""
        await self._link.call("SELECT es.leave(%s)", (self.node,))

    async def nodes(self) -> list[Node]:
        """All nodes that registered and did not leave, oldest first."""
        rows = await self._link.fetch(
            "SELECT node_id, name, started_at, lease_until, lease_until > clock_timestamp() FROM es.node"
            " ORDER BY started_at, node_id"
        )
        return [Node(*row) for row in rows]

    async def take(self, wanted: Sequence[str], limit: int) -> list[Claim]:
        """Claim up to `limit` of these that no living node owns; nothing while this node's own lease is over.

        What this node owned before Postgres was restarted counts as free for it.
        """
        for entity_id in wanted:
            category_of(entity_id)
        if not wanted or limit < 1:
            return []
        rows = await self._link.call(
            "SELECT entity_id, fence, version FROM es.take(%s, %s::text[], %s)", (self.node, list(wanted), limit)
        )
        return [Claim(*row) for row in sorted(rows)]

    async def claim(self, entity_id: str) -> Claim:
        """Claim it whoever owns it, lease or no lease: for operators and tests."""
        category_of(entity_id)
        rows = await self._link.call("SELECT entity_id, fence, version FROM es.claim(%s, %s)", (self.node, entity_id))
        return Claim(*rows[0])

    async def release(self, entity_id: str, fence: Fence) -> bool:
        """Give one back, so that others may take it at once; False: it was no longer ours."""
        rows = await self._link.call("SELECT es.release(%s, %s, %s)", (self.node, entity_id, fence))
        return bool(rows[0][0])

    async def owned(self) -> list[Claim]:
        """What this node owns, by entity id."""
        rows = await self._link.fetch(
            "SELECT entity_id, fence, version FROM es.entity WHERE owner = %s ORDER BY entity_id", (self.node,)
        )
        return [Claim(*row) for row in rows]

    async def close(self) -> None:
        """Close the connection."""
        await self._link.drop()
