"""Simulated histories in as many processes as there are cores: the workers, the office and the log over models, seed by seed."""

from __future__ import annotations

import gc
import math
import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from time import monotonic

from tests.sim.kinds import kind_of, wrong
from tests.sim.quick import hasten

PIECE = 200
TIDY = 100
"""Histories between two collections of garbage, of which each leaves some 200 KB."""
MOST_SHOWN = 20


@dataclass
class Simulated:
    """How many histories of each kind, and those that went wrong: (kind, seed, what)."""

    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[tuple[str, int, list[str]]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def total(self) -> int:
        return self.counts.total()


def simulate(count: int, seed: int, say: Callable[[str], None], within_s: float = math.inf) -> Simulated:
    """`count` histories with the numbers seed, seed + 1, ..., or as many as there is time for."""
    done, began = Simulated(), monotonic()
    pieces = [(seed + at, min(PIECE, count - at)) for at in range(0, count, PIECE)]
    with ProcessPoolExecutor(os.cpu_count(), max_tasks_per_child=None, initializer=hasten) as pool:
        for n, (counts, bad) in enumerate(pool.map(_piece, pieces), 1):
            done.counts.update(counts)
            done.wrong += bad
            for each in bad[:MOST_SHOWN]:
                say(
                    f"WRONG {each[0]}/{each[1]}: {each[2]}; again by: python -m tests.faults sim --replay {each[0]}/{each[1]}"
                )
            if n % 50 == 0:
                rate = done.total / (monotonic() - began)
                say(f"{done.total} of {count} histories, {len(done.wrong)} wrong, {rate:.0f} a second")
            if monotonic() - began > within_s:
                pool.shutdown(wait=False, cancel_futures=True)
                break
    done.seconds = monotonic() - began
    return done


def _piece(piece: tuple[int, int]) -> tuple[Counter[str], list[tuple[str, int, list[str]]]]:
    first, count = piece
    counts: Counter[str] = Counter()
    bad = []
    for number in range(first, first + count):
        if number % TIDY == 0:
            gc.collect()
        kind = kind_of(number)
        counts[kind] += 1
        if found := wrong(kind, number):
            bad.append((kind, number, found))
    return counts, bad


def replay(name: str, say: Callable[[str], None]) -> list[str]:
    """The history `kind/seed` once more, told line by line; what is wrong with it."""
    kind, _, seed = name.rpartition("/")
    found = wrong(kind, int(seed), lambda *lines: say("\n".join(lines)))
    say(f"{name}: {found or 'nothing is wrong'}")
    return found


def told(done: Simulated) -> str:
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(done.counts.items()))
    rate = done.total / done.seconds if done.seconds else 0
    return f"{done.total} histories ({kinds}), {len(done.wrong)} wrong, in {done.seconds:.0f} s: {rate:.0f} a second"
