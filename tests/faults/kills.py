"""Kills: every failpoint x {kill, stop, raise} x retention x mode, each strike a place where a node dies, freezes or fails.

    python -m tests.faults kills [--seed N] [--rounds N] [--share PERCENT] [--only SCENE]

A scene is one world over many strikes; after the last one everything that was promised is looked for by the checker. Half
of the frozen nodes wake up as they were; the others are taken over first, and wake up as zombies.
"""

from __future__ import annotations

import asyncio
import math
import os
import random
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from tests.faults.forked import ForkedNode
from tests.faults.nursery import Nursery
from tests.faults.play import world
from tests.faults.scenes import SCENES, Scene
from tests.faults.servers import Servers, servers
from tests.faults.world import Failed

ACTIONS = ("kill", "stop", "raise")
ROUNDS = 4
STRUCK_WITHIN_S = 40.0
LONGEST = 48
"""Strikes that one world sees; then it is checked, and the next one begins."""


@dataclass(frozen=True)
class Strike:
    """At the `nth` passage. `overtaken`: a frozen node is taken over before it wakes up."""

    place: str
    action: str
    nth: int
    overtaken: bool

    def __str__(self) -> str:
        return f"{self.place}={self.action}@{self.nth}" + (" overtaken" if self.overtaken else "")


@dataclass
class Tally:
    """What was done and seen."""

    strikes: Counter[str] = field(default_factory=Counter)
    places: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    worlds: int = 0
    seconds: float = 0.0

    @property
    def total(self) -> int:
        return self.strikes.total()


def planned(chance: random.Random, rounds: int) -> list[tuple[str, list[Strike]]]:
    """Worlds to play: a scene, and its strikes in an order of chance."""
    worlds = []
    for _ in range(rounds):
        for name, scene in SCENES.items():
            strikes = [_strike(chance, place, action) for place in scene.places for action in ACTIONS]
            chance.shuffle(strikes)
            worlds += [(name, strikes[at : at + LONGEST]) for at in range(0, len(strikes), LONGEST)]
    return worlds


def _strike(chance: random.Random, place: str, action: str) -> Strike:
    often = place.startswith("store.") or place in {"load.before_publish", "load.after_publish", "load.after_verify"}
    return Strike(place, action, chance.randint(1, 3) if often else 1, action == "stop" and chance.random() < 0.5)


