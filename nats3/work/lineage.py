"""Which streams go back to one: restored under another creation time, or restored from a copy that is older than what was archived."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SeenLife:
    """A life as a store job saw it: the creation times (ns) under which it went on, the first one first, and the life that
    it branched off from.
    """

    job_id: str
    life: str
    created: tuple[int, ...]
    parent: str | None


class Lineage:
    """What the lives of all jobs together say of creation times. Of times that nobody speaks of it says nothing."""

    def __init__(self, lives: Iterable[SeenLife] = ()) -> None:
        known = {(each.job_id, each.life): each for each in lives}
        self._streams, self._trees = _Joined(), _Joined()
        for each in known.values():
            for created in each.created:
                self._streams.join(created, each.created[0])
                self._trees.join(created, each.created[0])
            parent = known.get((each.job_id, each.parent)) if each.parent else None
            if parent is not None:
                self._trees.join(each.created[0], parent.created[0])

    def stream(self, created: int) -> int:
        """The first creation time of this stream: a job that only ever saw it restored has archived it as well."""
        return self._streams.least(created)

    def akin(self, created: int) -> tuple[int, ...]:
        """The other creation times of streams that go back to the same one as this: they may hold the same messages."""
        return tuple(each for each in self._trees.joined(created) if each != created)


class _Joined:
    """Numbers in sets, each with its least one at the root."""

    def __init__(self) -> None:
        self._lesser: dict[int, int] = {}

    def least(self, number: int) -> int:
        while number in self._lesser:
            number = self._lesser[number]
        return number

    def joined(self, number: int) -> list[int]:
        """All that are in one set with it, rising."""
        root = self.least(number)
        return sorted(each for each in (root, *self._lesser) if self.least(each) == root)

    def join(self, one: int, other: int) -> None:
        low, high = sorted((self.least(one), self.least(other)))
        if low < high:
            self._lesser[high] = low
