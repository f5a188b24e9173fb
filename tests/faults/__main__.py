"""`python -m tests.faults [ROW or F-number or module ...] [--seed N] [--list]`: play rows, print the matrix."""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import traceback
from pathlib import Path
from time import monotonic

from tests.faults import matrix
from tests.faults.play import play
from tests.faults.registry import ROWS, Row
from tests.faults.servers import servers


def chosen(words: list[str]) -> list[Row]:
    """All, or those that a word names: a row, a row of the matrix, a module of rows, or `sample`."""
    rows = list(ROWS.values())
    if not words:
        return rows
    return [
        each
        for each in rows
        if any(word in {each.name, each.room, *each.covers} or (word == "sample" and each.sample) for word in words)
    ]


async def main() -> int:
    words = sys.argv[1:]
    seed = random.SystemRandom().randrange(1 << 30)
    if "--seed" in words:
        at = words.index("--seed")
        seed = int(words[at + 1])
        del words[at : at + 2]
    rows = chosen([word for word in words if not word.startswith("--")])
    if "--list" in words:
        print(*(f"{each.room:10} {each.name}  {' '.join(each.covers)}" for each in rows), sep="\n")
        return 0
    print(f"seed {seed}, {len(rows)} rows")
    outcomes: dict[str, str] = {}
    began = monotonic()
    with tempfile.TemporaryDirectory(prefix="nats3-rows-") as directory:
        async with servers() as started:
            for each in rows:
                outcomes[each.name] = await _one(each, started, Path(directory), seed)
    bad = [name for name, outcome in outcomes.items() if outcome != "passed"]
    print(matrix.table(outcomes))
    print(f"{len(rows) - len(bad)} of {len(rows)} rows passed in {monotonic() - began:.0f} s, seed {seed}")
    for name in bad:
        print(f"  failed: {name}")
    return 1 if bad else 0


async def _one(each: Row, started: object, directory: Path, seed: int) -> str:
    began = monotonic()
    print(f"{each.name} ... ", end="", flush=True)
    try:
        notes = await play(each, started, directory, seed)  # type: ignore[arg-type]
    except Exception as error:  # noqa: BLE001 - a row that fails must not end the others
        print(f"FAILED after {monotonic() - began:.1f} s\n  {type(error).__name__}: {error}")
        for note in getattr(error, "__notes__", ()):
            print("  " + note.replace("\n", "\n  "))
        if not isinstance(error, AssertionError):
            traceback.print_exception(error)
        return "failed"
    print(f"passed in {monotonic() - began:.1f} s" + "".join(f"; {note}" for note in notes))
    return "passed"


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