def sample(chance: random.Random, share: float, worlds: int = 4) -> list[tuple[str, list[Strike]]]:
    """That share of all strikes of a whole run, drawn by chance, in a few worlds."""
    every = planned(chance, ROUNDS)
    count = max(worlds, round(share * sum(len(strikes) for _, strikes in every)))
    scenes = chance.sample(sorted(SCENES), worlds)
    drawn = []
    for name in scenes:
        known = [strike for scene, strikes in every if scene == name for strike in strikes]
        drawn.append((name, chance.sample(known, min(len(known), count // worlds))))
    return drawn


async def run(
    worlds: list[tuple[str, list[Strike]]],
    seed: int,
    say: Callable[[str], None],
    started: Servers | None = None,
    *,
    within_s: float = math.inf,
) -> Tally:
    """Play them, as many at once as there are cores; after `within_s` no other world is begun."""
    tally, began = Tally(), monotonic()
    waiting = list(enumerate(worlds))[::-1]
    with tempfile.TemporaryDirectory(prefix="nats3-kills-", ignore_cleanup_errors=True) as directory:
        async with _servers(started) as given, Nursery() as nursery:

            async def player() -> None:
                while waiting and monotonic() - began < within_s:
                    n, (name, strikes) = waiting.pop()
                    await _played(name, strikes, seed + n, (given, nursery, Path(directory)), tally, say)

            async with asyncio.TaskGroup() as tasks:
                for _ in range(max(1, min(os.cpu_count() or 1, len(worlds)))):
                    tasks.create_task(player())
    tally.seconds = monotonic() - began
    return tally


@asynccontextmanager
async def _servers(started: Servers | None) -> Iterator[Servers]:  # type: ignore[misc] - pytest gives its own
    if started is not None:
        yield started
        return
    async with servers() as own:
        yield own


async def _played(
    name: str,
    strikes: list[Strike],
    seed: int,
    given: tuple[Servers, Nursery, Path],
    tally: Tally,
    say: Callable[[str], None],
) -> None:
    """One world. What does not hold is a failure with all that is needed to look for it; the others go on."""
    started, nursery, directory = given
    began, done = monotonic(), list[str]()
    async with world(started, directory, seed, start=False) as made:
        scene = SCENES[name](made, ForkedNode(made, nursery))
        try:
            await _lives(scene, strikes, nursery, tally, done)
            made.verdict.wrong += [f"a bug of ours: {each[:300]}" for each in made.bugs()]
            made.hold()
        except (Exception, TimeoutError) as several:  # noqa: BLE001 - it is the finding
            error = _sole(several)
            lived = ", ".join(done[-3:])
            tally.failures.append(f"{name}: {type(error).__name__}: {error}; strikes so far {len(done)}, last: {lived}")
            say(f"{name} FAILED: {type(error).__name__}: {error}\n  last strikes: {lived}\n{made.last_lines()}")
        finally:
            await scene.close()
        tally.counts.update(made.verdict.counts)
        tally.worlds += 1
    say(f"{name}: {len(done)} strikes in {monotonic() - began:.0f} s")


async def _lives(scene: Scene, strikes: list[Strike], nursery: Nursery, tally: Tally, done: list[str]) -> None:
    node = scene.node
    await node.start(migrate=True)
    await _answers(scene)
    await scene.begin()
    await node.kill()
    for strike in strikes:
        done.append(str(strike))
        await _suffer(scene, strike, nursery)
        tally.strikes[strike.action] += 1
        tally.places[strike.place] += 1
    await scene.node.start()
    await _answers(scene)
    await scene.flows()
    await scene.check()
    await scene.node.kill()


def _sole(error: BaseException) -> BaseException:
    """What a group of one is about."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


async def _answers(scene: Scene) -> None:
    async def ready() -> bool:
        return bool(await scene.world.call("GET", "/api/v2/jobs"))

    await scene.world.until("the node answers", ready)


async def _suffer(scene: Scene, strike: Strike, nursery: Nursery) -> None:
    """One life of the node, from its start to the strike and on until all flows again, but for a kill, which ends it."""
    node = scene.node
    if strike.place == "bind.after_adopted_put":  # there must be something to adopt
        await node.start("store.after_put=kill")
        await _until_struck(scene, node, Strike("store.after_put", "kill", 1, overtaken=False))
    await node.start(f"{strike.place}={strike.action}@{strike.nth}")
    await _until_struck(scene, node, strike)
    if strike.action == "kill":
        return
    if strike.overtaken:
        await _overtake(scene, nursery)
    else:
        node.resume()
        await scene.flows()
    await node.kill()


async def _until_struck(scene: Scene, node: ForkedNode, strike: Strike) -> None:
    """The scene goes on while the node lives, so that the place is reached however deep it lies."""
    enough = asyncio.Event()
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(scene.feed(enough))
            try:
                async with asyncio.timeout(STRUCK_WITHIN_S):
                    await node.struck(strike.place, strike.action)
            finally:
                enough.set()
    except* TimeoutError:
        raise Failed(f"{strike} was not reached within {STRUCK_WITHIN_S:.0f} s") from None


async def _overtake(scene: Scene, nursery: Nursery) -> None:
    """The frozen node's lease ends, another one goes on with its jobs; then it wakes up and does not know."""
    frozen = scene.node
    await scene.ask("UPDATE es.node SET lease_until = clock_timestamp() - interval '1 second' RETURNING 1")
    successor = ForkedNode(scene.world, nursery)
    await successor.start()
    scene.world.nodes.insert(0, scene.world.nodes.pop())  # it is asked from now on
    await scene.flows()
    frozen.resume()
    await _goes_on(scene.publish)
    await scene.flows()
    await frozen.kill()
    await successor.kill()
    scene.node = successor


async def _goes_on(publish: Callable[[], Awaitable[None]]) -> None:
    """A zombie that wakes up finds work."""
    await publish()


def told(tally: Tally) -> str:
    """The result in a few lines."""
    strikes = ", ".join(f"{count} {action}" for action, count in sorted(tally.strikes.items()))
    counts = ", ".join(f"{name} {count}" for name, count in tally.counts.items())
    return "\n".join(
        [
            f"{tally.total} strikes ({strikes}) at {len(tally.places)} failpoints in {tally.seconds:.0f} s",
            counts,
            *(f"FAILED {each}" for each in tally.failures),
        ]
    )
