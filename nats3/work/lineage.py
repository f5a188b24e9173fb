"""Which creation times are those of one stream: it was restored under another one, and went on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SeenLife:
    """A life as a store job saw it: the creation times (ns) under which it went on, the first one first."""

    job_id: str
    life: str
    created: tuple[int, ...]


class Lineage:
    """What the lives of all jobs together say of creation times. Of times that nobody speaks of it says nothing."""

    def __init__(self, lives: Iterable[SeenLife] = ()) -> None:
        self._lesser: dict[int, int] = {}
        for each in {(each.job_id, each.life): each for each in lives}.values():
            for created in each.created:
                self._join(created, each.created[0])

    def stream(self, created: int) -> int:
        """The first creation time of this stream: a job that only ever saw it restored has archived it as well."""
        while created in self._lesser:
            created = self._lesser[created]
        return created

    def _join(self, one: int, other: int) -> None:
        low, high = sorted((self.stream(one), self.stream(other)))
        if low < high:
            self._lesser[high] = low
