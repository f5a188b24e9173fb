"""`python -m tests.faults.proofs [NAME ...] [--seed N] [--lives N] [--events N]`: what takes numbers to be believed.

`order`: many writers and followers on a real Postgres. `log-lives`, `actor-lives`: random lives in memory. Each says its
seed; a life that goes wrong says with which command it is lived again.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import traceback
from array import array
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from pathlib import Path
from random import Random, SystemRandom
from time import monotonic
from typing import NamedTuple

from eventstore import Append, Fence, NewEvent, Position, PostgresStore, Version, migrate
from nats3.dev.postgres_server import PostgresServer
from tests.actors import lives as actor_lives
from tests.eventstore import lives as log_lives

WRITERS, FOLLOWERS = 8, 4
PAGE = 2000
PROCESSES = 2
_SHARE = 1000


class Size(NamedTuple):
    """How much is played: events in the log, lives in memory of either kind."""

    events: int = 1_000_000
    lives: int = 50_000


class Spell(NamedTuple):
    """An append as its writer saw it: monotonic seconds at its begin and end, its first and last position."""

    began: float
    ended: float
    first: int
    last: int


async def order(seed: int, size: Size) -> str:
    """Position order is commit order, and no follower with one number misses an event."""
    with tempfile.TemporaryDirectory(prefix="nats3-proof-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o711)  # noqa: ASYNC240 - nothing runs yet that could wait for it
        server = PostgresServer(Path(name) / "postgres", durable=False)
        await server.start()
        try:
            await asyncio.to_thread(migrate.migrate, server.url)
            return await _order(server.url, Random(seed), size.events)
        finally:
            await server.kill()


async def _order(url: str, chance: Random, events: int) -> str:
    done = asyncio.Event()
    began = monotonic()
    async with asyncio.TaskGroup() as tasks:
        followers = [tasks.create_task(_follow(url, done)) for _ in range(FOLLOWERS)]
        async with asyncio.TaskGroup() as writing:
            each = [Random(chance.random()) for _ in range(WRITERS)]
            writers = [writing.create_task(_write(url, n, own, events // WRITERS)) for n, own in enumerate(each)]
        done.set()
    spells = [spell for writer in writers for spell in writer.result()]
    written = array("q", sorted(p for spell in spells for p in range(spell.first, spell.last + 1)))
    _judge_spells(spells)
    for follower in followers:
        assert follower.result() == written, "a follower missed an event, or saw one out of order"
    return f"{len(written)} events in {len(spells)} appends of {WRITERS} writers, {FOLLOWERS} followers, {monotonic() - began:.0f} s"


async def _write(url: str, number: int, chance: Random, events: int) -> list[Spell]:
    """Single events, batches, and batches over several entities, as they come."""
    store, spells, version = PostgresStore(url), list[Spell](), 0
    while version < events:
        count = min(events - version, chance.choice((1, 3, 50, 200, 200)))
        new = tuple(NewEvent("counted", {"n": version + n}) for n in range(count))
        began = monotonic()
        (outcome,) = await store.append([Append(f"run/{number}", Version(version), Fence(0), new)])
        spells.append(Spell(began, monotonic(), outcome.first, outcome.last))  # type: ignore[union-attr]
        version += count
    await store.close()
    return spells


async def _follow(url: str, done: asyncio.Event) -> array[int]:
    """Every position that a reader sees who keeps the last one and asks for what is above it."""
    store, seen, cursor = PostgresStore(url), array("q"), Position(0)
    while True:
        last_look = done.is_set()
        page = await store.read_log(cursor, PAGE)
        seen.extend(event.position for event in page)
        if page:
            cursor = page[-1].position
        elif last_look:
            await store.close()
            return seen
        await asyncio.sleep(0)


def _judge_spells(spells: list[Spell]) -> None:
    """What was committed before another append began stands below it, and no append's positions have a stranger's between."""
    ended = iter(sorted(spells, key=lambda spell: spell.ended))
    low, earlier = 0, next(ended)
    for spell in sorted(spells):
        while earlier.ended < spell.began:
            low = max(low, earlier.last)
            earlier = next(ended)
        assert low < spell.first, f"{spell} has a position below one that was committed before it began: {low}"
    places = sorted((spell.first, spell.last) for spell in spells)
    assert all(before[1] < after[0] for before, after in pairwise(places))


async def log_lives_(seed: int, size: Size) -> str:
    return await _lives(log_lives.play, seed, size.lives)


async def actor_lives_(seed: int, size: Size) -> str:
    return await _lives(actor_lives.play, seed, size.lives)


async def _lives(play: Callable[[int], object], seed: int, count: int) -> str:
    """In processes of their own: they are nothing but computing."""
    began, loop = monotonic(), asyncio.get_running_loop()
    with ProcessPoolExecutor(PROCESSES) as pool:
        async with asyncio.TaskGroup() as tasks:
            for first in range(seed, seed + count, _SHARE):
                share = range(first, min(first + _SHARE, seed + count))
                tasks.create_task(_awaited(loop.run_in_executor(pool, _play_all, play, share)))
    return f"{count} lives from seed {seed}, none wrong, {monotonic() - began:.0f} s"


async def _awaited(work: asyncio.Future[None]) -> None:
    await work


def _play_all(play: Callable[[int], object], seeds: range) -> None:
    for seed in seeds:
        play(seed)


PROOFS = {"order": order, "log-lives": log_lives_, "actor-lives": actor_lives_}


async def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.proofs", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PROOFS)}; all where none is named")
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(1 << 30))
    parser.add_argument("--lives", type=int, default=Size().lives)
    parser.add_argument("--events", type=int, default=Size().events)
    told = parser.parse_args(words)
    bad = 0
    for name in told.names or PROOFS:
        print(f"{name} (seed {told.seed}) ... ", end="", flush=True)
        try:
            print(await PROOFS[name](told.seed, Size(told.events, told.lives)), flush=True)
        except Exception as fault:  # noqa: BLE001 - a proof that fails must not end the others
            bad += 1
            print("FAILED")
            traceback.print_exception(fault)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
