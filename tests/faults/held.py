"""I10: a process that does the same all the time holds the same all the time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from tests.faults.checker import Verdict

FLAT, MORE_FILES = 0.1, 16
"""By how much memory and descriptors of a process may differ that does the same all the time."""


@dataclass(frozen=True)
class Held:
    """What a process held in one moment: resident bytes, and descriptors."""

    memory: int
    files: int


def bounded(held: Sequence[Held], verdict: Verdict, *, flat: bool) -> str:
    """I10: the second quarter of a process's life against its last, in words. `flat`: it was long enough to judge memory."""
    quarter = max(1, len(held) // 4)
    early, late = held[quarter : 2 * quarter] or held, held[-quarter:]
    memory = [median(each.memory for each in part) / (1 << 20) for part in (early, late)]
    files = [median(each.files for each in part) for part in (early, late)]
    verdict.need(
        not flat or abs(memory[1] / memory[0] - 1) <= FLAT,
        f"I10 memory went from {memory[0]:.0f} to {memory[1]:.0f} MiB",
    )
    verdict.need(files[1] <= files[0] + MORE_FILES, f"I10 descriptors went from {files[0]:.0f} to {files[1]:.0f}")
    return f"memory {memory[0]:.0f} then {memory[1]:.0f} MiB, descriptors {files[0]:.0f} then {files[1]:.0f}"
