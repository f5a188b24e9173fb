"""The rows of the matrix and the swarm as parts that run alone."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

from tests.faults import matrix, results
from tests.faults.play import play
from tests.faults.registry import ROWS, Row, Skipped
from tests.faults.rows.swarm import swarm_of
from tests.faults.servers import Servers, servers

ROOT = Path(__file__).parents[2]
say = partial(print, flush=True)


def chosen(words: list[str]) -> list[Row]:
    """All, or those that a word names: a row, a row of the matrix, a module of rows, or `sample`."""
    every = list(ROWS.values())
    if not words:
        return every
    return [
        each
        for each in every
        if any(word in {each.name, each.room, *each.covers} or (word == "sample" and each.sample) for word in words)
    ]


def run(words: list[str], seed: int, keep: bool) -> int:  # noqa: FBT001 - a switch of the command line
    rows = chosen(words)
    if not rows and not set(words) & set(matrix.JUDGED_BY):
        say(f"no row is named {' '.join(words)}; --list names them")
        return 2
    say(f"rows: seed {seed}, {len(rows)} rows")
    began = monotonic()
    outcomes = asyncio.run(_play_all(rows, seed)) | judged(words)
    bad = [name for name, outcome in outcomes.items() if outcome == "failed"]
    took = monotonic() - began
    say(matrix.table(outcomes))
    passed = sum(outcome == "passed" for outcome in outcomes.values())
    say(f"{passed} of {len(outcomes)} rows passed in {took:.0f} s, seed {seed}")
    for name in bad:
        say(f"  failed: {name}")
    if keep:
        results.keep(
            "rows", {"rows": [_row("rows that play the fault matrix, each once", len(outcomes), len(bad), seed, took)]}
        )
    return 1 if bad else 0


def judged(words: list[str]) -> dict[str, str]:
    """Lines of the matrix that tests judge, all or those that are named: what became of each."""
    return {
        number: _tested(number, tests) for number, tests in matrix.JUDGED_BY.items() if not words or number in words
    }


def _tested(number: str, tests: Sequence[str]) -> str:
    began = monotonic()
    asked = [sys.executable, "-m", "pytest", "-q", "-x", *tests]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    state = "passed" if done.returncode == 0 else "failed"
    say(f"{number} by {' '.join(tests)} ... {state} in {monotonic() - began:.1f} s")
    if state == "failed":
        say("\n".join(done.stdout.splitlines()[-15:]))
    return state


def run_swarm(minutes: float, seed: int, keep: bool) -> int:  # noqa: FBT001 - see above
    say(f"swarm: seed {seed}, {minutes:g} minutes")
    began = monotonic()
    row = Row("swarm", ("F72",), partial(swarm_of, seconds=minutes * 60), sample=False, within=minutes * 60 + 240)
    outcomes = asyncio.run(_play_all([row], seed))
    bad, took = sum(outcome != "passed" for outcome in outcomes.values()), monotonic() - began
    say(f"{'passed' if not bad else 'FAILED'} in {took:.0f} s, seed {seed}")
    if keep:
        results.keep("swarm", {"rows": [_row(f"swarm of {minutes:g} minutes", 1, bad, seed, took)]})
    return 1 if bad else 0


def _row(what: str, trials: int, failures: int, seed: int, seconds: float) -> dict[str, Any]:
    return {"what": what, "trials": trials, "failures": failures, "seed": seed, "seconds": round(seconds)}


async def _play_all(rows: list[Row], seed: int) -> dict[str, str]:
    outcomes: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="nats3-rows-") as directory:
        Path(directory).chmod(0o711)  # noqa: ASYNC240 - Postgres' user goes through; nothing runs yet that could wait
        async with servers() as started:
            for each in rows:
                outcomes[each.name] = await _one(each, started, Path(directory), seed)
    return outcomes


async def _one(each: Row, started: Servers, directory: Path, seed: int) -> str:
    began = monotonic()
    print(f"{each.name} ... ", end="", flush=True)
    try:
        notes = await play(each, started, directory, seed)
    except Skipped as why:
        say(f"skipped: {why}")
        return f"skipped: {why}"
    except (Exception, TimeoutError) as error:  # noqa: BLE001 - a row that fails must not end the others
        say(f"FAILED after {monotonic() - began:.1f} s\n  {type(error).__name__}: {error}")
        for note in getattr(error, "__notes__", ()):
            say("  " + note.replace("\n", "\n  "))
        if not isinstance(error, AssertionError):
            traceback.print_exception(error)
        return "failed"
    say(f"passed in {monotonic() - began:.1f} s" + "".join(f"; {note}" for note in notes))
    return "passed"
