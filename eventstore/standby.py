"""Waiting for projections that other nodes keep: one question for all of them, and no oftener than leases can end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from random import Random

from eventstore.connection import Link
from eventstore.event import NodeId

LEAST, MOST = 1.0, 8.0
"""Seconds between two questions: until the first lease of an owner ends, as far as it is not renewed, within these bounds."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """Which program made it, and for how many seconds another node's lease still keeps it: None, no longer."""

    code: int
    left: float | None


class Standby:
    """Those of one node who wait. Raises LogUnavailable."""

    def __init__(self, link: Link, node: NodeId, chance: Random) -> None:
        self._link = link
        self._node = node
        self._chance = chance
        self._turn = asyncio.Lock()
        self._kept: dict[str, _Kept] = {}
        self._asked = 0
        self._due = 0.0

    async def until_free(self, name: str, code: int) -> None:
        """Wait, for `LEAST` seconds in any case, until no other living node keeps it and no newer program made it."""
        while True:
            asked = self._asked
            await asyncio.sleep(self._until_due())
            async with self._turn:
                if self._asked == asked:
                    await self._ask()
            kept = self._kept.get(name)
            if kept is None or (kept.left is None and kept.code <= code):
                return

    def _until_due(self) -> float:
        now = asyncio.get_running_loop().time()
        if self._due < now:
            self._due = now + LEAST
        return self._due - now

    async def _ask(self) -> None:
        rows = await self._link.fetch(
            "SELECT DISTINCT ON (p.name) p.name, p.code,"
            " extract(epoch FROM n.lease_until - clock_timestamp())::double precision"
            " FROM es.projection p LEFT JOIN es.node n"
            " ON n.node_id = p.owner AND n.node_id <> %s AND n.lease_until > clock_timestamp()"
            " ORDER BY p.name, p.active DESC, p.version DESC",
            (self._node,),
        )
        self._kept = {name: _Kept(code, left) for name, code, left in rows}
        self._asked += 1
        soonest = min((each.left for each in self._kept.values() if each.left is not None), default=MOST)
        wait = max(LEAST, min(MOST, soonest)) + self._chance.uniform(0, LEAST)
        self._due = asyncio.get_running_loop().time() + wait
