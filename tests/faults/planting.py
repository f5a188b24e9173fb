"""What a planted fault is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Planted:
    """`line` of `file` becomes `instead`; then `tests` must fail: words for pytest, or `row:NAME` of the matrix."""

    name: str
    file: str
    line: str
    tests: str
    instead: str = ""
