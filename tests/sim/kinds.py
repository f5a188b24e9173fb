"""Every kind of history that is simulated: one seed, one history, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from actors.testing import run_seeded
from tests.eventstore import lives as log_lives
from tests.sim import lease_world, load_world, restored_world, store_world
from tests.sim.store_world import Tell

STEPS = (120, 15, 40, 15, 60, 15, 30, 15)
"""How long a history is, by its seed: many short ones, some long. Most of what goes wrong needs few steps."""
ROUND = 24
"""Seeds over which every kind has its turn; the length changes with each round, so that every kind is lived in every length."""

SELDOM = {0: "lease", 11: "restored"}
"""Places in a round of what costs much more than others."""

History = Callable[[int, Tell | None], list[str]]


def _steps(seed: int) -> int:
    return STEPS[seed // ROUND % len(STEPS)]


def _store(seed: int, tell: Tell | None, *, retention: str) -> list[str]:
    return store_world.history(seed, retention, steps=_steps(seed), tell=tell, strict=False)


def _filtered(seed: int, tell: Tell | None) -> list[str]:
    """A store job that wants a part of its stream."""
    retention = ("limits", "limits", "interest", "workqueue")[seed % 4]
    return store_world.history(seed, retention, steps=_steps(seed), tell=tell, strict=False, filtered=True)


def _load(seed: int, tell: Tell | None, *, mode: str) -> list[str]:
    return load_world.history(seed, mode, steps=min(40, _steps(seed)), tell=tell)


def _restored(seed: int, tell: Tell | None) -> list[str]:
    """Several store jobs around restores of their stream, and a load of all."""
    return restored_world.history(seed, polls=seed // ROUND % 2 == 1, steps=min(20, _steps(seed)), tell=tell)


def _log(seed: int, tell: Tell | None) -> list[str]:
    """Two nodes, stolen claims, lost answers and one follower of the log: what breaks raises."""
    del tell
    run_seeded(seed, lambda: log_lives.live(seed))
    return []


KINDS: dict[str, History] = {
    **{f"store/{name}": partial(_store, retention=name) for name in ("limits", "interest", "workqueue")},
    "store/filtered": _filtered,
    **{f"load/{name}": partial(_load, mode=name) for name in ("auto", "exclusive", "atomic", "polling")},
    "restored": _restored,
    "lease": lease_world.history,
    "log": _log,
}


def kind_of(number: int) -> str:
    """The kind of the history with this number."""
    place = number % ROUND
    if place in SELDOM:
        return SELDOM[place]
    names = [name for name in KINDS if name not in SELDOM.values()]
    return names[place % len(names)]


def wrong(kind: str, seed: int, tell: Tell | None = None) -> list[str]:
    """Whatever a history raises is wrong too."""
    try:
        return KINDS[kind](seed, tell)
    except Exception as error:  # noqa: BLE001 - a world that breaks is a finding
        return [f"{type(error).__name__}: {error}"[:300]]
