"""Plays one row, whatever runs it: pytest or `python -m tests.faults`."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.faults.registry import Row
from tests.faults.rows import deaths, disasters, outages, plain, strange, swarm, tampering, wires
from tests.faults.world import Servers, world

ROOMS = (plain, deaths, outages, tampering, strange, wires, disasters, swarm)


async def play(each: Row, servers: Servers, directory: Path, seed: int) -> list[str]:
    """Its notes. Raises what broke, with the last lines of every node's log as a note."""
    async with world(servers, directory, seed) as made:
        try:
            async with asyncio.timeout(each.within):
                await each.play(made)
        except (Exception, TimeoutError) as error:
            error.add_note(made.last_lines())
            error.add_note(made.sessions())
            error.add_note("; ".join(made.notes))
            raise
        if bugs := made.bugs():
            made.note(f"BUG: {len(bugs)} restarts of an actor, first {bugs[0][:200]!r}")
        return [*made.notes, *(f"{name} {count}" for name, count in made.verdict.counts.items())]
